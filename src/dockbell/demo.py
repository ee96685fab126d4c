"""The demo: a warehouse, two goods owners, two webhooks, and a receiver that shows what arrives.

It does by hand what the whole product is for: order 12345 is picked, the receiver knows, it calls back for
the order, and the log tells what happened. Everything goes over HTTP, as any warehouse system would do it.
"""

import asyncio
import json
import secrets
import socket
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop
from rich.console import Console

from dockbell.actions.access import create_key
from dockbell.actions.passwords import hashed
from dockbell.app import SWITCH_INTERVAL_S, App
from dockbell.clock import Moment
from dockbell.domain.permissions import SYSTEM
from dockbell.embed import Store
from dockbell.settings import DiskSettings, EgressSettings, ServerSettings, Settings, WarehouseSettings
from dockbell.store import users
from dockbell.store.database import Transaction
from dockbell.testing.client import Client
from dockbell.testing.inspector import Inspector, Received
from dockbell.warehouse.demo_data import load_demo
from dockbell.web.listen import a_server

TEA, FJORD = 114, 207
ORDER = "12345"
OPEN = 200
"""The status of an order that nobody has begun with."""
PATIENCE_S = 15.0
USERS = (
    ("admin@example.com", "Anna, administrator", "administrator", None),
    ("warehouse@example.com", "Omar, warehouse", "warehouse", None),
    ("tea@example.com", "Ellen of Nordic Tea", "goods-owner", f"[{TEA}]"),
)
console = Console(soft_wrap=True, highlight=False)


@dataclass(frozen=True, slots=True)
class _Scene:
    """Where things are while the demo runs."""

    url: str
    receiver_url: str
    inspector: Inspector
    admin: str
    callback: str
    password: str
    arrived: threading.Event


