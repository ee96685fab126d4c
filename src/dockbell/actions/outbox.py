"""Draining the outbox: what a warehouse system committed in its own PostgreSQL becomes events here, once and in order.

Two databases cannot commit together. Rows are removed there after the commit here; between the two a crash
leaves them, and the next drain accepts them again under the same publisher's id, which adds nothing. How this
keeps the order: docs/decisions/0008-outbox.md.
"""

import asyncio
import json
import re
from collections.abc import Callable, Sequence

import structlog
from msgspec.structs import replace

from dockbell.actions.commit import Verdict
from dockbell.actions.deliveries import sought
from dockbell.actions.index import Index, State
from dockbell.actions.journal import Journal
from dockbell.actions.publish import Accepted, Publisher, judge
from dockbell.clock import Clock, to_text
from dockbell.domain.event import NewEvent
from dockbell.domain.event_json import LARGEST_EVENT_BYTES
from dockbell.domain.permissions import SYSTEM
from dockbell.errors import DockbellError, StoreRefused, TooLarge, Unavailable, in_lines
from dockbell.store import events, outbox
from dockbell.store.database import Database, Row, Transaction

log = structlog.get_logger()
ROWS_AT_ONCE = 250
ACCEPTED_WITHIN_S = 30.0
LOOK_S = 5.0
"""At rest it is woken; this is for a wake-up that got lost, and for what a node left that died draining."""
LONGEST_PAUSE_S = 30.0
SHOWN = 100
CHARACTERS_SHOWN = 120
_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')


class Drain:
    """Drains one outbox into this node's journal, for as long as it runs."""

    def __init__(
        self,
        open_outbox: Callable[[], Database],
        database: Database,
        index: Index,
        publisher: Publisher,
        journal: Journal,
        clock: Clock,
    ) -> None:
        self._open = open_outbox
        self._database = database
        self._index = index
        self._publisher = publisher
        self._journal = journal
        self._clock = clock
        self._outbox: Database | None = None
        self._look = asyncio.Event()
        self._stop = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    async def run(self) -> None:
        """Drain until stopped. An outbox that is away is tried again, and holds up nothing else."""
        failures = 0
        while not self._stop.is_set():
            self._look.clear()
            try:
                drained = await self.drain_once()
                failures = 0
            except Exception as error:  # noqa: BLE001 - whatever it was, the outbox is tried again
                failures += 1
                told = error.message if isinstance(error, DockbellError) else f"{type(error).__name__}: {error}"
                log.error("outbox.drain_failed", error=told.strip(), hint="`dockbell outbox status` tells more.")  # noqa: TRY400
                # Not woken out of this one: events go on coming while the store is away.
                await self._nap(self._stop, min(LONGEST_PAUSE_S, 2.0 ** (failures - 1)))
                continue
            if drained < ROWS_AT_ONCE:
                await self._nap(self._look, LOOK_S)
        await self.close()

    async def close(self) -> None:
        if self._outbox is not None:
            await asyncio.to_thread(self._outbox.close)

    def stop(self) -> None:
        """End after the rows in hand; the journal must run until then."""
        self._stop.set()
        self._look.set()

    async def drain_once(self) -> int:
        """Take the next rows, if there are any and no other node takes them; how many."""
        if self._outbox is None:
            self._outbox = await asyncio.to_thread(self._open)
            self._outbox.listen(outbox.TOPIC, self._woken)
        return await self._outbox.write(self._drain)

    def _drain(self, tx: Transaction) -> int:
        """In one transaction of the outbox: take rows, have them committed here, remove them there; how many."""
        outbox.need(tx)
        if not outbox.lock(tx):
            return 0
        rows = outbox.waiting(tx, limit=ROWS_AT_ONCE, largest_bytes=LARGEST_EVENT_BYTES)
        if not rows:
            return 0
        verdicts = self._verdicts(rows)
        accepted = [row["number"] for row, one in zip(rows, verdicts, strict=True) if isinstance(one, Accepted)]
        refused = [
            (row["number"], in_lines(one))
            for row, one in zip(rows, verdicts, strict=True)
            if not isinstance(one, Accepted)
        ]
        outbox.remove(tx, accepted)
        outbox.set_aside(tx, refused)
        for number, reason in refused:
            log.warning("outbox.refused", number=number, reason=reason)
        return len(rows)

    def _verdicts(self, rows: Sequence[Row]) -> list[Verdict]:
        """One each; every accepted one is committed."""
        state, newest = self._database.submit_read(lambda tx: (self._index.fresh(tx), events.newest_id(tx))).result()
        # What was drained before may have got its ids from another node, whose clock is ahead of ours.
        self._publisher.pass_by(newest)
        judged = [_judged(row, state) for row in rows]
        sound = [one for one in judged if isinstance(one, NewEvent)]
        verdicts = self._accepted(sound)
        refused = [one for one in verdicts if isinstance(one, StoreRefused)]
        if refused and len(refused) == len(verdicts):
            raise refused[0]  # what fails on everything is not right itself: that is no event's fault
        told = iter(verdicts)
        return [next(told) if isinstance(one, NewEvent) else one for one in judged]

    def _accepted(self, sound: list[NewEvent]) -> list[Verdict]:
        """Halved until what the store refuses, for whatever reason, is refused alone; the others in their order."""
        accepting = asyncio.run_coroutine_threadsafe(self._journal.accept(sound, at_once=True), self._loop)
        try:
            return accepting.result(ACCEPTED_WITHIN_S)
        except StoreRefused as refused:
            if len(sound) < 2:
                return [refused for _ in sound]
            half = len(sound) // 2
            return self._accepted(sound[:half]) + self._accepted(sound[half:])

    def _woken(self) -> None:
        """Called in the thread that listens."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._look.set)

    async def _nap(self, event: asyncio.Event, seconds: float) -> None:
        waiting = {asyncio.ensure_future(self._clock.sleep(seconds)), asyncio.ensure_future(event.wait())}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()


def _judged(row: Row, state: State) -> NewEvent | DockbellError:
    """A row as an event that may be accepted, or why it may not."""
    try:
        if row["event"] is None:
            raise TooLarge(f"The event has {row['bytes']} bytes; at most {LARGEST_EVENT_BYTES} are allowed.")
        new = judge(row["event"].encode(), SYSTEM, state, idempotency_key=row["id"])
    except DockbellError as refused:
        return refused
    except Exception as bug:  # one row that we cannot read must not hold up all others for good
        log.exception("outbox.not_judged", number=row["number"])
        return DockbellError(f"Dockbell could not judge this event: {type(bug).__name__}: {bug}")
    return new if new.occurred_at is not None else replace(new, occurred_at=row["published_at"])


def retry(tx: Transaction) -> int:
    """Try everything that was set aside again; how many."""
    outbox.need(tx)
    return outbox.retry(tx)


def erase_away(open_outbox: Callable[[], Database], *, goods_owner_id: int | None, about: str | None) -> int:
    """`erase` in the outbox's own database, after what is here. Unavailable if it is away, for whoever believes all is gone."""
    try:
        away = open_outbox()
        try:
            return away.submit_write(lambda tx: erase(tx, goods_owner_id=goods_owner_id, about=about)).result()
        finally:
            away.close()
    except DockbellError as error:
        raise Unavailable(
            f"The payloads are erased here, but not in what the outbox has set aside: {error.message}",
            hint="Erase again once `dockbell outbox status` answers.",
        ) from error


