"""What a webhook missed, and sending it: events that it would have been sent, had it been as it is now.

It was disabled, or its filter was wrong, or it was made later: such events have no delivery, so nothing can be resent.
They are judged by the webhook as it is now, and each becomes a delivery like any other, the oldest first. What has a
delivery already was not missed; whether that came through is the log's matter.
"""

import json
from dataclasses import dataclass
from typing import Any

from dockbell.actions.deliveries import NEWEST
from dockbell.actions.webhook_access import managed
from dockbell.clock import DAY, Clock, Moment
from dockbell.domain.filters import Facts, Filter
from dockbell.domain.ids import first_id_at
from dockbell.domain.permissions import Actor
from dockbell.domain.webhook import filter_from
from dockbell.errors import InvalidInput, Problem
from dockbell.store import events, missed, webhooks
from dockbell.store.database import Row, Transaction

WALKED_AT_ONCE = 400
JUDGED_AT_ONCE = 100
BYTES_AT_ONCE = 1 << 20
"""On SQLite all publishers wait while a batch is judged, and a filter may ask for every element of a large event."""
MOST_WAITING = 2_000
"""A run pauses while so much waits for its webhook: with all of it there, its goods owner's publishers would be refused."""
LONGEST_S = 1.0
MOST_VERSIONS = 100
LATELY = 7 * DAY


@dataclass(frozen=True, slots=True)
class Judged:
    """A part of the walk: the events the webhook wants, how many it does not, and where the walk goes on."""

    wanted: list[tuple[int, int]]
    unwanted: int
    last: int | None
    """None: there is nothing beyond."""


@dataclass(frozen=True, slots=True)
class Counted:
    """How many events a webhook missed; without `all_of_them` there was no time to look at every one."""

    events: int
    all_of_them: bool


@dataclass(frozen=True, slots=True)
class _Wanting:
    """The webhook as it is now, as far as it decides which events it wants."""

    webhook_id: int
    event_type: str
    goods_owners: frozenset[int] | None
    filter: Filter
    status: str
    """Of a delivery that is made for it."""

    def wants(self, event: Row) -> bool:
        try:
            return self.filter.objection(Facts(json.loads(event["data"]), json.loads(event["attributes"]))) is None
        except Exception:  # noqa: BLE001 - as when an event comes: what a filter cannot judge it does not want
            return False


def choose(since: Moment | None, until: Moment | None) -> tuple[int, int]:
    """The range of events as ids: the walk goes on after the first and ends before the second."""
    if since is None:
        text = "Say since when: a moment such as 2026-02-03T12:00:00Z."
        raise InvalidInput([Problem("from", "required", text)])
    return first_id_at(since) - 1, NEWEST if until is None else first_id_at(until + 1000)


def count(
    tx: Transaction,
    actor: Actor,
    webhook_id: int,
    *,
    since: Moment | None,
    until: Moment | None,
    clock: Clock,
) -> Counted:
    """How many would be sent; it has a second, and what is not looked at by then is not counted."""
    wanting = _wanting(managed(tx, actor, webhook_id), actor.goods_owners)
    after, before = choose(since, until)
    end, found = clock.monotonic() + LONGEST_S, 0
    while clock.monotonic() < end:
        part = _judge(tx, wanting, after=after, before=before, hold=False)
        found += len(part.wanted)
        if part.last is None:
            return Counted(found, all_of_them=True)
        after = part.last
    return Counted(found, all_of_them=False)


def send_some(tx: Transaction, chosen: dict[str, Any], after: int, *, now: Moment) -> tuple[int, int, int | None]:
    """Send the next of what `chosen` says (webhook, before, goodsOwners): how many, how many left out, and where to go on."""
    row = webhooks.find(tx, chosen["webhook"])
    if row is None or row["deleted_at"] is not None:
        return 0, 0, None
    owners = chosen["goodsOwners"]
    wanting = _wanting(row, None if owners is None else frozenset(owners))
    part = _judge(tx, wanting, after=after, before=chosen["before"], hold=True)
    if not part.wanted:
        return 0, part.unwanted, part.last
    # Held only now: nobody leases what waits for a webhook that another has in hand, and to judge takes the most time.
    held = webhooks.find(tx, wanting.webhook_id, for_update=True)
    if held is None or held["version"] != row["version"]:  # changed meanwhile: judged again
        return 0, 0, after
    sent = missed.send(tx, wanting.webhook_id, part.wanted, status=wanting.status, now=now)
    return sent, part.unwanted + len(part.wanted) - sent, part.last


def is_enough(tx: Transaction, chosen: dict[str, Any]) -> bool:
    """Whether as much waits for the webhook of `chosen` as a run may make wait."""
    return missed.waiting(tx, chosen["webhook"], most=MOST_WAITING) >= MOST_WAITING


def newest_known(tx: Transaction, before: int) -> int:
    """The end of a run that begins now: what is accepted from now on is no part of it."""
    return min(before, events.newest_id(tx) + 1)


def off_since(tx: Transaction, webhook_id: int, *, now: Moment) -> Moment | None:
    """Since when the webhook is disabled, or was until it was enabled again in the last days; else None."""
    since = until = None
    for version in webhooks.versions(tx, webhook_id, limit=MOST_VERSIONS):
        if not version["enabled"]:
            since = version["since"]
        elif since is not None:
            break
        else:
            until = version["since"]
    return since if until is None or until > now - LATELY else None


def _wanting(row: Row, only: frozenset[int] | None) -> _Wanting:
    settings = json.loads(row["settings"])
    owners = None if settings["goodsOwnerIds"] is None else frozenset(settings["goodsOwnerIds"])
    if only is not None:
        owners = only if owners is None else owners & only
    return _Wanting(
        row["id"], settings["eventType"], owners, filter_from(settings["filters"]), "pending" if row["enabled"] else "held"
    )  # fmt: skip


def _judge(tx: Transaction, wanting: _Wanting, *, after: int, before: int, hold: bool) -> Judged:
    """Walk on until enough was judged, or walked."""
    walked = missed.walk(tx, wanting.webhook_id, wanting.event_type, after=after, before=before, limit=WALKED_AT_ONCE)
    owners = wanting.goods_owners
    last = walked[-1]["id"] if len(walked) == WALKED_AT_ONCE else None
    ids: list[int] = []
    size = 0
    for row in walked:
        if not row["missed"] or (owners is not None and row["goods_owner_id"] not in owners):
            continue
        size += row["bytes"]
        if ids and (len(ids) == JUDGED_AT_ONCE or size > BYTES_AT_ONCE):
            last = ids[-1]
            break
        ids.append(row["id"])
    judged = missed.to_judge(tx, ids, hold=hold) if ids else []
    wanted = [(row["id"], row["goods_owner_id"]) for row in judged if wanting.wants(row)]
    return Judged(wanted, len(judged) - len(wanted), last)
