"""What the demo finds in the warehouse."""

from dockbell.warehouse.actions import orders
from dockbell.warehouse.demo_data import ARTICLES, FJORD, STOCK, TEA, load_demo
from tests.warehouse.floor import Floor


def test_order_12345_is_open_and_can_be_picked(floor: Floor):
    order_id = floor.order_id("12345")
    order = floor.order(order_id)
    assert order["goodsOwner"] == {"id": TEA, "name": "Nordic Tea AB"}
    assert order["orderInfo"]["orderStatus"] == {"number": 200, "text": "Open"}
    assert (order["transporter"]["code"], order["orderInfo"]["orderType"]["code"]) == ("DHL", "B2C")
    assert floor.types(order_id) == ["order.created"]
    floor.do(orders.allocate_order, order_id)
    floor.do(orders.pick_order, order_id)
    assert floor.types(order_id)[-1] == "order.picked"


def test_there_is_stock_for_every_order_of_the_demo(floor: Floor):
    assert all(len(ARTICLES[owner]) == 10 for owner in (TEA, FJORD))
    assert floor.stock("TEA-001") == (STOCK, 0)
    open_orders = [order for order in floor.everything()["wms_orders"] if order["status"] == 200]
    assert len(open_orders) == 10
    for order in open_orders:
        floor.do(orders.allocate_order, order["id"])


def test_some_orders_have_come_further_so_that_lists_look_like_a_days_work(floor: Floor):
    assert {order["status"] for order in floor.everything()["wms_orders"]} == {200, 320, 400, 450, 1000}


def test_loading_the_demo_again_changes_nothing(floor: Floor):
    floor.do(orders.allocate_order, floor.order_id("12345"))
    before = floor.everything()
    floor.write(lambda tx: load_demo(tx, floor.publisher, floor.clock.now() + 1_000_000))
    assert floor.everything() == before
