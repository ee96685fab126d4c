"""Retention and erasure: what ended long ago is deleted, and payloads go when a person or their age says so.

Both work in batches, each a transaction of its own with a pause after it, so that nobody waits for them.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog

from dockbell.actions import audit
from dockbell.actions.deliveries import sought
from dockbell.actions.refusals import KEPT_FOR
from dockbell.clock import DAY, SECOND, Clock, Moment
from dockbell.domain.ids import first_id_at
from dockbell.domain.permissions import Actor, no_such_goods_owner
from dockbell.errors import InvalidInput, Problem
from dockbell.store import people, refusals, retention, webhook_hours
from dockbell.store.database import Database, Transaction

log = structlog.get_logger()
A_BATCH = 500
PAUSE_S = 0.05
LOOK_S = 60.0
WALK_ANEW = DAY
"""What was live when the walk passed by is met again a day later."""
HOURS_KEPT = 2 * DAY
"""Twice what any page shows of the statistics."""
FREE_SHARE = 0.1
"""Only a file with this much free is made smaller: what is free is used again anyway."""
ERASED_AT_ONCE_S = 20.0


@dataclass(slots=True)
class _Walk:
    """How far one of the walks is, in this program."""

    after: int = 0
    began_at: Moment = 0


class Retention:
    """Deletes what ended more than `days` ago, and the payloads of what ended more than `payload_days` ago.

    With the former go hours of the statistics that nobody reads any more. Why publishers were refused goes as payloads do,
    of which it may quote, and after `KEPT_FOR` in any case.
    """

    def __init__(self, database: Database, clock: Clock, *, days: int, payload_days: int | None = None) -> None:
        self._database = database
        self._clock = clock
        self._days = days
        self._payload_days = payload_days if payload_days is not None and (not days or payload_days < days) else None
        self._refusals_for = min([KEPT_FOR, *(each * DAY for each in (days, payload_days) if each)])
        self._deleting, self._erasing = _Walk(), _Walk()
        self._swept_at: Moment = 0
        self._not_before_s = 0.0
        self._untidy = False

    async def run(self) -> None:
        """Look once a minute, for as long as the node lives."""
        while True:
            try:
                await self.once()
            except Exception as error:  # noqa: BLE001 - a store that is away will be back
                log.error("retention.failed", error=str(error))  # noqa: TRY400
            await self._clock.sleep(LOOK_S)

    def wait(self, span: int) -> None:
        """Delete nothing for this long: the clock was set, and may be wrong."""
        self._not_before_s = self._clock.monotonic() + span / SECOND

    async def once(self) -> int:
        """Delete and erase all there is to; how many events were touched."""
        touched = 0
        if self._clock.monotonic() < self._not_before_s:
            return 0
        await self._forget_refusals()
        if self._days:
            await self._sweep()
            touched += await self._walk(self._deleting, self._days, whole=False)
        if self._payload_days is not None:
            touched += await self._walk(self._erasing, self._payload_days, whole=True)
        if touched:
            log.info("retention.done", events=touched)
        if touched or self._untidy:
            self._untidy = not await tidy(self._database, self._clock)
        return touched

    async def _forget_refusals(self) -> None:
        before_id = first_id_at(self._clock.now() - self._refusals_for)
        self._untidy |= bool(await self._database.write(lambda tx: refusals.delete(tx, before_id=before_id)))

    async def _sweep(self) -> None:
        """Once a day: what grows beside the events and nobody reads any more."""
        now = self._clock.now()
        if 0 <= now - self._swept_at < WALK_ANEW:
            return
        await self._in_batches(
            lambda tx: retention.delete_hours(
                tx, before=min(now, webhook_hours.counted_to(tx)) - HOURS_KEPT, limit=A_BATCH
            )
        )
        await self._in_batches(
            lambda tx: retention.delete_bulk_runs(tx, ended_before=now - self._days * DAY, limit=A_BATCH)
        )
        self._swept_at = now

    async def _in_batches(self, delete: Callable[[Transaction], int]) -> None:
        while await self._database.write(delete) == A_BATCH:
            await self._clock.sleep(PAUSE_S)

    async def _walk(self, walk: _Walk, days: int, *, whole: bool) -> int:
        now = self._clock.now()
        if not 0 <= now - walk.began_at < WALK_ANEW:
            walk.after, walk.began_at = 0, now
        touched = 0
        while True:
            chosen = await self._database.write(lambda tx: self._batch(tx, walk.after, now, days, whole=whole))
            touched += len(chosen.ids)
            if chosen.last is None:
                return touched
            walk.after = chosen.last
            await self._clock.sleep(PAUSE_S)

    def _batch(self, tx: Transaction, after: int, now: Moment, days: int, *, whole: bool) -> retention.Chosen:
        # Never ahead of the statistics: an attempt is counted before it goes.
        until = min(now - days * DAY, webhook_hours.counted_to(tx))
        chosen = retention.ended(
            tx, after=after, before_id=first_id_at(until), ended_before=until, limit=A_BATCH, whole=whole
        )
        if whole:
            retention.erase(tx, chosen.ids, now=now)
        else:
            retention.delete(tx, chosen.ids)
        return chosen


async def tidy(database: Database, clock: Clock) -> bool:
    """SQLite: give back what is free if that is much, and empty the log, so that nothing deleted is left in either.

    False if the log could not be emptied, because somebody reads: what was deleted can still be read in it.
    """
    while True:
        free, pages = await database.read(lambda tx: retention.free_pages(tx, database.dialect))
        if free <= pages * FREE_SHARE:
            break
        await database.write(retention.give_back)
        if (await database.read(lambda tx: retention.free_pages(tx, database.dialect)))[0] >= free:
            break  # a file from before this was possible
        await clock.sleep(PAUSE_S)
    emptied = await asyncio.to_thread(database.empty_log)
    if not emptied:
        log.warning("retention.log_not_emptied", hint="End what reads the database, such as an open sqlite3.")
    return emptied


@dataclass(slots=True)
class Erased:
    """What erasing a goods owner's or an object's payloads came to."""

    events: int = 0
    cancelled: int = 0
    """Deliveries that waited and will not be sent."""
    under_way: int = 0
    """Events left alone because an attempt was being made."""
    more: bool = False
    """There was no time for all of them: ask again."""
    in_log: bool = False
    """Somebody reads the database, so SQLite's log still holds what was erased: ask again."""


