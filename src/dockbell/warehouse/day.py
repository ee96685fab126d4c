"""A day in the warehouse: orders come in and are worked off, goods arrive, are moved, counted, put together, come back.

Every step is one that people take by hand, so every event type happens. The same seed takes the same steps on the same
data. A step that cannot be taken (nothing left of an article) is counted and changes nothing.
"""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dockbell.clock import DAY, to_text
from dockbell.errors import Conflict
from dockbell.store.database import Row
from dockbell.warehouse.act import Act
from dockbell.warehouse.actions import (
    articles,
    files,
    inventories,
    movements,
    order_views,
    orders,
    pallets,
    pick_orders,
    production_orders,
    purchase_orders,
    shipments,
    stock,
)
from dockbell.warehouse.demo_data import ANNA, ARTICLES, CHAIN, GBG, OLA, SHOP, STO, STOCKED, TEA, order_document
from dockbell.warehouse.inputs import floor as floor_inputs
from dockbell.warehouse.inputs import goods_in as goods_in_inputs
from dockbell.warehouse.inputs.articles import NewArticle
from dockbell.warehouse.inputs.common import Step, read
from dockbell.warehouse.inputs.orders import NewOrder, ReturnStep
from dockbell.warehouse.store import articles as article_store
from dockbell.warehouse.store import items as item_store
from dockbell.warehouse.store import places

WORKERS = ((161, 5), (162, 6), (163, 7), (164, 8))
LABEL = "JVBERi0xLjQKJSBhIGxhYmVsCg=="
ENOUGH = 100
PLACES = {GBG: (311, 312, 313, 321, 322, 901), STO: (1418, 1419, 1901)}
"""Where items are moved to."""
BUFFER = {GBG: 900, STO: 1900}
SETS = {GBG: ("TEA-103", "TEA-001", "TEA-102"), STO: ("TEA-103", "TEA-005", "TEA-006")}
"""What is made, and of which two articles."""
BESIDE = 0.2
"""How often something other than an order's next step happens."""


@dataclass(frozen=True, slots=True)
class Work:
    """One step that waits; taken, it answers with the one that follows it, if any."""

    step: Callable[..., "Work | None"]
    args: tuple[Any, ...]

    @property
    def name(self) -> str:
        return self.step.__name__.strip("_").replace("_", " ")


def then(step: Callable[..., Work | None], *args: Any) -> Work:
    return Work(step, args)


