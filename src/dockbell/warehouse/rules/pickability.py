"""Whether the goods that orders wait for are there. Pure: what is wanted and what is free goes in, a verdict a line comes out.

Orders are served in the order they are given. A line is

    NothingToAllocate   it waits for nothing
    Ok                  there is enough for everybody who waits
    ByPriority          there is enough for it when those before it are served first, not for all after it
    NotByPriority       there would be enough, but those before it take it
    NotOk               there is too little even if it were served first
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["Ok", "ByPriority", "NotByPriority", "NotOk", "NothingToAllocate"]
WORST: tuple[Verdict, ...] = ("NotOk", "NotByPriority", "ByPriority", "Ok", "NothingToAllocate")
ANSWERS: Mapping[str, frozenset[Verdict]] = {
    "All": frozenset({"Ok", "ByPriority"}),
    "NotPickable": frozenset({"NotOk", "NotByPriority"}),
    "NotOk": frozenset({"NotOk"}),
}
"""What the list of orders can be asked for."""


@dataclass(frozen=True, slots=True)
class Need:
    order_id: int
    line_id: int
    article_id: int
    count: int


@dataclass(frozen=True, slots=True)
class Arrival:
    """Goods that are announced; nobody may have said for when."""

    article_id: int
    count: int
    in_date: str | None


@dataclass(frozen=True, slots=True)
class Outlook:
    verdict: Verdict
    by_advised: bool
    """Whether what is there and announced is enough."""
    in_date: str | None
    """When the last of what is missing is announced for."""


def outlooks(needs: Sequence[Need], free: Mapping[int, int], arrivals: Iterable[Arrival]) -> dict[int, Outlook]:
    """By line. Arrivals come the earliest first."""
    wanted = Counter[int]()
    for need in needs:
        wanted[need.article_id] += need.count
    coming: dict[int, list[Arrival]] = {}
    for arrival in arrivals:
        coming.setdefault(arrival.article_id, []).append(arrival)
    before = Counter[int]()
    found = {}
    for need in needs:
        there = free.get(need.article_id, 0)
        verdict = _verdict(need.count, there, before[need.article_id], wanted[need.article_id])
        before[need.article_id] += need.count
        found[need.line_id] = _outlook(verdict, before[need.article_id] - there, coming.get(need.article_id, ()))
    return found


def _verdict(count: int, there: int, before: int, wanted: int) -> Verdict:
    if count == 0:
        return "NothingToAllocate"
    if count > there:
        return "NotOk"
    if wanted <= there:
        return "Ok"
    return "ByPriority" if before + count <= there else "NotByPriority"


def _outlook(verdict: Verdict, missing: int, coming: Sequence[Arrival]) -> Outlook:
    if verdict in ("Ok", "ByPriority", "NothingToAllocate"):
        return Outlook(verdict, by_advised=True, in_date=None)
    for arrival in coming:
        missing -= arrival.count
        if missing <= 0:
            return Outlook(verdict, by_advised=True, in_date=arrival.in_date)
    return Outlook(verdict, by_advised=False, in_date=None)


def worst(of: Iterable[Outlook]) -> Outlook:
    """An order's: as good as its worst line, and there when its last goods are."""
    lines = list(of)
    there = {line.verdict for line in lines}
    verdict = next((each for each in WORST if each in there), WORST[-1])
    dates = [line.in_date for line in lines if line.in_date is not None]
    by_advised = all(line.by_advised for line in lines)
    return Outlook(verdict, by_advised=by_advised, in_date=max(dates, default=None) if by_advised else None)
