"""A step that may not follow is refused with the reason, and changes nothing, for each thing whose state decides."""

from collections.abc import Callable
from typing import Any

import pytest

from dockbell.errors import Conflict, InvalidInput
from dockbell.warehouse.actions import (
    inventories,
    movements,
    orders,
    pallets,
    pick_orders,
    production_orders,
    purchase_orders,
    shipments,
    stock,
)
from dockbell.warehouse.actions.articles import list_items
from dockbell.warehouse.inputs.common import read
from dockbell.warehouse.inputs.floor import MovementChange, NewInventory, NewMovement, NewPalletItem
from dockbell.warehouse.inputs.goods_in import (
    NewProductionOrder,
    NewPurchaseOrder,
    NewShipment,
    ReceivedItems,
    ReceiveStep,
)
from dockbell.warehouse.inputs.orders import ReturnedItems, ReturnStep
from tests.warehouse.floor import TEA, Floor


def refused(floor: Floor, step: Callable[..., Any], *args: Any, **options: Any) -> str:
    """The reason; nothing has changed."""
    before = floor.everything()
    with pytest.raises(Conflict) as conflict:
        floor.do(step, *args, **options)
    assert conflict.value.code == "impossible_step"
    assert conflict.value.hint
    assert floor.everything() == before
    return conflict.value.message


# --- Purchase orders -------------------------------------------------------------------------------------

ONE = [read(ReceivedItems, {"rowNumber": "1", "numberOfItems": 1})]
STATUSES = (100, 200, 300, 400, 500, 900)
NEXT = {
    100: {200, 300, 400, 500, 900},
    200: {300, 400, 500, 900},
    300: {400, 500, 900},
    400: {500},
    500: set(),
    900: set(),
}
TAKES_GOODS = {100, 200, 300}


def a_purchase_order(floor: Floor, number: str = "PO-1", items: int = 5) -> int:
    line = {"rowNumber": "1", "articleNumber": "TEA-001", "numberOfItems": items}
    document = {"goodsOwnerId": TEA, "purchaseOrderNumber": number, "purchaseOrderLines": [line]}
    made, _ = floor.do(purchase_orders.put_purchase_order, read(NewPurchaseOrder, document))
    return int(made)


@pytest.mark.parametrize("status", STATUSES)
def test_a_purchase_order_goes_where_its_status_leads(floor: Floor, status: int):
    for wanted in STATUSES:
        number = a_purchase_order(floor, f"PO-{wanted}")
        if status != 100:
            floor.do(purchase_orders.set_purchase_order_status, number, status)
        if wanted in NEXT[status] | {status}:
            floor.do(purchase_orders.set_purchase_order_status, number, wanted)
        else:
            reason = refused(floor, purchase_orders.set_purchase_order_status, number, wanted)
            assert f"PO-{wanted}" in reason
    number = a_purchase_order(floor, "PO-goods")
    floor.do(purchase_orders.set_purchase_order_status, number, status)
    if status in TAKES_GOODS:
        floor.do(purchase_orders.receive, number, ONE)
        assert "1 items came in" in refused(floor, purchase_orders.set_purchase_order_status, number, 900)
    else:
        refused(floor, purchase_orders.receive, number, ONE)
        refused(floor, purchase_orders.finish, number)


def test_a_purchase_order_is_changed_only_before_goods_come(floor: Floor):
    number = a_purchase_order(floor)
    floor.do(purchase_orders.receive, number, ONE)
    before = floor.everything()
    with pytest.raises(Conflict, match="cannot be changed"):
        a_purchase_order(floor, items=9)
    assert floor.everything() == before
    refused(floor, purchase_orders.change_field, number, "purchaseOrderNumber", "PO-2")


