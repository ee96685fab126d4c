"""Two warehouses: everything belongs to one of them, takes its stock and its places, and tells which it is."""

from collections.abc import Mapping
from typing import Any

import pytest

from dockbell.errors import Conflict, InvalidInput
from dockbell.warehouse.actions import (
    movements,
    orders,
    pallets,
    pick_orders,
    production_orders,
    purchase_orders,
    shipments,
    stock,
)
from dockbell.warehouse.day import Day
from dockbell.warehouse.inputs.common import read
from dockbell.warehouse.inputs.floor import MovementChange, NewMovement, NewPalletItem
from dockbell.warehouse.inputs.goods_in import NewProductionOrder, NewPurchaseOrder, NewShipment, ReceiveStep
from dockbell.warehouse.inputs.orders import NewOrder, ReturnStep
from tests.warehouse.caller import refused
from tests.warehouse.floor import FJORD, TEA, Floor, an_order
from tests.warehouse.hall import Hall
from tests.warehouse.test_warehouse_simulation import simulate

LINES = [{"rowNumber": "1", "articleNumber": "TEA-005", "numberOfItems": 4}]
"""Of an article that both warehouses have."""
BY_WAREHOUSE = """
SELECT w.code, a.number, i.state, CAST(sum(i.number_of_items) AS BIGINT) AS items FROM wms_article_items i
  JOIN wms_articles a ON a.id = i.article_id JOIN wms_locations l ON l.id = i.location_id
  JOIN wms_warehouses w ON w.id = l.warehouse_id WHERE i.number_of_items > 0
 GROUP BY w.code, a.number, i.state ORDER BY w.code, a.number, i.state
"""


def stock_of(floor: Floor, number: str) -> dict[tuple[str, str], int]:
    """Items by warehouse and state."""
    return {(row["code"], row["state"]): row["items"] for row in floor.rows(BY_WAREHOUSE) if row["number"] == number}


def in_stockholm(floor: Floor, number: str = "S-1", **fields: Any) -> int:
    return floor.create(orderNumber=number, warehouseCode="STO", orderLines=LINES, **fields)


def warehouses_told(floor: Floor, event_type: str) -> list[Any]:
    return [each["attributes"].get("warehouse") for each in floor.events() if each["event_type"] == event_type]


def test_the_demo_has_two_warehouses_with_places_and_stock(floor: Floor):
    rows = floor.rows(BY_WAREHOUSE)
    assert {row["code"] for row in rows if row["state"] == "free"} == {"GBG", "STO"}
    assert stock_of(floor, "TEA-005") == {("GBG", "free"): 500, ("STO", "free"): 500}
    assert stock_of(floor, "TEA-001") == {("GBG", "free"): 500}


def test_an_order_takes_the_stock_of_its_own_warehouse_and_tells_it(floor: Floor):
    order_id = in_stockholm(floor)
    for step in (orders.allocate_order, orders.pick_order, orders.pack_order, orders.send_order):
        floor.do(step, order_id)
    assert stock_of(floor, "TEA-005") == {("GBG", "free"): 500, ("STO", "free"): 496, ("STO", "packed"): 4}
    assert floor.order(order_id)["orderInfo"]["warehouse"]["code"] == "STO"
    for event_type in ("order.created", "order.picked", "article.allocated", "article.packed", "pallet-item.closed"):
        assert warehouses_told(floor, event_type)[-1] == "STO", event_type
    [line] = read(ReturnStep, {"lines": [{"rowNumber": "1", "numberOfItems": 1}]}).lines
    floor.do(orders.take_back_order, order_id, [line])
    assert floor.events()[-1]["data"]["articleItem"]["location"] == {"location": "RET-01", "locationId": 1940}