def run_demo(*, once: bool, answer: int, port: int, folder: Path | None) -> int:
    """Run it; the exit code is 0 only if the order was picked, delivered, logged and fetched."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    if folder is not None:
        return _run_in(folder, once=once, answer=answer, port=port)
    with tempfile.TemporaryDirectory(prefix="dockbell-demo-") as made:
        return _run_in(Path(made), once=once, answer=answer, port=port)


def _run_in(folder: Path, *, once: bool, answer: int, port: int) -> int:
    ports = _ports(port)
    settings = Settings(
        database=str(folder / "demo.sqlite"),
        system="demo3pl",
        server=ServerSettings(port=ports[0]),
        egress=EgressSettings(allow_loopback_for_tests=True),
        warehouse=WarehouseSettings(enabled=True),
        disk=DiskSettings(ballast_mib=0),
    )
    store = Store(settings)
    first = store.first_key()
    store.database.submit_write(lambda tx: load_demo(tx, store.publisher, store.clock.now())).result()
    admin = first.key if first is not None else _make_key(store, "Demo administrator", ["admin"], None)
    callback = _make_key(store, "The receiver's fetch-back", ["read"], [TEA])
    arrived = threading.Event()
    inspector = Inspector(answer=answer, on_request=lambda _: arrived.set())
    password = secrets.token_urlsafe(12)
    password_hash = asyncio.run(hashed(password))
    store.database.submit_write(lambda tx: _let_in(tx, password_hash, store.clock.now())).result()
    scene = _Scene(
        f"http://127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[1]}", inspector, admin, callback, password, arrived
    )  # fmt: skip
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_play(settings, store, scene, ports, once=once))


async def _play(settings: Settings, store: Store, scene: _Scene, ports: tuple[int, int], *, once: bool) -> int:
    app = App(settings, store)
    await app.start()
    dockbell, receiver = (
        a_server(app.asgi, "127.0.0.1", ports[0], protocol=app.front),
        a_server(scene.inspector, "127.0.0.1", ports[1]),
    )
    serving = [asyncio.create_task(server.serve()) for server in (dockbell, receiver)]
    try:
        while not (dockbell.started and receiver.started):
            if any(task.done() for task in serving):
                console.print(f"Port {ports[0]} or {ports[1]} is taken. Choose another: dockbell demo --port 9000")
                return 1
            await asyncio.sleep(0.01)  # noqa: TID251 - uvicorn offers no event to wait for
        code = await asyncio.to_thread(_four_steps, scene)
        if not once:
            _tell_what_next(scene)
            await asyncio.wait(serving, return_when=asyncio.FIRST_COMPLETED)
    finally:
        dockbell.should_exit = receiver.should_exit = True
        await asyncio.gather(*serving, return_exceptions=True)
        await app.stop()
    return code


def _four_steps(scene: _Scene) -> int:
    """Make the webhooks, pick the order, see the request, read the log, fetch the order."""
    client = Client(scene.url, scene.admin)
    console.print("[bold]Dockbell[/bold] is up, with a small warehouse and a receiver on this machine.")
    console.print(
        "Webhooks may reach this very machine here, because the demo allows it for itself; a real one does not.\n"
    )
    [order] = client.get(f"/api/v1/orders?goodsOwnerId={TEA}&orderNumber={ORDER}")
    order_id = order["orderInfo"]["orderId"]
    if order["orderInfo"]["orderStatus"]["number"] != OPEN:
        console.print(
            f"Order {ORDER} was picked when the demo ran in this folder before. Webhooks, orders and log are as they were then; "
            "to see it picked, name another --folder."
        )
        return 1
    webhook = _make_webhooks(client, scene)

    console.rule("1. Order 12345 is picked")
    for step in ("allocate", "pick"):
        order = client.post(f"/api/v1/warehouse/orders/{order_id}/{step}", {})
    info = order["orderInfo"]
    console.print(
        f"Order {info['orderNumber']} (id {order_id}) of {order['goodsOwner']['name']}, "
        f"transporter {order['transporter']['transporterName']}: status {info['orderStatus']['number']} {info['orderStatus']['text']}, "
        f"{info['pickedNumberOfItems']:g} of {info['orderedNumberOfItems']:g} items picked.",
        markup=False,
    )

    console.rule("2. The receiver is told")
    came = _wait_for_request(scene, order_id)
    if came is None:
        console.print("[red]Nothing arrived at the receiver.[/red]")
        return 1
    console.print(came.text(), markup=False)
    console.print(f"It answered {came.answered}.")

    console.rule("3. The log says what happened")
    delivery = _wait_for_log(client, webhook["id"])
    attempt = delivery["attemptList"][-1] if delivery["attemptList"] else None
    if attempt is None:
        console.print("[red]The log has no attempt.[/red]")
        return 1
    console.print(_log_row(delivery, attempt), markup=False)

    console.rule("4. The receiver calls back for the order")
    path = json.loads(came.body)["path"]
    fetched = Client(scene.url, scene.callback).get(path)
    console.print(f"GET {path}\n" + json.dumps(_short(fetched), indent=2, ensure_ascii=False), markup=False)

    return _verdict(delivery, came, fetched, order_id)


def _make_webhooks(client: Client, scene: _Scene) -> Any:
    regular = client.post(
        "/api/v1/webhooks",
        {
            "name": "ERP of Nordic Tea",
            "kind": "regular",
            "eventType": "order.picked",
            "goodsOwnerIds": [TEA],
            "targetUrl": f"{scene.receiver_url}/erp/orders",
            "authentication": {"type": "basic", "username": "dockbell", "password": "tea-and-biscuits"},
            "headers": [{"name": "X-Company-Id", "value": "654"}],
            "filters": {"transporters": ["DHL"]},
            "retryPolicy": {"name": "one-day"},
        },
    )
    automation = client.post(
        "/api/v1/webhooks",
        {
            "name": "Shipping platform",
            "kind": "automation",
            "eventType": "order.status-changed",
            "goodsOwnerIds": [TEA, FJORD],
            "targetUrl": f"{scene.receiver_url}/shipping",
            "authentication": {"type": "token", "token": "a-fixed-token-of-the-platform"},
            "filters": {"statuses": [{"to": 450}]},
            "retryPolicy": {"name": "one-day"},
        },
    )
    made = regular.get("webhook", regular), automation.get("webhook", automation)
    console.print(
        f"Regular webhook    {made[0]['id']}: “{made[0]['name']}”, Order is picked, transporter DHL, retry policy One day."
    )
    console.print(
        f"Automation webhook {made[1]['id']}: “{made[1]['name']}”, status 450 (Sent) reached, both goods owners.\n"
    )
    return made[0]


def _wait_for_request(scene: _Scene, order_id: int) -> Received | None:
    while scene.arrived.wait(PATIENCE_S):
        scene.arrived.clear()
        for came in scene.inspector.received:
            if came.path == "/erp/orders" and json.loads(came.body)["orderId"] == order_id:
                return came
    return None


def _wait_for_log(client: Client, webhook_id: int) -> Any:
    """The delivery once its first attempt is written: a few milliseconds after the receiver answered."""
    delivery: Any = None
    for _ in range(200):
        [row] = client.get(f"/api/v1/deliveries?webhookId={webhook_id}")["items"]
        delivery = client.get(f"/api/v1/deliveries/{row['id']}")
        if delivery["status"] != "sending":
            break
        threading.Event().wait(0.02)
    return delivery


def _log_row(delivery: Any, attempt: Any) -> str:
    lines = [
        f"Delivery {delivery['id']} · {delivery['eventType']} · {delivery['object']} ({delivery['number']}) · {delivery['status']}",
        (
            f"Attempt {attempt['attemptNo']} at {attempt['startedAt']} to {attempt['address']}: {attempt['code']}, "
            f"{attempt['durationInMs']['total']:.1f} ms (first byte after {attempt['durationInMs']['firstByte']:.1f} ms)"
        ),
    ]
    if delivery["nextAttemptAt"] is not None:
        lines.append(f"Next attempt at {delivery['nextAttemptAt']}")
    return "\n".join(lines)


def _verdict(delivery: Any, came: Received, fetched: Any, order_id: int) -> int:
    console.rule()
    if fetched["orderInfo"]["orderId"] != order_id or fetched["orderInfo"]["orderStatus"]["number"] < 400:
        console.print("[red]The fetched order is not the picked one.[/red]")
        return 1
    if delivery["status"] == "delivered" and 200 <= came.answered <= 299:
        console.print("[green]Picked, delivered, logged and fetched.[/green]")
        return 0
    planned = delivery["nextAttemptAt"]
    console.print(
        f"[yellow]Not delivered: the receiver answered {came.answered}.[/yellow] Next attempt: {planned or 'none'}."
    )
    return 1


def _tell_what_next(scene: _Scene) -> None:
    console.print("\n[bold]What next?[/bold] Everything stays up until Ctrl-C.\n")
    console.print(
        f"""  In the browser: {scene.url}/
    sign in as admin@example.com (or warehouse@example.com, or tea@example.com, who sees only Nordic Tea's own)
    password: {scene.password}
    1. Webhooks => Create new regular webhook, to {scene.receiver_url}/mine; press Test.
    2. Warehouse => an order => Allocate, Pick: its page shows what each webhook did, or why it did nothing.
    3. {scene.receiver_url}/ shows what the receiver got; there you can also break it: 500.
    4. Pick another order; Logs show the failure and the next attempt. Mend the receiver, press Resend.

  In another terminal:
    export KEY={scene.admin}
    curl -s -H "Authorization: Bearer $KEY" {scene.url}/api/v1/deliveries        # the log
    curl -s -H "Authorization: Bearer $KEY" '{scene.url}/api/v1/orders?goodsOwnerId={TEA}'   # the warehouse's orders
    curl -s {scene.receiver_url}/                    # what the receiver got
    curl -s -X PUT {scene.receiver_url}/answer/500   # break the receiver, then pick another order:
    curl -s -X POST -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' -d '{{}}' \\
         {scene.url}/api/v1/warehouse/orders/<orderId>/allocate    # and .../pick
""",
        markup=False,
    )


def _short(order: Any) -> Any:
    info = order["orderInfo"]
    return {
        "goodsOwner": order["goodsOwner"],
        "orderInfo": {name: info[name] for name in ("orderId", "orderNumber", "orderStatus", "pickedNumberOfItems")},
        "orderLines": [
            {"article": line["article"]["articleNumber"], "pickedNumberOfItems": line["pickedNumberOfItems"]}
            for line in order["orderLines"]
        ],
    }


def _let_in(tx: Transaction, password_hash: str, now: Moment) -> None:
    """One user of each role, all with the password of this run."""
    for email, name, role, owners in USERS:
        found = users.find_by_email(tx, email)
        user_id = found["id"] if found is not None else users.insert(
            tx, email=email, name=name, role=role, goods_owners=owners, password_hash=None, now=now
        )  # fmt: skip
        users.change(tx, user_id, {"password_hash": password_hash})


def _make_key(store: Store, label: str, scopes: list[str], goods_owners: list[int] | None) -> str:
    now = store.clock.now()
    made = store.database.submit_write(
        lambda tx: create_key(
            tx, SYSTEM, label=label, scopes=scopes, goods_owners=goods_owners, expires_at=None, now=now
        ),
    ).result()
    return made.key


def _ports(port: int) -> tuple[int, int]:
    if port:
        return port, port + 1
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]