async def erase(
    database: Database, actor: Actor, clock: Clock, *, goods_owner_id: int | None, about: str | None
) -> Erased:
    """Take every payload of a goods owner, or about an object (`order/50163`), or both, out of the store.

    That there were events, and what came of them, stays in the log. What waits is cancelled.
    """
    actor.need_everyone()
    if goods_owner_id is None and about is None:
        raise InvalidInput([Problem("", "required", "Say whose payloads: goodsOwnerId, key, or both.")])
    if about is not None and not about.strip():  # a script's empty variable must not mean all of the goods owner's
        text = "The key is empty. Write one such as order/50163; leave it out to mean all of the goods owner's."
        raise InvalidInput([Problem("key", "required", text)])
    subject: dict[str, Any] = {"goods_owner_id": goods_owner_id, "about": sought(about)}
    await database.write(lambda tx: _begin(tx, actor, goods_owner_id, about, clock.now()))
    erased, after, began = Erased(), 0, clock.monotonic()
    while True:
        # Looked for among the readers: millions that were erased before may lie between, and publishers wait for the writer.
        chosen = await database.read(partial(retention.of_subject, **subject, after=after, limit=A_BATCH))
        done = await database.write(partial(_erase_batch, chosen=chosen.ids, now=clock.now()))
        erased.events += done.events
        erased.cancelled += done.cancelled
        erased.under_way += done.under_way
        if chosen.last is None:
            break
        after = chosen.last
        if clock.monotonic() - began > ERASED_AT_ONCE_S:
            erased.more = True
            break
        await clock.sleep(PAUSE_S)
    await database.write(lambda tx: _note(tx, actor, "erasure.ended", goods_owner_id, about, clock.now(), erased))
    erased.in_log = not await tidy(database, clock)
    return erased


def _begin(tx: Transaction, actor: Actor, goods_owner_id: int | None, about: str | None, now: Moment) -> None:
    """Written down before anything goes, so that a crash on the way hides nothing."""
    if goods_owner_id is not None and people.goods_owner(tx, goods_owner_id) is None:
        raise no_such_goods_owner(goods_owner_id)
    refusals.erase(tx, goods_owner_id, now=now)
    _note(tx, actor, "erasure.began", goods_owner_id, about, now)


def _erase_batch(tx: Transaction, chosen: Sequence[int], now: Moment) -> Erased:
    busy = retention.under_way(tx, chosen)
    retention.hold_events(tx, chosen)
    busy |= retention.under_way(tx, chosen)  # what a webhook missed may have been sent to it until then
    ids = [event_id for event_id in retention.still_whole(tx, chosen) if event_id not in busy]
    cancelled = retention.end_waiting(tx, ids, now=now)
    retention.erase(tx, ids, now=now)
    return Erased(len(ids), cancelled, len(busy))


def _note(
    tx: Transaction,
    actor: Actor,
    action: str,
    goods_owner_id: int | None,
    about: str | None,
    now: Moment,
    erased: Erased | None = None,
) -> None:
    counts = (
        {} if erased is None else {"events": erased.events, "cancelled": erased.cancelled, "underWay": erased.under_way}
    )
    audit.note(
        tx, actor, action, about or f"goods-owner/{goods_owner_id}", now=now,
        goods_owners=None if goods_owner_id is None else [goods_owner_id],
        after={"goodsOwnerId": goods_owner_id, "key": about, **counts},
    )  # fmt: skip