def test_what_lies_in_another_warehouse_is_not_for_this_order(floor: Floor):
    only_in_gothenburg = [{"rowNumber": "1", "articleNumber": "TEA-001", "numberOfItems": 1}]
    order_id = floor.create(orderNumber="S-1", warehouseCode="STO", orderLines=only_in_gothenburg)
    before = floor.everything()
    with pytest.raises(Conflict, match="row 1 needs 1 items and 0 are free"):
        floor.do(orders.allocate_order, order_id)
    assert floor.everything() == before


def test_pick_orders_shipments_and_production_are_their_orders_warehouse(floor: Floor):
    order_id = in_stockholm(floor)
    floor.do(orders.allocate_order, order_id)
    floor.do(pick_orders.create_pick_order, [order_id])
    assert warehouses_told(floor, "pick-order.created") == ["STO"]
    fields = {"goodsOwnerId": TEA, "direction": "outbound", "shipmentOrderNumber": "SHP-1", "orderIds": [order_id]}
    shipment_id = floor.do(shipments.create_shipment, read(NewShipment, fields))
    document = floor.do(shipments.set_shipment_status, shipment_id, 200)
    assert document["warehouse"] == {"id": 2, "code": "STO", "name": "Stockholm"}
    assert warehouses_told(floor, "outbound-shipment.status-changed") == ["STO"]
    number = floor.do(production_orders.create_production_order, read(NewProductionOrder, a_set("TEA-005")))
    for status in (300, 400):
        floor.do(production_orders.set_production_order_status, number, status)
    assert warehouses_told(floor, "production-order.status-changed") == ["STO", "STO"]
    assert stock_of(floor, "TEA-103") == {("GBG", "free"): 500, ("STO", "free"): 2}
    assert stock_of(floor, "TEA-005") == {("GBG", "free"): 500, ("STO", "free"): 494, ("STO", "allocated"): 4}


def a_set(part: str) -> Mapping[str, Any]:
    return {
        "goodsOwnerId": TEA, "productionOrderNumber": "MO-1", "articleNumber": "TEA-103", "numberOfItems": 2,
        "warehouseId": 2, "parts": [{"articleNumber": part, "numberOfItems": 1}],
    }  # fmt: skip


def test_goods_come_in_where_their_purchase_order_is(floor: Floor):
    number = a_purchase_order(floor)
    floor.do(
        purchase_orders.receive, number, read(ReceiveStep, {"lines": [{"rowNumber": "1", "numberOfItems": 4}]}).lines
    )
    assert floor.events()[-1]["data"]["movement"]["to"]["toLocationId"] == 1100
    assert warehouses_told(floor, "inbound.performed")[-1] == "STO"
    new = read(NewPalletItem, {"goodsOwnerId": TEA, "labelId": "P-1", "purchaseOrderId": number})
    pallet_id = floor.do(pallets.create_pallet_item, new)
    assert floor.do(pallets.close_pallet_item, pallet_id)["palletItem"]["location"]["locationId"] == 1100


def a_purchase_order(floor: Floor, **fields: Any) -> int:
    document = {
        "goodsOwnerId": TEA, "purchaseOrderNumber": "PO-1", "warehouseCode": "STO", "purchaseOrderLines": LINES, **fields
    }  # fmt: skip
    return int(floor.do(purchase_orders.put_purchase_order, read(NewPurchaseOrder, document))[0])


# --- Impossible combinations -------------------------------------------------------------------------------


def impossible(floor: Floor, step: Any, *args: Any) -> str:
    """The reason; nothing has changed."""
    before = floor.everything()
    with pytest.raises((Conflict, InvalidInput)) as refusal:
        floor.do(step, *args)
    assert floor.everything() == before
    error = refusal.value
    return "; ".join(each.message for each in error.problems) if isinstance(error, InvalidInput) else error.message


