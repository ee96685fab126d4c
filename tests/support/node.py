"""One node in process, on a real database: everything but the web server and real connections."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from dockbell.actions import bulk, deliveries, events
from dockbell.actions.index import Index
from dockbell.actions.journal import Journal
from dockbell.actions.publish import Accepted, Publisher, judge
from dockbell.actions.webhooks import Saved, Webhooks
from dockbell.clock import SECOND, Clock, Moment
from dockbell.delivery.worker import Worker
from dockbell.domain.addresses import AddressPolicy
from dockbell.domain.catalog import load_catalog
from dockbell.domain.delivery import Outcome
from dockbell.domain.event import NewEvent
from dockbell.domain.ids import EventIds
from dockbell.domain.permissions import SYSTEM, Actor
from dockbell.domain.request import delivery_id
from dockbell.errors import DockbellError
from dockbell.store import people
from dockbell.store.database import Database, Row
from dockbell.store.deliveries import next_due_at
from dockbell.store.migrate import migrate
from dockbell.store.vault import open_vault
from dockbell.testing.clock import ManualClock
from dockbell.testing.sender import FakeSender

CATALOG = load_catalog()
TEA, FJORD = 114, 207
TEA_ONLY = Actor("k1", "Nordic Tea", frozenset({"read", "manage", "publish"}), frozenset({TEA}))
PATIENCE_S = 10.0


class Node:
    """A node's parts, with short words for what tests do with them."""

    def __init__(
        self,
        database: Database,
        folder: Path,
        clock: Clock,
        *,
        number: int = 0,
        working: bool = True,
        script: Iterable[Outcome] = (),
    ) -> None:
        self.working = working
        self.database = database
        self.clock = clock
        self.vault = open_vault(folder / "key", database)
        self.addresses = AddressPolicy(allow_loopback=True)
        self.index = Index(CATALOG, self.vault, self.addresses)
        self.publisher = Publisher(self.index, EventIds(number), system="demo3pl")
        self.webhooks = Webhooks(self.index, self.vault, self.addresses)
        self.worker = Worker(database, self.index, clock, node=number, jitter=lambda: 0.0)
        self.journal = Journal(database, self.index, self.publisher, self.webhooks, clock, self.worker, node=number)
        self.sender = FakeSender(self.worker.outcomes, script)
        self.worker.attach(self.sender, self.journal)

    def make_webhook(self, actor: Actor = SYSTEM, **fields: Any) -> Saved:
        document = a_webhook(**fields)
        return self.database.submit_write(
            lambda tx: self.webhooks.create(tx, actor, document, now=self.clock.now())
        ).result()

    def event_document(self, **fields: Any) -> dict[str, Any]:
        return an_event(**fields)

    def event_bytes(self, **fields: Any) -> bytes:
        return json.dumps(an_event(**fields)).encode()

    def judged(self, raw: bytes, actor: Actor = SYSTEM) -> NewEvent:
        """What a publisher sent, judged by what this node knows now."""
        return judge(raw, actor, self.index.state)

    async def publish(self, actor: Actor = SYSTEM, **fields: Any) -> Accepted:
        await self.index.refresh(self.database)
        raw = json.dumps(an_event(**fields)).encode()
        [verdict] = await self.journal.accept([judge(raw, actor, self.index.state)])
        if not isinstance(verdict, Accepted):
            raise verdict
        return verdict

    async def publish_many(self, *documents: dict[str, Any], actor: Actor = SYSTEM) -> list[Accepted | DockbellError]:
        """Several events in one go, as one request of a publisher brings them."""
        await self.index.refresh(self.database)
        return await self.journal.accept(
            [judge(json.dumps(one).encode(), actor, self.index.state) for one in documents]
        )

    async def change_webhook(self, webhook_id: int, actor: Actor = SYSTEM, **patch: Any) -> Saved:
        now = self.clock.now()
        saved = await self.database.write(lambda tx: self.webhooks.change(tx, actor, webhook_id, patch, now=now))
        await self.index.refresh(self.database)
        return saved

    async def delete_webhook(self, webhook_id: int, actor: Actor = SYSTEM) -> int:
        now = self.clock.now()
        cancelled = await self.database.write(lambda tx: self.webhooks.delete(tx, actor, webhook_id, now=now))
        await self.index.refresh(self.database)
        return cancelled

    async def webhook(self, webhook_id: int) -> dict[str, Any]:
        return await self.database.read(lambda tx: self.webhooks.get(tx, SYSTEM, webhook_id))

    async def resend(self, event_id: int, webhook_id: int) -> dict[str, Any]:
        now = self.clock.now()
        return await self.database.write(
            lambda tx: deliveries.resend(tx, SYSTEM, delivery_id(event_id, webhook_id), now=now)
        )

    async def cancel(self, event_id: int, webhook_id: int) -> dict[str, Any]:
        now = self.clock.now()
        return await self.database.write(
            lambda tx: deliveries.cancel(tx, SYSTEM, delivery_id(event_id, webhook_id), now=now)
        )

    async def send_missed(self, webhook_id: int) -> None:
        """All that the webhook missed, ever."""
        now = self.clock.now()
        run = await self.database.write(
            lambda tx: bulk.begin_missed(tx, SYSTEM, webhook_id, since=0, until=None, now=now)
        )
        while await self.database.write(lambda tx: bulk.next_batch(tx, run["id"], now=now)):
            pass

    async def why(self, event_id: int, actor: Actor = SYSTEM) -> dict[int, str]:
        """The reason told for each webhook."""
        found = await self.database.read(lambda tx: events.why(tx, actor, event_id))
        return {answer["webhookId"]: answer["reason"] for answer in found}

    async def delivery(self, event_id: int, webhook_id: int) -> dict[str, Any]:
        """The delivery as the log shows it, with its attempts."""
        return await self.database.read(lambda tx: deliveries.get(tx, SYSTEM, delivery_id(event_id, webhook_id)))

    async def status(self, event_id: int, webhook_id: int) -> str:
        return str((await self.delivery(event_id, webhook_id))["status"])

    def hear_late_of_claims(self) -> tuple[asyncio.Event, asyncio.Event]:
        """The first is set when the worker has leased something; it hears of that when the test sets the second."""
        leased, go_on, claim = asyncio.Event(), asyncio.Event(), self.worker._claims.claim

        async def claim_late() -> Any:
            found = await claim()
            if found[0]:
                leased.set()
                await go_on.wait()
            return found

        self.worker._claims.claim = claim_late  # type: ignore[method-assign]
        return leased, go_on

    async def until(self, holds: Callable[[], Any], *, what: str = "") -> None:
        """Wait until a condition on this node's own memory holds, or fail after half a minute."""
        end = time.monotonic() + 3 * PATIENCE_S
        never = asyncio.get_running_loop().create_future()
        while not holds():
            if time.monotonic() > end:
                raise AssertionError(f"waited in vain{': ' + what if what else ''}")
            await asyncio.wait([never], timeout=0.001)

    async def passing(self, holds: Callable[[], Any], *, step: int = SECOND // 10) -> None:
        """Let time pass in small steps until something holds; each step waits for store and worker to keep up."""
        assert isinstance(self.clock, ManualClock)
        clock = self.clock
        end = time.monotonic() + 6 * PATIENCE_S
        while not holds():
            if time.monotonic() > end:
                raise AssertionError("time passed in vain")
            await self.database.write(lambda tx: tx.one("SELECT 1 AS one"))
            await self.until(lambda: self.worker._stopping or clock.sleepers() >= 2 * self.working)
            self.clock.advance(step)

    async def napping(self) -> None:
        """Wait until the worker sleeps: from then on the clock may be moved without anyone missing it."""
        assert isinstance(self.clock, ManualClock)
        clock, worker = self.clock, self.worker
        await self.until(
            lambda: not worker._look.is_set() and not worker._claiming and clock.sleepers() >= 2 * self.working,
            what="the worker to sleep",
        )

    async def rest(self) -> None:
        """Wait until nothing is being sent and nothing that may be sent is due."""
        end = time.monotonic() + 3 * PATIENCE_S
        while True:
            await self.worker.quiet()
            await self.napping()
            now = self.clock.now()
            busy = await self.database.read(
                lambda tx: tx.all(
                    "SELECT * FROM deliveries WHERE status = 'sending' OR (status = 'pending' AND due_at <= :now)",
                    now=now,  # noqa: B023
                ),
            )
            if not busy:
                await self.napping()
                return
            if time.monotonic() > end:
                raise AssertionError(f"still busy: {[dict(row) for row in busy[:5]]}")

    async def advance(self, span: int) -> None:
        """Let time pass and everything happen that is due then."""
        assert isinstance(self.clock, ManualClock)
        await self.napping()
        self.clock.advance(span)
        await self.rest()

    async def to_next_attempt(self) -> bool:
        """Let time pass until the next waiting delivery is due, and be attempted; False if none waits."""
        assert isinstance(self.clock, ManualClock)
        await self.rest()
        due_at = await self.database.read(next_due_at)
        if due_at is None:
            return False
        self.clock.move_to(due_at)
        await self.rest()
        return True

    def rows(self, sql: str, **params: Any) -> list[Row]:
        return self.database.submit_read(lambda tx: tx.all(sql, **params)).result()


@asynccontextmanager
async def a_node(
    database: Database, folder: Path, *, clock: Clock | None = None, working: bool = True, **options: Any
) -> AsyncIterator[Node]:
    clock = clock or ManualClock()
    migrate(database, now=clock.now())
    database.submit_write(lambda tx: _owners(tx, clock.now())).result()
    node = Node(database, folder, clock, working=working, **options)
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
