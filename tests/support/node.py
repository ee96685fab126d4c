"""One node in process, on a real database: everything but the web server and real connections."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from dockbell.actions.index import Index
from dockbell.actions.journal import Journal
from dockbell.actions.publish import Accepted, Publisher, judge
from dockbell.actions.webhooks import Saved, Webhooks
from dockbell.clock import Clock, Moment
from dockbell.delivery.worker import Worker
from dockbell.domain.addresses import AddressPolicy
from dockbell.domain.catalog import load_catalog
from dockbell.domain.delivery import Outcome
from dockbell.domain.ids import EventIds
from dockbell.domain.permissions import SYSTEM, Actor
from dockbell.store import people
from dockbell.store.database import Database, Row
from dockbell.store.migrate import migrate
from dockbell.store.vault import open_vault
from dockbell.testing.clock import ManualClock
from dockbell.testing.sender import FakeSender

CATALOG = load_catalog()
TEA, FJORD = 114, 207


class Node:
    """A node's parts, with short words for what tests do with them."""

    def __init__(self, database: Database, folder: Path, clock: Clock, *, number: int = 0, script: Iterable[Outcome] = ()) -> None:
        self.database = database
        self.clock = clock
        self.vault = open_vault(folder / "key", database)
        self.addresses = AddressPolicy(allow_loopback=True)
        self.index = Index(CATALOG, self.vault, self.addresses)
        self.publisher = Publisher(self.index, EventIds(number), system="demo3pl")
        self.webhooks = Webhooks(self.index, self.vault, self.addresses)
        self.worker = Worker(database, self.index, clock, node=number, jitter=lambda: 0.0)
        self.journal = Journal(
            database, self.index, self.publisher, self.webhooks, clock, self.worker, node=number
        )
        self.sender = FakeSender(self.worker.outcomes, script)
        self.worker.attach(self.sender, self.journal)

    def make_webhook(self, actor: Actor = SYSTEM, **fields: Any) -> Saved:
        document = a_webhook(**fields)
        return self.database.submit_write(
            lambda tx: self.webhooks.create(tx, actor, document, now=self.clock.now())
        ).result()

    async def publish(self, actor: Actor = SYSTEM, **fields: Any) -> Accepted:
        await self.index.refresh(self.database)
        raw = json.dumps(an_event(**fields)).encode()
        [verdict] = await self.journal.accept([judge(raw, actor, self.index.state)])
        if not isinstance(verdict, Accepted):
            raise verdict
        return verdict

    def rows(self, sql: str, **params: Any) -> list[Row]:
        return self.database.submit_read(lambda tx: tx.all(sql, **params)).result()


@asynccontextmanager
async def a_node(database: Database, folder: Path, *, clock: Clock | None = None, working: bool = True, **options: Any) -> AsyncIterator[Node]:
    clock = clock or ManualClock()
    migrate(database, now=clock.now())
    database.submit_write(lambda tx: _owners(tx, clock.now())).result()
    node = Node(database, folder, clock, **options)
    await node.index.refresh(database)
    tasks = [asyncio.create_task(node.journal.run())]
    if working:
        tasks.append(asyncio.create_task(node.worker.run()))
    try:
        yield node
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _owners(tx: Any, now: Moment) -> None:
    people.put_goods_owner(tx, TEA, "Nordic Tea AB", now=now)
    people.put_goods_owner(tx, FJORD, "Fjord Outdoor AS", now=now)


def a_webhook(**fields: Any) -> dict[str, Any]:
    return {
        "name": "ERP",
        "kind": "regular",
        "eventType": "order.picked",
        "goodsOwnerIds": [TEA],
        "targetUrl": "http://127.0.0.1:8999/hook",
        **fields,
    }


def an_event(**fields: Any) -> dict[str, Any]:
    event_type = CATALOG.get(fields.get("type", "order.picked"))
    assert event_type is not None
    return {"type": event_type.key, "goodsOwnerId": TEA, "data": dict(event_type.example), **fields}