@dataclass
class Day:
    """The work that waits, and how much was done of it."""

    seed: int = 1
    first_number: int = 1
    done: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)  # noqa: S311 - a simulation
        self._waiting: list[Work] = []
        self._arisen: list[Work] = []
        self._number = self.first_number

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def who(self) -> Step:
        user, computer = self._chance.choice(WORKERS)
        return read(Step, {"byUser": {"userId": user}, "byComputer": {"computerId": computer}})

    def begin_order(self) -> None:
        """One more order is to come in."""
        self._waiting.append(then(self._order_comes))

    def next_work(self, *, beside: bool = True) -> Work | None:
        """Something that waits, which is taken off the pile, or something beside it; None when nothing is left to do."""
        others = (
            self._count, self._move_about, self._quarantine, self._goods_arrive, self._produce, self._change_article,
            self._pallet_arrives,
        )  # fmt: skip
        if beside and self._chance.random() < BESIDE:
            return then(self._chance.choice(others))
        if not self._waiting:
            return None
        return self._waiting.pop(self._chance.randrange(len(self._waiting)))

    def take(self, work: Work, act: Act) -> Work | None:
        """Within the act's transaction, which may be run again: nothing is put on the pile before it has committed."""
        self._arisen.clear()
        return work.step(act, *work.args)

    def was_taken(self, work: Work, following: Work | None) -> None:
        self.done[work.name] += 1
        self._waiting += self._arisen
        if following is not None:
            self._waiting.append(following)

    def was_refused(self, work: Work) -> None:
        self.refused[work.name] += 1

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _owner(self) -> int:
        return self._chance.choice(list(ARTICLES))

    def _warehouse(self) -> str:
        """Two orders of three are Gothenburg's."""
        return self._chance.choice((GBG, GBG, STO))

    def _article(self, owner: int, code: str) -> str:
        return self._chance.choice(STOCKED[code][owner])

    # --- Orders ------------------------------------------------------------------------------------------

    def _order_comes(self, act: Act) -> Work:
        owner, number, code = self._owner(), f"SIM-{self._next()}", self._warehouse()
        kind, consignee = self._chance.choice((("B2C", ANNA), ("B2C", OLA), ("B2B", SHOP), ("B2B", CHAIN)))
        chosen = self._chance.sample(STOCKED[code][owner], self._chance.randint(1, 3))
        lines = tuple((article, self._chance.randint(1, 3 if kind == "B2C" else 12)) for article in chosen)
        transporter = self._chance.choice(("DHL", "PostNord", "Bring"))
        document = order_document(owner, number, transporter, kind, consignee, lines, now=act.now, warehouse=code)
        order_id, _ = orders.create_order(act, read(NewOrder, document))
        if self._chance.random() < 0.04:
            return then(self._cancel, order_id)
        return then(self._allocate, owner, code, order_id)

    def _cancel(self, act: Act, order_id: int) -> None:
        orders.cancel_order(act, order_id)

    def _allocate(self, act: Act, owner: int, code: str, order_id: int) -> Work:
        try:
            order = orders.allocate_order(act, order_id)
        except Conflict:
            return then(self._buy_for, owner, code, order_id)
        if self._chance.random() < 0.05:
            orders.deallocate_order(act, order_id)
            return then(self._allocate, owner, code, order_id)
        if self._chance.random() < 0.4:
            pick_order_id = pick_orders.create_pick_order(act, [order_id])
            return then(self._start_picking, pick_order_id, order_id)
        if self._chance.random() < 0.2:
            row = order["orderLines"][0]["rowNumber"]
            orders.pick_order(act, order_id, quantities={row: 1})
            if order_views.get_order(act.tx, act.actor, order_id)["orderInfo"]["orderStatus"]["number"] >= 400:
                return then(self._pack, order_id)
        return then(self._pick, order_id)

    def _buy_for(self, act: Act, owner: int, code: str, order_id: int) -> Work:
        """Too little was there: order goods, and try again."""
        self._purchase(act, owner, code)
        return then(self._allocate, owner, code, order_id)

    def _start_picking(self, act: Act, pick_order_id: int, order_id: int) -> Work:
        pick_orders.start_pick_order(act, pick_order_id)
        return then(self._execute, pick_order_id, order_id)

    def _execute(self, act: Act, pick_order_id: int, order_id: int) -> Work:
        pick_orders.execute_pick_order(act, pick_order_id)
        return then(self._pack, order_id)

    def _pick(self, act: Act, order_id: int) -> Work:
        orders.pick_order(act, order_id)
        return then(self._pack, order_id)

    def _pack(self, act: Act, order_id: int) -> Work:
        order = orders.pack_order(act, order_id)
        if self._chance.random() < 0.3:
            pallets.close_pallet_item(act, order["parcels"][-1]["id"])
        file = {"fileName": "label.pdf", "mimeType": "application/pdf", "fileDataBase64": LABEL}
        if self._chance.random() < 0.3:
            files.put_file(act, "order", order_id, read(floor_inputs.NewFile, file))
        if self._chance.random() < 0.2:
            return then(self._load, order["goodsOwner"]["id"], order_id)
        return then(self._send, order_id)

    def _load(self, act: Act, owner: int, order_id: int) -> Work:
        fields = {
            "goodsOwnerId": owner,
            "direction": "outbound",
            "shipmentOrderNumber": f"SHP-{self._next()}",
            "transporterCode": "Bring",
            "countryCode": "NO",
            "orderIds": [order_id],
        }
        shipment_id = shipments.create_shipment(act, read(goods_in_inputs.NewShipment, fields))
        return then(self._travel, shipment_id, (200, 300, 400))

    def _travel(self, act: Act, shipment_id: int, statuses: tuple[int, ...]) -> Work | None:
        shipments.set_shipment_status(act, shipment_id, statuses[0])
        rest = statuses[1:]
        return then(self._travel, shipment_id, rest) if rest else None

    def _send(self, act: Act, order_id: int) -> Work | None:
        orders.send_order(act, order_id)
        if self._chance.random() < 0.5:
            return then(self._collect, order_id)
        return None

    def _collect(self, act: Act, order_id: int) -> Work | None:
        orders.collect_order(act, order_id)
        return (then(self._come_back, order_id)) if self._chance.random() < 0.3 else None

    def _come_back(self, act: Act, order_id: int) -> Work | None:
        order = order_views.get_order(act.tx, act.actor, order_id)
        row = order["orderLines"][0]["rowNumber"]
        cause = self._chance.choice(("REGRET", "DMG", "WRONG"))
        line = {"rowNumber": row, "numberOfItems": 1, "returnCauseCode": cause}
        orders.take_back_order(act, order_id, read(ReturnStep, {"lines": [line]}).lines)
        return None

    # --- Goods in ----------------------------------------------------------------------------------------

    def _goods_arrive(self, act: Act) -> Work | None:
        self._purchase(act, self._owner(), self._warehouse())
        return None

    def _purchase(self, act: Act, owner: int, code: str) -> None:
        """Order what this warehouse has least of; it is received in later steps."""
        left = dict.fromkeys(STOCKED[code][owner], 0)
        for row in article_store.stock_per_warehouse(act.tx, owner, tuple(left)):
            if row["warehouse_code"] == code:
                left[row["number"]] = int(row["number_of_items"]) - int(row["allocated"])
        short = sorted(left, key=lambda number: left[number])[:3]
        document: dict[str, Any] = {
            "goodsOwnerId": owner,
            "purchaseOrderNumber": f"PO-{self._next()}",
            "warehouseCode": code,
            "purchaseOrderType": {"code": "STD"},
            "inDate": to_text(act.now + DAY)[:10],
            "purchaseOrderLines": [
                {"rowNumber": str(row), "articleNumber": article, "numberOfItems": ENOUGH}
                for row, article in enumerate(short, 1)
            ],
        }
        new = read(goods_in_inputs.NewPurchaseOrder, document)
        purchase_order_id, _ = purchase_orders.put_purchase_order(act, new)
        changed = {**document, "purchaseOrderLines": [dict(line) for line in document["purchaseOrderLines"]]}
        match self._chance.randrange(4):
            case 0:
                changed["purchaseOrderLines"][0]["numberOfItems"] = ENOUGH + 20
            case 1:
                changed["purchaseOrderLines"].pop()
            case 2:
                extra = {"rowNumber": "9", "articleNumber": short[0], "numberOfItems": 5}
                changed["purchaseOrderLines"].append(extra)
            case _:
                pass
        if changed != document:
            purchase_orders.put_purchase_order(act, read(goods_in_inputs.NewPurchaseOrder, changed))
        rows = [(line["rowNumber"], line["numberOfItems"]) for line in changed["purchaseOrderLines"]]
        if self._chance.random() < 0.3:
            fields = {
                "goodsOwnerId": owner,
                "direction": "inbound",
                "shipmentOrderNumber": f"IN-{self._next()}",
                "purchaseOrderIds": [purchase_order_id],
            }
            shipment_id = shipments.create_shipment(act, read(goods_in_inputs.NewShipment, fields))
            self._arisen.append(then(self._travel, shipment_id, (200, 300, 400)))
        self._arisen.append(then(self._receive, purchase_order_id, rows))

    def _receive(self, act: Act, purchase_order_id: int, rows: list[tuple[str, int]]) -> Work:
        lines = []
        for row, count in rows:
            came = count if self._chance.random() < 0.9 else count - 1
            line: dict[str, Any] = {"rowNumber": row, "numberOfItems": came, "batch": f"B-{self._next()}"}
            lines.append(line | {"expiryDate": to_text(act.now + self._chance.randint(60, 600) * DAY)[:10]})
        purchase_orders.receive(act, purchase_order_id, read(goods_in_inputs.ReceiveStep, {"lines": lines}).lines)
        return then(self._finish, purchase_order_id)

    def _finish(self, act: Act, purchase_order_id: int) -> None:
        purchase_orders.finish(act, purchase_order_id)

    def _pallet_arrives(self, act: Act) -> Work:
        owner, code, label = self._owner(), self._warehouse(), f"PAL-{self._next()}"
        fields = {"goodsOwnerId": owner, "labelId": label, "warehouseCode": code, "measures": {"weight": 240.5}}
        pallet_id = pallets.create_pallet_item(act, read(floor_inputs.NewPalletItem, fields))
        line = {"rowNumber": "1", "articleNumber": self._article(owner, code), "numberOfItems": 30}
        order = {
            "goodsOwnerId": owner,
            "purchaseOrderNumber": f"PO-{self._next()}",
            "warehouseCode": code,
            "purchaseOrderLines": [line],
        }
        order_id, _ = purchase_orders.put_purchase_order(act, read(goods_in_inputs.NewPurchaseOrder, order))
        came = {"lines": [{"rowNumber": "1", "numberOfItems": 30, "palletItemId": pallet_id}]}
        purchase_orders.receive(act, order_id, read(goods_in_inputs.ReceiveStep, came).lines)
        purchase_orders.finish(act, order_id)
        pallets.close_pallet_item(act, pallet_id)
        new = {"palletItemId": pallet_id, "toLocationId": BUFFER[code], "typeCode": "PUTAWAY"}
        movement_id = movements.create_movement(act, "movement pallet item", read(floor_inputs.NewMovement, new))
        return then(self._carry, "movement pallet item", movement_id)

    def _carry(self, act: Act, noun: movements.Noun, movement_id: int) -> Work | None:
        change = {"assignedUserId": 164, "isStarted": True}
        movements.change_movement(act, noun, movement_id, read(floor_inputs.MovementChange, change))
        if self._chance.random() < 0.3:
            movements.delete_movement(act, noun, movement_id)
        else:
            movements.execute_movement(act, noun, movement_id)
        return None

    # --- On the shelves ----------------------------------------------------------------------------------

    def _free_item(self, act: Act) -> Row | None:
        owner, code = self._owner(), self._warehouse()
        article_id = articles.need_article(act.tx, owner, self._article(owner, code), "articleNumber")
        found = item_store.for_sale(act.tx, [article_id], int(places.warehouses(act.tx)[code]["id"]))
        return item_store.view(act.tx, int(self._chance.choice(found)["id"])) if found else None

    def _move_about(self, act: Act) -> Work | None:
        item = self._free_item(act)
        if item is None:
            return None
        to = self._chance.choice([each for each in PLACES[item["warehouse_code"]] if each != item["location_id"]])
        if self._chance.random() < 0.5:
            stock.move_item(act, int(item["id"]), to)
            return None
        new = {"articleItemId": item["id"], "toLocationId": to, "typeCode": "REPLENISH"}
        movement_id = movements.create_movement(act, "movement order", read(floor_inputs.NewMovement, new))
        return then(self._carry, "movement order", movement_id)

    def _quarantine(self, act: Act) -> Work | None:
        item = self._free_item(act)
        if item is None:
            return None
        stock.set_item_status(act, int(item["id"]), "QUAR")
        return then(self._release, int(item["id"]))

    def _release(self, act: Act, item_id: int) -> None:
        stock.set_item_status(act, item_id, "OK")

    def _count(self, act: Act) -> Work | None:
        item = self._free_item(act)
        if item is None:
            return None
        adjustment = {
            "articleItemId": item["id"],
            "countedNumberOfItems": max(0, int(item["number_of_items"]) + self._chance.choice((-1, 0, 1))),
            "inventoryAdjustmentCauseCode": "COUNT",
        }
        fields = {"goodsOwnerId": item["goods_owner_id"], "isCountInventory": True, "adjustments": [adjustment]}
        inventories.adjust(act, read(floor_inputs.NewInventory, fields))
        return None

    def _produce(self, act: Act) -> Work:
        code = self._warehouse()
        made, *parts = SETS[code]
        fields = {
            "goodsOwnerId": TEA,
            "productionOrderNumber": f"MO-{self._next()}",
            "warehouseCode": code,
            "articleNumber": made,
            "numberOfItems": self._chance.randint(1, 5),
            "parts": [{"articleNumber": part, "numberOfItems": 1} for part in parts],
            "productionOrderType": {"code": "KIT"},
        }
        new = read(goods_in_inputs.NewProductionOrder, fields)
        production_order_id = production_orders.create_production_order(act, new)
        return then(self._make, production_order_id, 300)

    def _make(self, act: Act, production_order_id: int, status: int) -> Work | None:
        production_orders.set_production_order_status(act, production_order_id, status)
        return (then(self._make, production_order_id, 400)) if status == 300 else None

    def _change_article(self, act: Act) -> Work | None:
        """A new article now and then, which is changed and soon deleted again."""
        number = self._next()
        fields = {"goodsOwnerId": self._owner(), "articleNumber": f"NEW-{number}", "articleName": f"Trial {number}"}
        article_id, _ = articles.put_article(act, read(NewArticle, fields))
        articles.put_article(act, read(NewArticle, {**fields, "barCodeInfo": {"barCode": f"73{number:08}"}}))
        return then(self._delete_article, article_id)

    def _delete_article(self, act: Act, article_id: int) -> None:
        articles.delete_article(act, article_id)
