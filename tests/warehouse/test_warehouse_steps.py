"""What each step does to an order, to stock, and which events it makes."""

from typing import Any

import pytest

from dockbell.domain.permissions import Actor
from dockbell.errors import Conflict, InvalidInput, NotAllowed
from dockbell.warehouse.actions import orders
from dockbell.warehouse.inputs.common import Step, read
from tests.warehouse.floor import TEA, Floor

ALL = ("allocate", "pick", "pack", "send", "collect", "cancel")
STEP = {name: getattr(orders, f"{name}_order") for name in ALL}
POSSIBLE = {
    200: {"allocate", "cancel"},
    300: {"allocate", "cancel"},
    320: {"pick", "cancel"},
    400: {"pack", "send"},
    450: {"collect"},
    500: set(),
    1000: set(),
}
PATCHES = {
    200: {200, 300, 1000},
    300: {200, 300, 1000},
    320: {320, 400, 1000},
    400: {400, 450},
    450: {450, 500},
    500: {500},
    1000: {1000},
}


def test_each_step_from_creation_to_collection_is_told_field_by_field(floor: Floor):
    by = read(Step, {"byUser": {"userId": 162}, "byComputer": {"computerId": 7, "computerName": "PACK-03"}})
    order_id = floor.create(orderNumber="SO-7", goodsOwnerOrderId="6f2c", consigneeOrderNumber="PO-77")
    for name in ("allocate", "pick", "pack", "send", "collect"):
        floor.do(STEP[name], order_id, by=by)
    parcel = floor.order(order_id)["parcels"][0]
    assert parcel["parcelNumber"] == f"{order_id}-{parcel['id']}"
    data = {
        "orderId": order_id,
        "orderNumber": "SO-7",
        "goodsOwnerOrderId": "6f2c",
        "consigneeOrderNumber": "PO-77",
        "path": f"/api/v1/orders/{order_id}",
        "byUser": {"userId": 162},
        "byComputer": {"computerId": 7, "computerName": "PACK-03"},
        "currentShipmentId": None,
        "goodsOwnerClasses": [{"id": 3, "code": "B2C", "name": "Web shops"}],
    }
    nobody = {"byUser": None, "byComputer": None}
    tracking = [
        {
            "trackingUrl": f"https://tracking.example/dhl/DHL-{order_id}",
            "waybill": f"DHL-{order_id}",
            "isReturn": False,
        },
    ]
    parcels = [
        {
            "id": parcel["id"],
            "parcelNumber": parcel["parcelNumber"],
            "isReturnParcel": False,
            "tracking": {"trackingUrl": f"https://tracking.example/dhl/{parcel['parcelNumber']}"},
        },
    ]
    facts = {"transporter": "DHL", "orderType": "B2C", "warehouse": "GBG"}

    def change(kind: str, old: int, new: int, sent: Any, packed: Any) -> tuple[object, ...]:
        status = {"orderStatus": {"number": new}, "tracking": sent, "parcels": packed}
        return kind, facts | {"statusFrom": old, "statusTo": new}, data | status

    created = {"orderStatus": {"number": 200}, "tracking": [], "parcels": []}
    expected = [
        ("order.created", facts, data | nobody | created),
        change("order.status-changed", 200, 320, [], []),
        change("order.status-changed", 320, 400, [], []),
        change("order.picked", 320, 400, [], []),
        change("order.status-changed", 400, 450, tracking, parcels),
        change("order.status-changed", 450, 500, tracking, parcels),
    ]
    events = floor.events(order_id)
    assert [(event["event_type"], event["attributes"], event["data"]) for event in events] == expected
    assert {event["goods_owner_id"] for event in events} == {TEA}
    assert {event["object_number"] for event in events} == {"SO-7"}
    assert [event["occurred_at"] for event in events] == sorted(event["occurred_at"] for event in events)


def test_goods_are_set_aside_by_allocating_and_leave_the_shelf_by_picking(floor: Floor):
    order_id = floor.create()
    assert (floor.stock("TEA-001"), floor.stock("TEA-102")) == ((500, 0), (500, 0))
    floor.do(orders.allocate_order, order_id)
    assert (floor.stock("TEA-001"), floor.stock("TEA-102")) == ((500, 5), (500, 3))
    floor.do(orders.pick_order, order_id, quantities={"1": 2})
    assert (floor.stock("TEA-001"), floor.stock("TEA-102")) == ((498, 3), (500, 3))
    floor.do(orders.pick_order, order_id)
    assert (floor.stock("TEA-001"), floor.stock("TEA-102")) == ((495, 0), (497, 0))


