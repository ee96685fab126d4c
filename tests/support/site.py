"""A whole Dockbell that pictures and the browser's tests look at: web server, worker, sender, warehouse and a receiver.

It runs in a thread of its own, on SQLite, with the warehouse of the demo. Webhooks may reach this machine.
"""

import asyncio
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import uvicorn

from dockbell.actions import sessions
from dockbell.actions.access import create_key
from dockbell.app import App
from dockbell.domain.permissions import SYSTEM
from dockbell.embed import Store
from dockbell.settings import DiskSettings, EgressSettings, ServerSettings, Settings, WarehouseSettings, WorkerSettings
from dockbell.store import users
from dockbell.testing.client import Client
from dockbell.testing.inspector import Inspector
from dockbell.warehouse.demo_data import load_demo
from dockbell.web.listen import a_server
from tests.support.program import PATIENCE_S, free_port, until

TEA, FJORD = 114, 207
PASSWORD = "a-long-enough-passphrase-49"
T = TypeVar("T")


@dataclass(frozen=True)
class Person:
    id: int
    email: str
    name: str
    role: str
    owners: tuple[int, ...] | None


@dataclass
class Site:
    """`people` by what they are: administrator, warehouse, tea, fjord."""

    store: Store
    url: str
    receiver_url: str
    inspector: Inspector
    api: Client
    people: dict[str, Person]

    def cookie_of(self, who: str) -> str:
        """What the browser of somebody who is signed in holds."""
        person, now = self.people[who], self.store.clock.now()
        return self.write(
            lambda tx: sessions.begin(tx, person.id, address="127.0.0.1", browser="Chromium of the tests", now=now)
        )

    def write(self, change: Callable[[Any], T]) -> T:
        return self.store.database.submit_write(change).result()

    def order(self, number: str, owner: int = TEA) -> int:
        """The id of the order with this number."""
        [found] = self.api.get(f"/api/v1/orders?goodsOwnerId={owner}&orderNumber={number}")
        return int(found["orderInfo"]["orderId"])

    def new_order(self, number: str, owner: int = TEA, transporter: str = "DHL", article: str = "TEA-001") -> int:
        """Another open order."""
        self.api.put(
            "/api/v1/orders",
            {
                "goodsOwnerId": owner,
                "orderNumber": number,
                "deliveryDate": "2030-01-31",
                "consignee": {
                    "customerNumber": "2001", "name": "Anna Lind", "address1": "Storgatan 5", "postCode": "411 38",
                    "city": "Göteborg", "countryCode": "SE",
                },
                "transporter": {"transporterCode": transporter},
                "orderType": {"code": "B2C"},
                "orderLines": [{"rowNumber": "1", "articleNumber": article, "numberOfItems": 1}],
            },
        )  # fmt: skip
        return self.order(number, owner)

    def do(self, order_id: int, *steps: str) -> None:
        for step in steps:
            self.api.post(f"/api/v1/warehouse/orders/{order_id}/{step}", {})

    def make_webhook(self, **fields: Any) -> Any:
        document = {
            "name": "ERP of Nordic Tea",
            "kind": "regular",
            "eventType": "order.picked",
            "goodsOwnerIds": [TEA],
            "targetUrl": f"{self.receiver_url}/erp/orders",
            **fields,
        }
        made = self.api.post("/api/v1/webhooks", document)
        return made.get("webhook", made)

    def deliveries(self, query: str = "") -> list[Any]:
        return list(self.api.get(f"/api/v1/deliveries?{query}")["items"])

    def attempted(self, webhook_id: int, count: int = 1) -> Any:
        """The webhook's newest delivery, once `count` of its deliveries have had an attempt."""

        def look() -> Any:
            rows = self.deliveries(f"webhookId={webhook_id}")
            whole = [self.api.get(f"/api/v1/deliveries/{row['id']}") for row in rows]
            done = [each for each in whole if each["attemptList"] and each["status"] != "sending"]
            return whole[0] if len(done) >= count else None

        return until(look, f"webhook {webhook_id} has {count} delivery(s) with an attempt")