def test_everything_wrong_with_a_receipt_is_said_at_once(floor: Floor):
    number = a_purchase_order(floor)
    before = floor.everything()
    lines = [
        {"rowNumber": "9", "numberOfItems": 1, "locationId": 5},
        {"rowNumber": "1", "numberOfItems": 2, "serial": "S-1", "articleItemStatusCode": "NEW", "palletItemId": 1},
    ]
    with pytest.raises(InvalidInput) as problems:
        floor.do(purchase_orders.receive, number, read(ReceiveStep, {"lines": lines}).lines)
    assert [(problem.field, problem.code) for problem in problems.value.problems] == [
        ("lines[0].rowNumber", "row_number"),
        ("lines[1].articleItemStatusCode", "article_item_status"),
        ("lines[1].serial", "serial"),
        ("lines[1].palletItemId", "pallet_item"),
        ("lines[0].locationId", "location"),
    ]
    assert floor.everything() == before


def test_nothing_is_received_onto_a_pallet_that_is_closed(floor: Floor):
    purchase_order = a_purchase_order(floor)
    pallet = floor.do(pallets.create_pallet_item, read(NewPalletItem, {"goodsOwnerId": TEA, "labelId": "P-1"}))
    floor.do(pallets.close_pallet_item, pallet)
    onto_it = [read(ReceivedItems, {"rowNumber": "1", "numberOfItems": 1, "palletItemId": pallet})]
    assert refused(floor, purchase_orders.receive, purchase_order, onto_it).startswith("Pallet item P-1 is closed")


# --- Shipments and production orders ---------------------------------------------------------------------


def a_shipment(floor: Floor, direction: str, **fields: Any) -> int:
    document = {"goodsOwnerId": TEA, "direction": direction, "shipmentOrderNumber": "SHP-1", **fields}
    return int(floor.do(shipments.create_shipment, read(NewShipment, document)))


SHIPMENTS = {
    "inbound": {100: (200, 300, 900), 200: (300, 900), 300: (400,), 400: (), 900: ()},
    "outbound": {100: (200, 900), 200: (300, 900), 300: (400,), 400: (), 900: ()},
}
WAYS: dict[int, tuple[int, ...]] = {100: (), 200: (200,), 300: (200, 300), 400: (200, 300, 400), 900: (900,)}


@pytest.mark.parametrize("direction", SHIPMENTS)
@pytest.mark.parametrize("status", WAYS)
def test_a_shipment_goes_where_its_status_leads(floor: Floor, direction: str, status: int):
    for wanted in WAYS:
        if wanted == status:
            continue
        number = a_shipment(floor, direction, shipmentOrderNumber=f"SHP-{wanted}")
        for each in WAYS[status]:
            floor.do(shipments.set_shipment_status, number, each)
        if wanted in SHIPMENTS[direction][status]:
            floor.do(shipments.set_shipment_status, number, wanted)
        else:
            refused(floor, shipments.set_shipment_status, number, wanted)


def test_a_shipment_departs_only_with_orders_that_can_be_sent_and_carries_none_twice(floor: Floor):
    picked, waiting = floor.bring_to(400, orderNumber="picked"), floor.bring_to(320, orderNumber="waiting")
    number = a_shipment(floor, "outbound", orderIds=[picked, waiting])
    for status in (200, 300):
        floor.do(shipments.set_shipment_status, number, status)
    assert "Order waiting cannot be sent" in refused(floor, shipments.set_shipment_status, number, 400)
    again = {"goodsOwnerId": TEA, "direction": "outbound", "shipmentOrderNumber": "SHP-2", "orderIds": [picked]}
    assert "is on shipment" in refused(floor, shipments.create_shipment, read(NewShipment, again))


def a_production_order(floor: Floor, number: str = "MO-1", count: int = 1) -> int:
    document = {
        "goodsOwnerId": TEA,
        "productionOrderNumber": number,
        "articleNumber": "TEA-103",
        "numberOfItems": count,
        "parts": [{"articleNumber": "TEA-001", "numberOfItems": 2}],
    }
    return int(floor.do(production_orders.create_production_order, read(NewProductionOrder, document)))


