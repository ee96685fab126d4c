"""A change of the warehouse and the events that tell of it are committed together, or neither is."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from dockbell.actions.webhooks import Webhooks
from dockbell.domain.addresses import AddressPolicy
from dockbell.domain.permissions import SYSTEM
from dockbell.errors import Conflict, InvalidInput
from dockbell.store.vault import open_vault
from dockbell.warehouse.actions import (
    articles,
    files,
    inventories,
    order_reports,
    orders,
    production_orders,
    purchase_orders,
    shipments,
    stock,
)
from dockbell.warehouse.inputs.articles import NewArticle
from dockbell.warehouse.inputs.common import read
from dockbell.warehouse.inputs.floor import NewFile, NewInventory
from dockbell.warehouse.inputs.goods_in import NewProductionOrder, NewPurchaseOrder, NewShipment, ReceiveStep
from dockbell.warehouse.inputs.orders import NewOrder
from dockbell.warehouse.reconciliation import differences
from dockbell.warehouse.store import files as store_of_files
from tests.warehouse.floor import TEA, BrokenPublisher, Floor, an_order

ROOT = Path(__file__).parents[2]
PATIENCE_S = 15.0
BEFORE = {"allocate": 200, "pick": 320, "send": 400, "collect": 450, "cancel": 200}


def test_when_publishing_breaks_no_order_is_created(floor: Floor):
    before = floor.everything()
    floor.publisher = BrokenPublisher(floor.publisher)
    with pytest.raises(RuntimeError, match="broken on purpose"):
        floor.create()
    assert floor.everything() == before


@pytest.mark.parametrize("name", BEFORE)
def test_when_publishing_breaks_the_step_has_not_happened(floor: Floor, name: str):
    order_id = floor.bring_to(BEFORE[name])
    before = floor.everything()
    whole, floor.publisher = floor.publisher, BrokenPublisher(floor.publisher)
    with pytest.raises(RuntimeError, match="broken on purpose"):
        floor.do(getattr(orders, f"{name}_order"), order_id)
    assert floor.everything() == before
    floor.publisher = whole
    floor.do(getattr(orders, f"{name}_order"), order_id)
    assert floor.everything() != before


def test_an_embedding_system_that_fails_afterwards_takes_the_event_back_too(floor: Floor):
    order_id = floor.bring_to(320)
    before = floor.everything()

    def ship_and_fail(tx: Any) -> None:
        orders.pick_order(floor.act(tx), order_id)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        floor.write(ship_and_fail)
    assert floor.everything() == before


def test_the_delivery_to_a_webhook_is_in_the_same_commit(floor: Floor, tmp_path: Path):
    webhooks = Webhooks(floor.index, open_vault(tmp_path / "key", floor.database), AddressPolicy(allow_loopback=True))
    document = {
        "name": "ERP",
        "kind": "regular",
        "eventType": "order.picked",
        "goodsOwnerIds": [114],
        "targetUrl": "http://127.0.0.1:8999/hook",
        "filters": {"transporters": ["DHL"]},
    }
    floor.write(lambda tx: webhooks.create(tx, SYSTEM, document, now=floor.clock.now()))
    floor.bring_to(400, orderNumber="by PostNord", transporter={"transporterCode": "PostNord"})
    order_id = floor.bring_to(400)
    [delivery] = floor.everything()["deliveries"]
    [picked] = [event for event in floor.events(order_id) if event["event_type"] == "order.picked"]
    assert delivery["event_id"] == picked["id"]


# The process ends without a word, as in a power cut, right before or right after an event was stored.
DYING = """
import os, sys
from pathlib import Path
from dockbell.actions.publish import Publisher
from dockbell.store.database import open_database
from dockbell.warehouse.act import Act
from dockbell.warehouse.actions import orders
from tests.warehouse.floor import SYSTEM, CATALOG, AddressPolicy, EventIds, Index, ManualClock, open_vault

url, folder, order_id, moment = sys.argv[1:]
database = open_database(url)

class Dying(Publisher):
    def publish(self, tx, actor, event, *, now):
        if moment == "before":
            os._exit(33)
        super().publish(tx, actor, event, now=now)
        os._exit(33)