def erase(tx: Transaction, *, goods_owner_id: int | None, about: str | None) -> int:
    """Take out what was set aside and is of this goods owner, or about this object, or both; how many."""
    outbox.need(tx)
    gone, last = [], 0
    while rows := outbox.set_aside_after(tx, last, limit=ROWS_AT_ONCE):
        gone += [row["number"] for row in rows if _is_about(row["event"], goods_owner_id, about)]
        last = rows[-1]["number"]
    outbox.remove(tx, gone)
    return len(gone)


def _is_about(event: str, goods_owner_id: int | None, about: str | None) -> bool:
    """Whether it is this goods owner's, and mentions the object. Nothing was accepted of it, so its own document is all that
    can be asked; one that does not say whose it is, is whose it mentions."""
    plain, wanted = _written_out(event), sought(about)
    if goods_owner_id is not None:
        owner = _goods_owner_of(event)
        if not (_mentions(plain, str(goods_owner_id)) if owner is None else owner == goods_owner_id):
            return False
    return wanted is None or _mentions(plain, wanted.text) or bool(wanted.kind and _mentions(plain, wanted.number))


def _goods_owner_of(event: str) -> int | None:
    try:
        document = json.loads(event)
    except (ValueError, RecursionError):  # a number of thousands of digits, or nested as deeply
        return None
    owner = document.get("goodsOwnerId") if isinstance(document, dict) else None
    return owner if type(owner) is int else None


def _written_out(event: str) -> str:
    """The JSON with its texts as people read them: many programs write `S\\u00d6\\/7` for SÖ/7."""
    return _TEXT.sub(lambda found: f'"{json.loads(found[0])}"', event)


def _mentions(event: str, word: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", event) is not None


def status(tx: Transaction) -> dict[str, object]:
    """What waits, and what was set aside with the reason, the newest first."""
    outbox.need(tx)
    waiting, oldest, refused = outbox.counts(tx)
    return {
        "waiting": waiting,
        "oldest": None if oldest is None else to_text(oldest),
        "refused": refused,
        "newest_refused": [
            {
                "number": row["number"],
                "refusedAt": to_text(row["refused_at"]),
                "event": row["event"],
                "reason": row["reason"],
            }
            for row in outbox.refused(tx, limit=SHOWN, characters=CHARACTERS_SHOWN)
        ],
    }