@contextmanager
def a_site(folder: Path, *, people: Iterable[tuple[str, str, str, tuple[int, ...] | None]] = ()) -> Iterator[Site]:
    """Up when it is entered; everything it started has ended when it is left."""
    ports = free_port(), free_port()
    settings = Settings(
        database=str(folder / "site.sqlite"),
        key_file=folder / "site.key",
        system="demo3pl",
        server=ServerSettings(port=ports[0]),
        worker=WorkerSettings(slots=16, shutdown_s=1.0),
        egress=EgressSettings(allow_loopback_for_tests=True),
        warehouse=WarehouseSettings(enabled=True),
        disk=DiskSettings(ballast_mib=0),
    )
    inspector = Inspector()
    store = Store(settings)
    now = store.clock.now()
    store.database.submit_write(lambda tx: load_demo(tx, store.publisher, now)).result()
    key = store.database.submit_write(
        lambda tx: create_key(
            tx, SYSTEM, label="Demo administrator", scopes=["admin"], goods_owners=None, expires_at=None, now=now
        )
    ).result()
    made = {each: _person(store, name, role, owners) for each, name, role, owners in (*PEOPLE, *people)}
    ready, end = threading.Event(), threading.Event()
    failed: list[BaseException] = []
    thread = threading.Thread(
        target=_run, args=(settings, store, inspector, ports, ready, end, failed), name="site", daemon=True
    )
    thread.start()
    try:
        assert ready.wait(PATIENCE_S), "the site did not start"
        if failed:
            raise failed[0]
        url, receiver = (f"http://127.0.0.1:{port}" for port in ports)
        client = Client(url, key.key)
        try:
            yield Site(store, url, receiver, inspector, client, made)
        finally:
            client.close()
    finally:
        end.set()
        thread.join(PATIENCE_S)
    assert not thread.is_alive(), "the site did not stop"
    if failed:
        raise failed[0]


PEOPLE: tuple[tuple[str, str, str, tuple[int, ...] | None], ...] = (
    ("administrator", "Astrid Admin", "administrator", None),
    ("warehouse", "Wilma Warehouse", "warehouse", None),
    ("tea", "Tea Trader", "goods-owner", (TEA,)),
    ("fjord", "Finn Fjord", "goods-owner", (FJORD,)),
)


def _person(store: Store, name: str, role: str, owners: tuple[int, ...] | None) -> Person:
    email = f"{name.partition(' ')[0].lower()}@example.com"
    number = store.database.submit_write(
        lambda tx: users.insert(
            tx,
            email=email,
            name=name,
            role=role,
            goods_owners=None if owners is None else json.dumps(list(owners)),
            password_hash=_password_hash(),
            now=store.clock.now(),
        )
    ).result()
    return Person(number, email, name, role, owners)


def _password_hash() -> str:
    global _hashed  # noqa: PLW0603 - one hash costs as much as many pages
    if not _hashed:
        import argon2

        _hashed = argon2.PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(PASSWORD)
    return _hashed


_hashed = ""


def _run(
    settings: Settings,
    store: Store,
    inspector: Inspector,
    ports: tuple[int, int],
    ready: threading.Event,
    end: threading.Event,
    failed: list[BaseException],
) -> None:
    async def main() -> None:
        app = App(settings, store)
        await app.start()
        # Signals are the main thread's: uvicorn's own server leaves them alone in any other.
        servers = [
            uvicorn.Server(a_server(asgi, "127.0.0.1", port).config)
            for asgi, port in ((app.asgi, ports[0]), (inspector, ports[1]))
        ]
        serving = [asyncio.create_task(server.serve()) for server in servers]
        try:
            while not all(server.started for server in servers):
                assert not any(task.done() for task in serving), "a port was taken"
                await asyncio.sleep(0.01)  # noqa: TID251 - uvicorn offers no event to wait for
            ready.set()
            await asyncio.to_thread(end.wait)
        finally:
            for server in servers:
                server.should_exit = True
                server.force_exit = True
            await asyncio.gather(*serving, return_exceptions=True)
            await app.stop()

    try:
        asyncio.run(main())
    except BaseException as error:
        failed.append(error)
    finally:
        ready.set()