index = Index(CATALOG, open_vault(Path(folder) / "key", database), AddressPolicy())
publisher = Dying(index, EventIds(1), system="demo3pl")
now = ManualClock().now() + 60_000_000
database.submit_write(lambda tx: orders.pick_order(Act(tx, publisher, SYSTEM, now), int(order_id))).result()
"""


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_process_that_dies_between_the_change_and_the_commit_leaves_neither(
    floor: Floor, database_url: str, tmp_path: Path, moment: str
):
    order_id = floor.bring_to(320)
    before = floor.everything()
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    died = subprocess.run(
        [sys.executable, "-c", DYING, database_url, str(tmp_path), str(order_id), moment],
        env=environment, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert died.returncode == 33, died.stderr
    assert floor.everything() == before
    floor.do(orders.pick_order, order_id)
    assert floor.types(order_id)[-1] == "order.picked"


def test_of_many_who_pick_the_same_order_at_once_one_does(floor: Floor):
    order_id = floor.bring_to(320)

    def pick() -> Future[Any]:
        return floor.database.submit_write(lambda tx: orders.pick_order(floor.act(tx), order_id))

    errors = [future.exception() for future in [pick() for _ in range(8)]]
    assert errors.count(None) == 1
    assert all(isinstance(error, Conflict) for error in errors if error is not None)
    assert floor.types(order_id).count("order.picked") == 1
    assert floor.stock("TEA-001") == (495, 0)


def test_of_many_who_put_the_same_order_at_once_one_creates_it(floor: Floor):
    new = read(NewOrder, an_order(orderNumber="at once"))

    def put() -> Future[Any]:
        return floor.database.submit_write(lambda tx: orders.create_order(floor.act(tx), new))

    answers = [future.result() for future in [put() for _ in range(8)]]
    assert len({order_id for order_id, _ in answers}) == 1
    assert [created for _, created in answers].count(True) == 1
    assert floor.types(answers[0][0]) == ["order.created"]


def test_many_orders_never_share_the_last_items(floor: Floor):
    lines = [{"rowNumber": "1", "articleNumber": "TEA-001", "numberOfItems": 120}]
    ordered = [floor.create(orderNumber=f"S{number}", orderLines=lines) for number in range(6)]
    waiting = [
        floor.database.submit_write(
            lambda tx, o=order: orders.allocate_order(floor.act(tx), o)  # type: ignore[misc]
        )
        for order in ordered
    ]
    errors = [future.exception() for future in waiting]
    assert errors.count(None) == 4
    assert all(isinstance(error, Conflict) for error in errors if error is not None)
    assert floor.stock("TEA-001") == (500, 480)


def test_many_who_change_the_same_stock_at_once_leave_it_as_the_events_tell(floor: Floor):
    [item] = floor.rows("SELECT i.id FROM wms_article_items i WHERE i.article_id = 3001")
    orders_ = [floor.create(orderNumber=f"C{number}") for number in range(6)]
    parts = [{"articleNumber": "TEA-001", "numberOfItems": 1}, {"articleNumber": "TEA-102", "numberOfItems": 1}]
    made = {"productionOrderNumber": "MO", "articleNumber": "TEA-103", "numberOfItems": 2, "parts": parts}
    production = floor.do(
        production_orders.create_production_order, read(NewProductionOrder, {"goodsOwnerId": TEA, **made})
    )
    floor.do(production_orders.set_production_order_status, production, 300)
    adjustment = {"articleItemId": item["id"], "numberOfItems": -1}
    inventory = read(NewInventory, {"goodsOwnerId": TEA, "adjustments": [adjustment]})
    lines = [{"rowNumber": "1", "articleNumber": "TEA-001", "numberOfItems": 9}]
    document = {"goodsOwnerId": TEA, "purchaseOrderNumber": "PO-1", "purchaseOrderLines": lines}
    purchase_order, _ = floor.do(purchase_orders.put_purchase_order, read(NewPurchaseOrder, document))
    came = read(ReceiveStep, {"lines": [{"rowNumber": "1", "numberOfItems": 3}]}).lines

    def begin(step: Callable[..., Any], *args: Any) -> Future[Any]:
        return floor.database.submit_write(lambda tx: step(floor.act(tx), *args))

    futures = [begin(production_orders.set_production_order_status, production, 400)]
    for order_id in orders_:
        futures.append(begin(orders.allocate_order, order_id))
        futures.append(begin(inventories.adjust, inventory))
        futures.append(begin(purchase_orders.receive, purchase_order, came))
        futures.append(begin(stock.move_item, item["id"], 311 + order_id % 2))
        futures.append(begin(orders.pick_order, order_id))
        futures.append(begin(orders.cancel_order, order_id))
    errors = [future.exception() for future in futures]
    assert all(error is None or isinstance(error, Conflict) for error in errors), errors
    assert errors.count(None) > 6
    assert floor.read(differences) == []


def test_an_article_deleted_while_it_is_ordered_is_on_no_open_order(floor: Floor):
    """Whoever is first, the other is refused; both at once a hundred times, half of them purchase orders."""
    refusals = 0
    for number in range(100):
        name = f"RACE-{number}"
        article = {"goodsOwnerId": TEA, "articleNumber": name, "articleName": name}
        article_id, _ = floor.do(articles.put_article, read(NewArticle, article))
        line = [{"rowNumber": "1", "articleNumber": name, "numberOfItems": 1}]
        if number % 2:
            action: Callable[..., Any] = orders.create_order
            new: Any = read(NewOrder, an_order(orderNumber=name, orderLines=line))
        else:
            action = purchase_orders.put_purchase_order
            document = {"goodsOwnerId": TEA, "purchaseOrderNumber": name, "purchaseOrderLines": line}
            new = read(NewPurchaseOrder, document)
        ordering = floor.database.submit_write(lambda tx, a=action, n=new: a(floor.act(tx), n))  # type: ignore[misc]
        deleting = floor.database.submit_write(
            lambda tx, i=article_id: articles.delete_article(floor.act(tx), i)  # type: ignore[misc]
        )
        errors = [ordering.exception(), deleting.exception()]
        assert errors.count(None) == 1, errors
        assert isinstance(errors[0], InvalidInput) or isinstance(errors[1], Conflict)
        refusals += errors[0] is not None
    print(f"{refusals} of 100 articles were deleted first")
    assert (
        floor.rows(
            """
            SELECT a.number FROM wms_articles a WHERE a.deleted_at IS NOT NULL AND (
              a.id IN (SELECT l.article_id FROM wms_order_lines l)
              OR a.id IN (SELECT l.article_id FROM wms_purchase_order_lines l))
            """
        )
        == []
    )


def test_a_file_that_is_replaced_while_it_is_deleted_is_there_afterwards(floor: Floor, monkeypatch: pytest.MonkeyPatch):
    def a_file(content: str) -> NewFile:
        return read(NewFile, {"fileName": "note.txt", "mimeType": "text/plain", "fileDataBase64": content})

    order_id = floor.create()
    file_id, _ = floor.do(files.put_file, "order", order_id, a_file("AAAA"))
    deleted, replacing = threading.Event(), threading.Event()

    def change(*args: Any, **options: Any) -> None:
        replacing.set()
        plain(*args, **options)

    def delete(tx: Any) -> None:
        files.delete_file(floor.act(tx), "order", order_id, file_id)
        deleted.set()
        replacing.wait(0.5)  # who replaces it waits for us, and does not get so far

    plain = store_of_files.change
    monkeypatch.setattr(store_of_files, "change", change)
    deleting = floor.database.submit_write(delete)
    assert deleted.wait(PATIENCE_S)
    replaced = floor.database.submit_write(
        lambda tx: files.put_file(floor.act(tx), "order", order_id, a_file("BBBB"))
    ).result()
    deleting.result()
    [left] = floor.rows("SELECT id, content FROM wms_files")
    assert (left["id"], left["content"], replaced) == (replaced[0], "BBBB", (left["id"], True))


def test_of_many_who_take_the_same_number_at_once_one_has_it(floor: Floor):
    """Whoever makes a thing of that number, and whoever gives it to one that there is."""

    def begin(step: Any, *given: Any) -> Any:
        return floor.database.submit_write(lambda tx: step(floor.act(tx), *given))

    def one_has_it(*steps: tuple[Any, ...]) -> None:
        begun = [begin(*step) for step in steps]
        errors = [future.exception() for future in begun]
        assert errors.count(None) == 1, errors
        assert {error.code for error in errors if isinstance(error, Conflict)} == {"number_taken"}, errors
        assert sum(isinstance(error, Conflict) for error in errors) == len(steps) - 1, errors

    parts = [{"articleNumber": "TEA-001", "numberOfItems": 1}]
    make = {"goodsOwnerId": TEA, "articleNumber": "TEA-103", "numberOfItems": 1, "parts": parts}
    line = [{"rowNumber": "1", "articleNumber": "TEA-001", "numberOfItems": 1}]
    for round_ in range(8):
        number = f"N-{round_}"
        ids = [floor.create(orderNumber=f"O-{round_}-{each}") for each in range(4)]
        renamed: list[tuple[Any, ...]] = [(order_reports.change_field, each, "orderNumber", number) for each in ids]
        one_has_it(*renamed, (orders.order_anew, read(NewOrder, an_order(orderNumber=number))))
        made = [
            floor.do(purchase_orders.order_anew, read(NewPurchaseOrder, {**a_purchase, "purchaseOrderLines": line}))
            for each in range(4)
            for a_purchase in [{"goodsOwnerId": TEA, "purchaseOrderNumber": f"P-{round_}-{each}"}]
        ]
        one_has_it(*[(purchase_orders.change_field, each, "purchaseOrderNumber", number) for each in made])
        production = read(NewProductionOrder, {**make, "productionOrderNumber": number})
        one_has_it(*[(production_orders.create_production_order, production)] * 6)
        shipment = {"goodsOwnerId": TEA, "direction": "outbound", "shipmentOrderNumber": number}
        one_has_it(*[(shipments.create_shipment, read(NewShipment, shipment))] * 6)
