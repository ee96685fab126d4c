"""The chain of the audit trail: each row's hash covers the row and the hash before it.

So a row that was changed, taken out or moved shows, and which one. Whoever can write to the database can make a whole new
chain: only a hash kept elsewhere (`audit verify --head`) tells that.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

FIELDS = ("id", "at", "actor", "actor_label", "address", "action", "object", "goods_owners", "before", "after")


@dataclass(frozen=True, slots=True)
class Verdict:
    rows: int
    """Sound ones."""
    head: str
    """The hash of the last sound row."""
    broken: int | None = None
    """The first row that is not as it was written, or is not there."""
    why: str = ""


def link(previous: str, row: Mapping[str, Any]) -> str:
    """The hash of a row that follows the one with the hash `previous`."""
    covered = json.dumps([previous, *(row[name] for name in FIELDS)], separators=(",", ":"))
    return hashlib.sha256(covered.encode()).hexdigest()


def verify(
    rows: Iterable[Mapping[str, Any]], *, after: int, first: int | None, newest: int, kept: str | None = None
) -> Verdict:
    """Follow the chain over `rows`, all of those above `after` by id; `newest` is the last id that was given out.

    `first` is the first row that has a hash. Where the chain begins is a number in the same store: whoever moves it must
    not be able to leave rows out. `kept` is the hash of some row, written down earlier: it must be in the chain.
    """
    if first is not None and first <= after:
        return Verdict(0, "", first, f"it has a hash, but the store says that the chain begins after row {after}")
    if first is None and newest > 0:
        return Verdict(0, "", 1, f"none of the rows up to {newest} has a hash, so nothing vouches for them")
    count, head, met = 0, "", kept is None
    for row in rows:
        expected = after + count + 1
        if row["id"] != expected:
            return Verdict(count, head, expected, "it is missing")
        if row["hash"] is None:
            return Verdict(count, head, expected, "it has no hash")
        if row["hash"] != link(head, row):
            return Verdict(count, head, expected, "it, or the hash before it, is not what was written")
        count, head = count + 1, row["hash"]
        met = met or head == kept
    if after + count < newest:
        return Verdict(count, head, after + count + 1, "it is missing")
    if not met:
        return Verdict(
            count, head, after + 1, f"no row has the hash {kept}: the chain was written anew from here or later"
        )
    return Verdict(count, head)