def test_a_partial_pick_changes_quantities_and_no_status_until_nothing_is_left(floor: Floor):
    order_id = floor.bring_to(320)
    before = floor.types(order_id)
    floor.do(orders.pick_order, order_id, quantities={"1": 2})
    order = floor.do(orders.pick_order, order_id, quantities={"1": 3, "2": 1})
    assert order["orderInfo"]["orderStatus"] == {"number": 320, "text": "Allocated"}
    assert floor.types(order_id) == before
    assert [line["pickedNumberOfItems"] for line in order["orderLines"]] == [5, 1]
    order = floor.do(orders.pick_order, order_id, quantities={"2": 2})
    assert order["orderInfo"]["orderStatus"] == {"number": 400, "text": "Picked"}
    assert floor.types(order_id) == [*before, "order.status-changed", "order.picked"]


def test_an_order_declared_picked_without_picks_is_not_told_as_picked(floor: Floor):
    order_id = floor.bring_to(320)
    floor.do(orders.set_order_status, order_id, 400)
    assert floor.types(order_id) == ["order.created", "order.status-changed", "order.status-changed"]
    assert floor.stock("TEA-001") == (500, 0)
    with pytest.raises(Conflict, match="nothing was picked"):
        floor.do(orders.send_order, order_id)
    floor.do(orders.cancel_order, order_id)
    assert "order.picked" not in floor.types(order_id)


def test_an_order_declared_picked_after_one_pick_is_told_as_picked_once_and_gives_the_rest_back(floor: Floor):
    order_id = floor.bring_to(320)
    floor.do(orders.pick_order, order_id, quantities={"1": 1})
    order = floor.do(orders.set_order_status, order_id, 400)
    assert [line["allocatedNumberOfItems"] for line in order["orderLines"]] == [1, 0]
    assert floor.types(order_id).count("order.picked") == 1
    assert (floor.stock("TEA-001"), floor.stock("TEA-102")) == ((499, 0), (500, 0))


def test_each_parcel_holds_what_was_packed_into_it_and_packing_is_no_event(floor: Floor):
    order_id = floor.bring_to(400)
    before = floor.types(order_id)
    floor.do(orders.pack_order, order_id, quantities={"1": 4}, parcel_number="00376546546")
    order = floor.do(orders.pack_order, order_id)
    assert [line["packedNumberOfItems"] for line in order["orderLines"]] == [5, 3]
    first, _ = order["parcels"]
    assert first["parcelNumber"] == "00376546546"
    assert floor.types(order_id) == before
    with pytest.raises(Conflict, match="nothing left to pack"):
        floor.do(orders.pack_order, order_id)


def test_a_cancelled_order_gives_back_what_was_set_aside(floor: Floor):
    order_id = floor.bring_to(320)
    floor.do(orders.cancel_order, order_id)
    assert floor.stock("TEA-001") == (500, 0)
    assert floor.types(order_id)[-1] == "order.status-changed"


def test_an_order_without_transporter_is_sent_without_waybill(floor: Floor):
    order_id = floor.bring_to(400, transporter=None)
    order = floor.do(orders.send_order, order_id)
    assert (order["transporter"], order["tracking"], order["orderInfo"]["wayBill"]) == (None, [], None)
    assert floor.events(order_id)[-1]["attributes"]["transporter"] is None


@pytest.mark.parametrize("status", POSSIBLE)
def test_an_impossible_step_is_refused_with_the_reason_and_changes_nothing(floor: Floor, status: int):
    order_id = floor.bring_to(status)
    before = floor.everything()
    for name in sorted(set(ALL) - POSSIBLE[status]):
        with pytest.raises(Conflict) as refused:
            floor.do(STEP[name], order_id)
        assert refused.value.code == "impossible_step"
        assert "SO-1001" in refused.value.message
        assert refused.value.hint
    for number in sorted(set(PATCHES) - PATCHES[status]):
        with pytest.raises(Conflict) as refused:
            floor.do(orders.set_order_status, order_id, number)
        assert refused.value.code == "impossible_step"
    floor.do(orders.set_order_status, order_id, status)
    assert floor.everything() == before


