"""What a request says about an order, as the columns and lines it is kept in: everything it refers to must exist."""

import json
from typing import Any

from dockbell.errors import Problem
from dockbell.store.database import Transaction
from dockbell.warehouse.act import chosen, known_code, raise_all
from dockbell.warehouse.actions import where
from dockbell.warehouse.actions.articles import Lines, ordered_lines
from dockbell.warehouse.inputs.orders import ORDER_DETAILS, NewOrder
from dockbell.warehouse.store import places

ORDER_COLUMNS = (
    "number", "goods_owner_order_id", "consignee_order_number", "transporter", "transporter_service", "order_type",
    "delivery_date", "consignee", "warehouse_id", "way_of_delivery", "market_place", "market_place_number", "class_ids",
)  # fmt: skip


def columns_and_lines(tx: Transaction, new: NewOrder) -> tuple[dict[str, Any], Lines]:
    """Raises InvalidInput with everything that does not exist. The lines' articles stay until the commit.

    `warehouse_id` is None if none is said.
    """
    problems: list[Problem] = []
    transporter = None if new.transporter is None else new.transporter.transporter_code
    order_type = None if new.order_type is None else new.order_type.code
    way = None if new.way_of_delivery is None else new.way_of_delivery.code
    known_code(places.transporters(tx), transporter, "transporter.transporterCode", "transporter", problems)
    known_code(places.order_types(tx), order_type, "orderType.code", "order type", problems)
    known_code(places.kinds(tx, "way of delivery"), way, "wayOfDelivery.code", "way of delivery", problems)
    warehouse_id = where.chosen_warehouse(tx, new, problems)
    classes = places.kinds(tx, "order class")
    class_ids = [
        chosen(classes, each.code, f"classes[{place}].code", "order class", problems)
        for place, each in enumerate(new.classes)
    ]
    lines = ordered_lines(tx, new.goods_owner_id, "orderLines", new.order_lines, problems)
    raise_all(problems)
    plain = new.model_dump(by_alias=True, mode="json")
    values = {
        "number": new.order_number,
        "goods_owner_order_id": new.goods_owner_order_id,
        "consignee_order_number": new.consignee_order_number,
        "transporter": transporter,
        "transporter_service": new.transporter and new.transporter.transporter_service_code,
        "order_type": order_type,
        "delivery_date": new.delivery_date,
        "consignee": json.dumps(plain["consignee"]),
        "warehouse_id": warehouse_id,
        "way_of_delivery": way,
        "market_place": new.market_place and new.market_place.market_place,
        "market_place_number": new.market_place and new.market_place.market_place_order_number,
        "class_ids": json.dumps(class_ids),
        "details": json.dumps({name: plain[name] for name in ORDER_DETAILS}),
    }
    return values, lines