@pytest.mark.parametrize(
    ("way", "possible"), [((), {300, 900}), ((300,), {400, 900}), ((300, 400), set()), ((900,), set())]
)
def test_a_production_order_goes_where_its_status_leads(floor: Floor, way: tuple[int, ...], possible: set[int]):
    status = way[-1] if way else 200
    for wanted in {200, 300, 400, 900} - {status}:
        number = a_production_order(floor, f"MO-{wanted}")
        for each in way:
            floor.do(production_orders.set_production_order_status, number, each)
        if wanted in possible:
            floor.do(production_orders.set_production_order_status, number, wanted)
        else:
            refused(floor, production_orders.set_production_order_status, number, wanted)


def test_a_production_order_is_not_finished_without_its_parts(floor: Floor):
    number = a_production_order(floor, count=300)
    floor.do(production_orders.set_production_order_status, number, 300)
    reason = refused(floor, production_orders.set_production_order_status, number, 400)
    assert "600 of TEA-001 are needed and 500 are free" in reason


# --- Work on the floor -----------------------------------------------------------------------------------


def test_a_pick_order_is_started_once_and_executed_once_after_that(floor: Floor):
    number = floor.do(pick_orders.create_pick_order, [floor.bring_to(320)])
    refused(floor, pick_orders.execute_pick_order, number)
    floor.do(pick_orders.start_pick_order, number)
    refused(floor, pick_orders.start_pick_order, number)
    floor.do(pick_orders.execute_pick_order, number)
    refused(floor, pick_orders.start_pick_order, number)
    refused(floor, pick_orders.execute_pick_order, number)


@pytest.mark.parametrize("status", [200, 300, 400, 450, 500, 1000])
def test_only_allocated_orders_that_are_on_no_pick_order_are_gathered(floor: Floor, status: int):
    allocated = floor.bring_to(320, orderNumber="allocated")
    other = floor.bring_to(status, orderNumber="other")
    assert "order other has status" in refused(floor, pick_orders.create_pick_order, [allocated, other])
    floor.do(pick_orders.create_pick_order, [allocated])
    assert "order allocated is on pick order" in refused(floor, pick_orders.create_pick_order, [allocated])
    floor.do(orders.deallocate_order, allocated)
    floor.do(orders.allocate_order, allocated)
    floor.do(pick_orders.create_pick_order, [allocated])


def the_item(floor: Floor, number: str = "TEA-001") -> int:
    """The newest item of the article on the shelves."""
    found = floor.read(lambda tx: list_items(tx, floor.act(tx).actor, TEA, number=number))
    return int(found[0]["items"][-1]["articleItemId"])


def a_movement(floor: Floor, noun: movements.Noun) -> int:
    if noun == "movement order":
        fields: dict[str, Any] = {"articleItemId": the_item(floor)}
    else:
        pallet = {"goodsOwnerId": TEA, "labelId": "PAL-1"}
        fields = {"palletItemId": floor.do(pallets.create_pallet_item, read(NewPalletItem, pallet))}
    return int(floor.do(movements.create_movement, noun, read(NewMovement, {**fields, "toLocationId": 900})))


@pytest.mark.parametrize("noun", ["movement order", "movement pallet item"])
def test_a_movement_that_is_executed_stays_as_it_is(floor: Floor, noun: movements.Noun):
    number = a_movement(floor, noun)
    floor.do(movements.execute_movement, noun, number)
    refused(floor, movements.execute_movement, noun, number)
    refused(floor, movements.delete_movement, noun, number)
    refused(floor, movements.change_movement, noun, number, read(MovementChange, {"assignedUserId": 1}))


def test_goods_that_have_left_the_shelf_are_not_moved_adjusted_or_locked(floor: Floor):
    order_id = floor.bring_to(320)
    item_id = the_item(floor)
    fields = {"articleItemId": item_id, "toLocationId": 900}
    number = floor.do(movements.create_movement, "movement order", read(NewMovement, fields))
    adjustment = {"goodsOwnerId": TEA, "adjustments": [{"articleItemId": item_id, "numberOfItems": -1}]}
    assert "it is allocated" in refused(floor, inventories.adjust, read(NewInventory, adjustment))
    assert "it is allocated" in refused(floor, stock.set_item_status, item_id, "QUAR")
    floor.do(orders.pick_order, order_id)
    assert "it is picked" in refused(floor, stock.move_item, item_id, 900)
    assert "it is picked" in refused(floor, movements.execute_movement, "movement order", number)
    refused(floor, movements.create_movement, "movement order", read(NewMovement, fields))


