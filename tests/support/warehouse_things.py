"""One of each noun of the warehouse, for the walks over all pages."""

import secrets
from typing import Any

from dockbell.domain.permissions import SYSTEM
from dockbell.store.database import Transaction
from dockbell.warehouse.act import Act
from dockbell.warehouse.actions import movements, orders, pallets, pick_orders, production_orders, shipments
from dockbell.warehouse.demo_data import ARTICLES, STOCKED, order_document
from dockbell.warehouse.inputs.common import LARGEST_ID, read
from dockbell.warehouse.inputs.floor import NewMovement, NewPalletItem
from dockbell.warehouse.inputs.goods_in import NewProductionOrder, NewShipment
from dockbell.warehouse.inputs.orders import NewOrder
from dockbell.warehouse.store import items, newest

ANNA = ("2001", "Anna Lind", "Storgatan 5", "411 38", "Göteborg", "SE")


def warehouse_things(tx: Transaction, publisher: Any, owner: int, now: int) -> dict[str, int]:
    """Their ids by noun; what the demo has none of is made."""
    act, name = Act(tx, publisher, SYSTEM, now), secrets.token_hex(4)
    first, second = ARTICLES[owner][0][0], STOCKED["STO"][owner][0]
    fields = order_document(owner, f"T-{name}", "DHL", "B2C", ANNA, ((first, 1),), now=now)
    order_id, _ = orders.create_order(act, read(NewOrder, fields))
    orders.allocate_order(act, order_id)
    pallet = pallets.create_pallet_item(act, read(NewPalletItem, {"goodsOwnerId": owner, "labelId": f"P-{name}"}))
    found = {
        noun: newest.ids(tx, noun, owner, before=LARGEST_ID, limit=100)[-1]
        for noun in ("article", "article item", "purchase order")
    }
    at = items.view(tx, found["article item"])["location_id"]
    to_move = {"articleItemId": found["article item"], "toLocationId": 900 if at == 901 else 901}
    shipment = {"goodsOwnerId": owner, "direction": "outbound", "shipmentOrderNumber": f"S-{name}"}
    production = {
        "goodsOwnerId": owner, "productionOrderNumber": f"M-{name}", "articleNumber": first, "numberOfItems": 1,
        "parts": [{"articleNumber": second, "numberOfItems": 1}],
    }  # fmt: skip
    return {
        **found,
        "pick order": pick_orders.create_pick_order(act, [order_id]),
        "pallet item": pallet,
        "movement order": movements.create_movement(act, "movement order", read(NewMovement, to_move)),
        "movement pallet item": movements.create_movement(
            act, "movement pallet item", read(NewMovement, {"palletItemId": pallet, "toLocationId": 901})
        ),
        "shipment": shipments.create_shipment(act, read(NewShipment, shipment)),
        "production order": production_orders.create_production_order(act, read(NewProductionOrder, production)),
    }
