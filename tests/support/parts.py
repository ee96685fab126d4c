"""The web server's application on a real database, with a dispatcher that sends nothing."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from dockbell.actions.access import Doorkeeper, create_key
from dockbell.actions.commit import Job
from dockbell.actions.index import Index
from dockbell.actions.journal import Journal
from dockbell.actions.publish import Publisher
from dockbell.actions.refusals import Refusals
from dockbell.actions.webhooks import Webhooks
from dockbell.clock import SECOND, Moment, SystemClock
from dockbell.domain.addresses import AddressPolicy
from dockbell.domain.catalog import load_catalog
from dockbell.domain.ids import EventIds
from dockbell.domain.permissions import SYSTEM
from dockbell.domain.webhook import Webhook
from dockbell.store import people
from dockbell.store.database import Database
from dockbell.store.deliveries import Closing
from dockbell.store.vault import open_vault
from dockbell.web.server import Parts, build_app
from tests.support.asgi import Api
from tests.support.rows import FJORD, TEA, a_closing

CATALOG = load_catalog()
ANYTHING = {"key": "test.anything", "name": "Anything", "schema": {"type": "object"}, "example": {"a": 1}}


class Idle:
    """Makes no attempts: everything waits in the store. Only a test event is closed, as delivered."""

    def __init__(self) -> None:
        self.journal: Journal | None = None

    def reserve(self, webhook: Webhook, *, now: Moment, at_once: bool = False) -> Moment | None:
        return now + 25 * SECOND if at_once else None

    def unreserve(self, webhook_id: int) -> None: ...

    def answer_after(self, webhook_ids: Iterable[int]) -> float:
        return 0.0

    def take(self, jobs: Sequence[Job]) -> None:
        assert self.journal is not None
        for job in jobs:
            self.journal.close(a_closing(job.lease, webhook_version=job.webhook.version))

    def closed(self, closings: Sequence[Closing]) -> None: ...


class Server:
    """The application with its parts and with keys to it."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.app = build_app(parts)
        self.admin = Api(self.app, self.make_key(["admin"], None))
        self.nobody = Api(self.app)

    def make_key(self, scopes: Iterable[str], owners: Iterable[int] | None, expires_at: Moment | None = None) -> str:
        now = self.parts.clock.now() if expires_at is None else expires_at - SECOND
        return (
            self.parts.database.submit_write(
                lambda tx: create_key(
                    tx, SYSTEM, label="for a test", scopes=scopes, goods_owners=owners, expires_at=expires_at, now=now
                ),
            )
            .result()
            .key
        )

    def as_key(self, scopes: Iterable[str], owners: Iterable[int] | None = None) -> Api:
        return Api(self.app, self.make_key(scopes, owners))

    async def make_webhook(self, api: Api | None = None, **fields: Any) -> Any:
        reply = await (api or self.admin).post("/api/v1/webhooks", a_webhook(**fields))
        assert reply.status == 201, reply.document
        return reply.document

    async def publish(self, api: Api | None = None, **fields: Any) -> Any:
        reply = await (api or self.admin).post("/api/v1/events", an_event(**fields))
        assert reply.status == 202, reply.document
        return reply.document


@asynccontextmanager
async def a_server(database: Database, folder: Path) -> AsyncIterator[Server]:
    """Goods owners 114 and 207, the built-in event types, and `test.anything`, which takes any data."""
    clock = SystemClock()
    now = clock.now()
    database.submit_write(lambda tx: people.put_goods_owner(tx, TEA, "Nordic Tea AB", now=now)).result()
    database.submit_write(lambda tx: people.put_goods_owner(tx, FJORD, "Fjord Outdoor AS", now=now)).result()
    vault = open_vault(folder / "key", database)
    addresses = AddressPolicy(allow_loopback=True)
    index = Index(CATALOG, vault, addresses)
    publisher = Publisher(index, EventIds(0), system="demo")
    # Walks over all routes make more webhooks than a goods owner may have.
    webhooks = Webhooks(index, vault, addresses, most_of_an_owner=1_000)
    dispatcher = Idle()
    journal = Journal(database, index, publisher, webhooks, clock, dispatcher, node=0)
    dispatcher.journal = journal
    await index.refresh(database)
    running = asyncio.create_task(journal.run())
    refusals = Refusals(database, index, clock, publisher.new_id)
    server = Server(Parts(database, index, journal, publisher, webhooks, Doorkeeper(database), clock, "demo", refusals))
    assert (await server.admin.post("/api/v1/eventTypes", ANYTHING)).status == 201
    try:
        yield server
    finally:
        await refusals.end()
        journal.stop()
        await running


def a_webhook(**fields: Any) -> dict[str, Any]:
    return {
        "name": "ERP",
        "eventType": "order.picked",
        "goodsOwnerIds": [TEA],
        "targetUrl": "http://127.0.0.1:8999/hook",
        **fields,
    }


def an_event(**fields: Any) -> dict[str, Any]:
    return {"type": "test.anything", "goodsOwnerId": TEA, "data": {"a": 1}, **fields}