@pytest.mark.parametrize(
    ("status", "name"), [(status, name) for status in POSSIBLE for name in sorted(POSSIBLE[status])]
)
def test_a_possible_step_is_taken(floor: Floor, status: int, name: str):
    order_id = floor.bring_to(status)
    floor.do(STEP[name], order_id)


@pytest.mark.parametrize(("status", "number"), [(old, new) for old in PATCHES for new in sorted(PATCHES[old])])
def test_an_allowed_status_can_be_set(floor: Floor, status: int, number: int):
    order_id = floor.bring_to(status)
    order = floor.do(orders.set_order_status, order_id, number)
    assert order["orderInfo"]["orderStatus"]["number"] == number


def test_a_status_that_does_not_exist_is_refused_with_those_that_do(floor: Floor):
    with pytest.raises(InvalidInput, match=r"425.*450 Sent"):
        floor.do(orders.set_order_status, floor.create(), 425)


def test_more_than_is_left_cannot_be_picked_and_rows_that_are_not_there_are_all_named(floor: Floor):
    order_id = floor.bring_to(320)
    before = floor.everything()
    with pytest.raises(Conflict, match="row 1 has 5 left, not 6; row 2 has 3 left, not 4"):
        floor.do(orders.pick_order, order_id, quantities={"1": 6, "2": 4})
    with pytest.raises(InvalidInput) as refused:
        floor.do(orders.pick_order, order_id, quantities={"9": 1, "1": 0, "8": 1})
    assert [problem.code for problem in refused.value.problems] == ["row_number", "row_number", "quantity"]
    assert floor.everything() == before


def test_an_order_is_allocated_whole_or_not_at_all(floor: Floor):
    lines = [
        {"rowNumber": "a", "articleNumber": "TEA-001", "numberOfItems": 300},
        {"rowNumber": "b", "articleNumber": "TEA-001", "numberOfItems": 300},
        {"rowNumber": "c", "articleNumber": "TEA-002", "numberOfItems": 1},
    ]
    order_id = floor.create(orderLines=lines)
    before = floor.everything()
    with pytest.raises(Conflict, match="row b needs 300 items and 200 are free"):
        floor.do(orders.allocate_order, order_id)
    assert floor.everything() == before


def test_an_order_put_again_is_changed_without_an_event_until_it_is_allocated(floor: Floor):
    order_id = floor.create()
    first, second = (line["id"] for line in floor.order(order_id)["orderLines"])
    lines = [
        {"rowNumber": "2", "articleNumber": "TEA-102", "numberOfItems": 9},
        {"rowNumber": "3", "articleNumber": "TEA-003", "numberOfItems": 1},
    ]
    assert floor.create(orderLines=lines, transporter={"transporterCode": "Bring"}) == order_id
    order = floor.order(order_id)
    assert [(line["rowNumber"], line["orderedNumberOfItems"]) for line in order["orderLines"]] == [("2", 9), ("3", 1)]
    assert order["orderLines"][0]["id"] == second
    assert first not in {line["id"] for line in order["orderLines"]}
    assert order["transporter"]["code"] == "Bring"
    assert floor.types(order_id) == ["order.created"]
    floor.do(orders.allocate_order, order_id)
    before = floor.everything()
    with pytest.raises(Conflict, match="cannot be changed"):
        floor.create()
    assert floor.everything() == before


def test_everything_an_order_refers_to_that_does_not_exist_is_named_at_once(floor: Floor):
    lines = [
        {"rowNumber": "1", "articleNumber": "FO-1000", "numberOfItems": 1},
        {"rowNumber": "1", "articleNumber": "TEA-001", "numberOfItems": 1},
    ]
    with pytest.raises(InvalidInput) as refused:
        floor.create(orderLines=lines, transporter={"transporterCode": "Pigeon"}, orderType={"code": "X"})
    assert [(problem.field, problem.code) for problem in refused.value.problems] == [
        ("transporter.transporterCode", "transporter"),
        ("orderType.code", "order_type"),
        ("orderLines[0].articleNumber", "article"),
        ("orderLines[1].rowNumber", "duplicate"),
    ]
    assert "Bring, DHL, PostNord" in refused.value.problems[0].message


def test_a_key_that_may_only_read_changes_nothing(floor: Floor):
    reader = Actor("reader", "Reader", frozenset({"read"}), None)
    order_id = floor.create()
    for step in STEP.values():
        with pytest.raises(NotAllowed):
            floor.do(step, order_id, actor=reader)
    assert floor.types(order_id) == ["order.created"]
