"""What publishers were refused: an event that was never accepted stands in no log, yet somebody looks for it.

It costs a publisher who is refused without end no more than one who is now and then: what is refused within a second is
written together, of each key the first few, and of each key the newest are kept, for a week. The event itself is not kept,
but what it says it is about.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import structlog

from dockbell.actions.deliveries import NEWEST, sought
from dockbell.actions.index import Index
from dockbell.clock import DAY, Clock, Moment, to_text
from dockbell.domain.event_json import LARGEST_EVENT_BYTES, LARGEST_ID
from dockbell.domain.event_type import LONGEST_KEY, LONGEST_NUMBER, EventType
from dockbell.domain.ids import first_id_at, moment_of
from dockbell.domain.permissions import Actor
from dockbell.errors import DockbellError, StorageFull, Unavailable, in_lines, printable
from dockbell.store import refusals
from dockbell.store.database import Database, Row, Transaction
from dockbell.store.objects import Sought
from dockbell.store.refusals import RefusalRow

WRITTEN_AFTER_S = 1.0
MOST_AT_ONCE = 20
KEPT_OF_A_KEY = 50
KEPT_FOR = 7 * DAY
LONGEST_DETAIL = 2_000
A_LOOK = 500
log = structlog.get_logger()


class Refusals:
    """Gathers what this node refuses, and writes it a second later. Used on the event loop alone."""

    def __init__(self, database: Database, index: Index, clock: Clock, new_id: Callable[[Moment], int]) -> None:
        self._database = database
        self._index = index
        self._clock = clock
        self._new_id = new_id
        self._noted: list[RefusalRow] = []
        self._of_actor: Counter[str] = Counter()
        self._writing: asyncio.Task[None] | None = None

    def note(self, actor: Actor, refused: DockbellError, raw: bytes) -> None:
        """An event of this actor was refused; `raw` is it, or the whole body when that could not be read.

        A store that is away or full is no fault of the event: it is sent again.
        """
        if isinstance(refused, Unavailable | StorageFull):
            return
        self._of_actor[actor.id] += 1
        if self._of_actor[actor.id] <= MOST_AT_ONCE:
            self._noted.append(self._row(actor, refused, raw))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_soon())

    async def end(self) -> None:
        """Write what was noted, for the last time."""
        if self._writing is not None:
            self._writing.cancel()
        await self._write()

    async def _write_soon(self) -> None:
        try:
            while self._noted:
                await self._clock.sleep(WRITTEN_AFTER_S)
                await self._write()
        finally:
            self._writing = None

    async def _write(self) -> None:
        noted, self._noted = self._noted, []
        more, self._of_actor = self._of_actor, Counter()
        if not noted:
            return
        newest = {row.actor: row.id for row in noted}
        rows = [
            msgspec.structs.replace(row, more=max(0, more[row.actor] - MOST_AT_ONCE))
            if newest[row.actor] == row.id
            else row
            for row in noted
        ]
        oldest_id = first_id_at(self._clock.now() - KEPT_FOR)
        try:
            await self._database.write(lambda tx: refusals.insert(tx, rows, kept=KEPT_OF_A_KEY, oldest_id=oldest_id))
        except Exception as error:  # noqa: BLE001 - nobody waits for this task
            log.warning("refusals.not_written", error=str(error))

    def _row(self, actor: Actor, refused: DockbellError, raw: bytes) -> RefusalRow:
        said = _said_in(raw)
        event_type = _text(said.get("type"), LONGEST_KEY)
        owner = said.get("goodsOwnerId")
        key, number = _name(said.get("key")), _name(said.get("number"))
        meant = self._type_meant(event_type)
        data = said.get("data")
        if meant is not None and isinstance(data, dict):
            key, number = key or meant.key_of(data), number or meant.number_of(data)
        return RefusalRow(
            id=self._new_id(self._clock.now()),
            actor=actor.id,
            actor_label=actor.label,
            goods_owners=None if actor.goods_owners is None else json.dumps(sorted(actor.goods_owners)),
            goods_owner_id=owner if type(owner) is int and 0 <= owner <= LARGEST_ID else None,
            event_type=event_type,
            publisher_id=_text(said.get("id"), LONGEST_KEY),
            object_key=_text(key, LONGEST_KEY),
            object_number=_text(number, LONGEST_NUMBER),
            status=refused.status,
            code=refused.code,
            detail=in_lines(refused)[:LONGEST_DETAIL],
        )

    def _type_meant(self, event_type: str | None) -> EventType | None:
        """Where the data has its object: of a misspelt type, where the type that was probably meant has it."""
        if event_type is None:
            return None
        catalog = self._index.state.catalog
        return catalog.get(event_type) or catalog.get(catalog.did_you_mean(event_type) or "")


def page(
    tx: Transaction, actor: Actor, *, about: str | None = None, before: int | None = None, limit: int = 50, now: Moment
) -> list[dict[str, Any]]:
    """Refusals, newest first: of keys that are for nobody but the actor's goods owners. `about` as in the log of deliveries."""
    actor.need("read")
    wanted = sought(about)
    found: list[dict[str, Any]] = []
    last, from_id = NEWEST if before is None else before, first_id_at(now - KEPT_FOR)
    while len(found) < limit:
        rows = refusals.page(tx, before=last, from_id=from_id, limit=A_LOOK)
        found += [_view(row) for row in rows if _is_for(actor, row) and (wanted is None or _is_about(wanted, row))]
        if len(rows) < A_LOOK:
            break
        last = rows[-1]["id"]
    return found[:limit]


def _is_for(actor: Actor, row: Row) -> bool:
    if actor.goods_owners is None:
        return True
    return row["goods_owners"] is not None and actor.goods_owners.issuperset(json.loads(row["goods_owners"]))


def _is_about(wanted: Sought, row: Row) -> bool:
    """As events are found. An event without its id has no key, and may be refused for just that: then its number is enough."""
    if row["object_key"] is None and wanted.kind is not None and row["object_number"] == wanted.number:
        return True
    return wanted.names(row["object_key"], row["object_number"])


def _view(row: Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "refusedAt": to_text(moment_of(row["id"])),
        "by": row["actor_label"],
        "keyId": row["actor"],
        "goodsOwnerId": row["goods_owner_id"],
        "type": row["event_type"],
        "publisherId": row["publisher_id"],
        "key": row["object_key"],
        "number": row["object_number"],
        "status": row["status"],
        "code": row["code"],
        "detail": row["detail"],
        "more": row["more"],
    }


def _said_in(raw: bytes) -> dict[str, Any]:
    """What the event says of itself, as far as it can be read: it was refused, so anything may be wrong with it."""
    if len(raw) > LARGEST_EVENT_BYTES:
        return {}
    try:
        document = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _name(value: object) -> str | None:
    """An object's key or number as text, also where a number stands in its place: who looks for it writes the same."""
    return str(value) if type(value) is int else value if isinstance(value, str) else None


def _text(value: object, longest: int) -> str | None:
    """What was sent, as it may be stored and shown: neither store nor page takes every character that JSON can say."""
    return printable(value[:longest]) if isinstance(value, str) else None