def test_orders_of_two_warehouses_are_not_gathered_shipped_or_received_together(floor: Floor):
    here = floor.create(orderNumber="G-1", orderLines=LINES)
    there = in_stockholm(floor)
    for order_id in (here, there):
        floor.do(orders.allocate_order, order_id)
    assert "G-1 is in GBG; S-1 is in STO" in impossible(floor, pick_orders.create_pick_order, [here, there])
    fields = {"goodsOwnerId": TEA, "direction": "outbound", "shipmentOrderNumber": "SHP-1"}
    both = read(NewShipment, {**fields, "orderIds": [here, there]})
    assert "different warehouses" in impossible(floor, shipments.create_shipment, both)
    elsewhere = read(NewShipment, {**fields, "orderIds": [there], "warehouseCode": "GBG"})
    assert "in warehouse GBG: S-1 is in STO" in impossible(floor, shipments.create_shipment, elsewhere)
    two = [a_purchase_order(floor), a_purchase_order(floor, purchaseOrderNumber="PO-2", warehouseCode="GBG")]
    inbound = read(NewShipment, {**fields, "direction": "inbound", "purchaseOrderIds": two})
    assert "PO-2 is in GBG; PO-1 is in STO" in impossible(floor, shipments.create_shipment, inbound)


def test_a_place_or_pallet_of_another_warehouse_is_refused(floor: Floor):
    number = a_purchase_order(floor)
    at = {"rowNumber": "1", "numberOfItems": 1}
    lines = read(ReceiveStep, {"lines": [{**at, "locationId": 100}]}).lines
    assert "Location 100 IN-01 is in warehouse GBG, not in STO" in impossible(
        floor, purchase_orders.receive, number, lines
    )
    pallet = floor.do(pallets.create_pallet_item, read(NewPalletItem, {"goodsOwnerId": TEA, "labelId": "P-1"}))
    lines = read(ReceiveStep, {"lines": [{**at, "palletItemId": pallet}]}).lines
    assert "stands in another warehouse, GBG" in impossible(floor, purchase_orders.receive, number, lines)
    new = read(NewPalletItem, {"goodsOwnerId": TEA, "labelId": "P-2", "purchaseOrderId": number, "locationId": 100})
    assert "is in warehouse GBG" in impossible(floor, pallets.create_pallet_item, new)
    order_id = in_stockholm(floor)
    for step in (orders.allocate_order, orders.pick_order, orders.send_order):
        floor.do(step, order_id)
    back = read(ReturnStep, {"lines": [{**at, "locationId": 940}]}).lines
    assert "not in STO" in impossible(floor, orders.take_back_order, order_id, back)
    [item] = floor.rows("SELECT min(id) AS id FROM wms_article_items WHERE location_id = 400 AND state = 'free'")
    movement = {"articleItemId": item["id"], "toLocationId": 900, "orderId": order_id}
    wrong = read(NewMovement, movement)
    reason = impossible(floor, movements.create_movement, "movement order", wrong)
    assert "BUF-07 is in warehouse GBG, not in STO" in reason


def test_what_is_set_aside_stays_in_the_warehouse_of_its_order(floor: Floor):
    order_id = in_stockholm(floor)
    floor.do(orders.allocate_order, order_id)
    [item] = floor.rows("SELECT min(id) AS id FROM wms_article_items WHERE state = 'allocated' AND location_id >= 1000")
    assert "an order in STO waits for it" in impossible(floor, stock.move_item, item["id"], 900)
    floor.do(stock.move_item, item["id"], 1900)
    floor.do(orders.deallocate_order, order_id)
    floor.do(stock.move_item, item["id"], 900)
    assert stock_of(floor, "TEA-005")["GBG", "free"] == 504


def test_a_parcel_stays_in_the_warehouse_of_its_order(floor: Floor):
    order_id = in_stockholm(floor)
    for step in (orders.allocate_order, orders.pick_order):
        floor.do(step, order_id)
    parcel = floor.do(orders.pack_order, order_id)["parcels"][0]["id"]
    new = read(NewMovement, {"palletItemId": parcel, "toLocationId": 900})
    movement = floor.do(movements.create_movement, "movement pallet item", new)
    reason = impossible(floor, movements.execute_movement, "movement pallet item", movement)
    assert "an order in STO waits for it" in reason