def test_more_than_there_is_cannot_be_moved_or_taken_out(floor: Floor):
    item_id = the_item(floor)
    assert "there are 500" in refused(floor, stock.move_item, item_id, 900, number_of_items=501)
    assert "lies in A-01 already" in refused(floor, stock.move_item, item_id, 400)
    adjustments = [{"articleItemId": item_id, "numberOfItems": -1}, {"articleItemId": item_id, "numberOfItems": -500}]
    inventory = {"goodsOwnerId": TEA, "adjustments": adjustments}
    assert "there are 499" in refused(floor, inventories.adjust, read(NewInventory, inventory))


def test_nothing_more_goes_into_a_closed_parcel(floor: Floor):
    order_id = floor.bring_to(400)
    floor.do(orders.pack_order, order_id, quantities={"1": 1}, parcel_number="P-1")
    order = floor.do(orders.pack_order, order_id, quantities={"1": 1}, parcel_number="P-1")
    [parcel] = order["parcels"]
    floor.do(pallets.close_pallet_item, parcel["id"])
    refused(floor, orders.pack_order, order_id, quantities={"1": 1}, parcel_number="P-1")


# --- Returns ---------------------------------------------------------------------------------------------


def back(count: int, **fields: Any) -> list[ReturnedItems]:
    return list(read(ReturnStep, {"lines": [{"rowNumber": "1", "numberOfItems": count, **fields}]}).lines)


@pytest.mark.parametrize("status", [200, 300, 320, 400, 1000])
def test_only_what_was_sent_comes_back(floor: Floor, status: int):
    refused(floor, orders.take_back_order, floor.bring_to(status), back(1))


def test_no_more_comes_back_than_was_picked_and_the_last_item_makes_the_order_returned(floor: Floor):
    line = {"rowNumber": "1", "articleNumber": "TEA-001", "numberOfItems": 5}
    order_id = floor.bring_to(450, orderLines=[line])
    assert "row 1 has 5 left, not 6" in refused(floor, orders.take_back_order, order_id, back(6))
    floor.do(orders.take_back_order, order_id, back(2))
    assert floor.order(order_id)["orderInfo"]["orderStatus"]["number"] == 450
    floor.do(orders.take_back_order, order_id, back(3))
    assert floor.order(order_id)["orderInfo"]["orderStatus"]["number"] == 475
    refused(floor, orders.take_back_order, order_id, back(1))
    refused(floor, orders.collect_order, order_id)


def test_a_status_that_goods_decide_cannot_be_set_by_hand(floor: Floor):
    assert "goods must come back" in refused(floor, orders.set_order_status, floor.bring_to(450), 475)


@pytest.mark.parametrize("status", [200, 300, 400, 450, 500, 1000])
def test_only_what_is_set_aside_can_be_set_free(floor: Floor, status: int):
    refused(floor, orders.deallocate_order, floor.bring_to(status))


def test_an_order_of_which_something_was_picked_is_picked_when_the_rest_is_set_free(floor: Floor):
    order_id = floor.bring_to(320)
    floor.do(orders.pick_order, order_id, quantities={"1": 2})
    floor.do(orders.deallocate_order, order_id, quantities={"1": 3})
    assert floor.order(order_id)["orderInfo"]["orderStatus"]["number"] == 320
    floor.do(orders.deallocate_order, order_id)
    assert floor.order(order_id)["orderInfo"]["orderStatus"]["number"] == 400
    assert floor.types(order_id).count("order.picked") == 1
    assert (floor.stock("TEA-001"), floor.stock("TEA-102")) == ((498, 0), (500, 0))