def test_a_movement_for_an_order_is_not_sent_to_another_warehouse_later(floor: Floor):
    order_id = in_stockholm(floor)
    [item] = floor.rows("SELECT min(id) AS id FROM wms_article_items WHERE location_id >= 1000")
    new = read(NewMovement, {"articleItemId": item["id"], "toLocationId": 1900, "orderId": order_id})
    movement = floor.do(movements.create_movement, "movement order", new)
    with pytest.raises(InvalidInput) as refusal:
        change = read(MovementChange, {"toLocationId": 900})
        floor.do(movements.change_movement, "movement order", movement, change)
    assert [(problem.field, problem.code) for problem in refusal.value.problems] == [
        ("toLocationId", "other_warehouse")
    ]
    started = read(MovementChange, {"toLocationId": 1100, "isStarted": True})
    floor.do(movements.change_movement, "movement order", movement, started)


def test_what_is_on_a_shipment_does_not_change_its_warehouse(floor: Floor):
    order_id, number = in_stockholm(floor), a_purchase_order(floor)
    for direction, field, one in (("outbound", "orderIds", order_id), ("inbound", "purchaseOrderIds", number)):
        fields = {"goodsOwnerId": TEA, "direction": direction, "shipmentOrderNumber": direction, field: [one]}
        floor.do(shipments.create_shipment, read(NewShipment, fields))
    changed = an_order(orderNumber="S-1", warehouseCode="GBG", orderLines=LINES)
    assert "it is on shipment" in impossible(floor, orders.create_order, read(NewOrder, changed))
    document = {
        "goodsOwnerId": TEA, "purchaseOrderNumber": "PO-1", "warehouseId": 1, "purchaseOrderLines": LINES
    }  # fmt: skip
    new = read(NewPurchaseOrder, document)
    assert "it is on shipment" in impossible(floor, purchase_orders.put_purchase_order, new)


# --- Over the API, and in a simulated day ------------------------------------------------------------------


async def test_the_api_takes_a_warehouse_by_code_or_id_and_refuses_one_that_is_not_there(hall: Hall):
    by_id, by_code = {"warehouseId": 2}, {"warehouseCode": "STO"}
    for number, named in (("A", by_id), ("B", by_code), ("D", {**by_id, **by_code})):
        order_id = await hall.order(orderNumber=number, **named)
        assert (await hall.get(f"/api/v1/orders/{order_id}"))["orderInfo"]["warehouse"]["id"] == 2
    order_id = await hall.order(orderNumber="A")
    assert (await hall.get(f"/api/v1/orders/{order_id}"))["orderInfo"]["warehouse"]["id"] == 2, "not said: not changed"
    for named, field in (
        ({"warehouseId": 9}, "warehouseId"),
        ({"warehouseCode": "XXX"}, "warehouseCode"),
        ({"warehouseId": 1, "warehouseCode": "STO"}, "warehouseId"),
    ):
        answer = await hall.call("PUT", "/api/v1/orders", an_order(orderNumber="C", **named))
        assert refused(answer, 422) == [(field, "warehouse")]
    rows = await hall.get(f"/api/v1/articles/inventoryPerWarehouse?goodsOwnerId={TEA}&articleNumber=TEA-005")
    assert [(row["warehouse"]["code"], row["numberOfItems"]) for row in rows] == [("GBG", 500), ("STO", 500)]


def test_a_simulated_day_happens_in_both_warehouses(floor: Floor):
    day: Day = simulate(floor, seed=5, orders=30)
    assert day.done["execute"] > 0
    told = {(each["event_type"], each["attributes"].get("warehouse")) for each in floor.events()}
    for event_type in ("order.picked", "article.allocated", "inbound.performed", "pick-order.executed"):
        assert {(event_type, "GBG"), (event_type, "STO")} <= told, event_type
    assert {TEA, FJORD} == {each["goods_owner_id"] for each in floor.events()}
