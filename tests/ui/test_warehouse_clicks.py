"""All 38 event types by the forms of the warehouse's pages alone: each step says what it caused, and the list shows it."""

import html
import re
from typing import Any

from dockbell.domain.catalog import load_catalog
from dockbell.warehouse.pages import NOUNS
from tests.support.browser_like import Browser, a_browser
from tests.support.rows import FJORD, TEA
from tests.support.warehouse_things import warehouse_things
from tests.ui.test_warehouse_pages import a_warehouse

STEPS_OFFERED = re.compile(r'action="(/warehouse/[\w-]+/\d+/[\w-]+)"')
CAUSED = re.compile(r'<a href="/administration/events/(\d+)">([^<]+)</a>')


class Clicker:
    """Fills in forms as somebody does who only has the pages: what a page does not offer cannot be pressed."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self.caused: set[str] = set()

    async def new(self, noun: str, **fields: Any) -> str:
        """The new thing's page."""
        return await self._submit(f"/warehouse/{noun}/new", fields)

    async def press(self, place: str, step: str, **fields: Any) -> str:
        """Where it led to."""
        await self.browser.get(place)
        offered = set(STEPS_OFFERED.findall(self.browser.text))
        assert f"{place}/{step}" in offered, (step, offered)
        return await self._submit(f"{place}/{step}", fields)

    async def _submit(self, target: str, fields: dict[str, Any]) -> str:
        pairs = [
            (name, one) for name, value in fields.items() for one in (value if isinstance(value, list) else [value])
        ]
        await self.browser.get(target if target.endswith("/new") else target.rpartition("/")[0])
        await self.browser.submit(target, pairs)
        assert self.browser.last.status == 200, (target, self.browser.words[:600])
        _, _, rest = self.browser.text.partition('<section class="card caused"')
        listed = rest.partition("</section>")[0]
        self.caused |= {html.unescape(name) for _, name in CAUSED.findall(listed)}
        return self.browser.where.partition("?")[0]

    async def first(self, noun: str, **query: str) -> str:
        """The page of the newest of these."""
        asked = "&".join(f"{name}={value}" for name, value in query.items())
        await self.browser.get(f"/warehouse/{noun}?{asked}")
        found = re.search(rf'href="(/warehouse/{noun}/\d+)"', self.browser.text)
        assert found is not None, self.browser.words
        return found[1]


def rows(name: str, **columns: list[str]) -> dict[str, list[str]]:
    """The rows of a form's lines, none of which was there before."""
    count = len(next(iter(columns.values())))
    return {f"{name}.rowNumber": [""] * count, **{f"{name}.{column}": value for column, value in columns.items()}}


async def cause_everything(at: Clicker) -> None:
    owner = {"goodsOwnerId": str(TEA), "warehouseCode": "STO"}
    line = rows("orderLines", articleNumber=["TEA-005"], numberOfItems=["2"])
    order = await at.new("orders", orderNumber="C-1", **{"transporter.transporterCode": "DHL"}, **owner, **line)
    for step in ("release", "allocate", "deallocate", "allocate", "pick", "pack", "send", "collect"):
        await at.press(order, step)
    back = {"lines.rowNumber": "1", "lines.numberOfItems": "2", "lines.returnCauseCode": "REGRET"}
    await at.press(order, "return", **back, **{"lines.articleItemStatusCode": "QUAR"})
    await at.press(order, "file", fileName="note.txt", text="Handle with care")

    order = await at.new("orders", orderNumber="C-2", **owner, **line)
    await at.press(order, "allocate")
    gathered = await at.new("pick-orders", orderIds=order.rpartition("/")[2])
    for step in ("start", "execute"):
        await at.press(gathered, step)
    outbound = {"goodsOwnerId": str(TEA), "direction": "outbound", "orderIds": order.rpartition("/")[2]}
    shipment = await at.new("shipments", shipmentOrderNumber="SHP-1", **outbound)
    await at.press(shipment, "outbound-200")

    wanted = rows("purchaseOrderLines", articleNumber=["TEA-005", "TEA-006"], numberOfItems=["10", "20"])
    bought = await at.new("purchase-orders", purchaseOrderNumber="C-1", **owner, **wanted)
    changed = {"purchaseOrderLines.rowNumber": ["1", "2", ""]}
    changed |= {"purchaseOrderLines.articleNumber": ["TEA-005", "", "TEA-007"]}
    await at.press(bought, "lines", **changed, **{"purchaseOrderLines.numberOfItems": ["11", "", "5"]})
    inbound = {"goodsOwnerId": str(TEA), "direction": "inbound", "purchaseOrderIds": bought.rpartition("/")[2]}
    shipment = await at.new("shipments", shipmentOrderNumber="IN-1", **inbound)
    await at.press(shipment, "inbound-200")
    pallet = await at.new("pallet-items", labelId="PAL-1", palletTypeCode="EUR", **owner)
    empty = {f"lines.{name}": ["", ""] for name in ("batch", "expiryDate", "locationId")}
    came = {"lines.rowNumber": ["1", "2"], "lines.numberOfItems": ["11", ""]}
    await at.press(bought, "receive", **came, **empty, **{"lines.palletItemId": [pallet.rpartition("/")[2], ""]})
    await at.press(bought, "finish")

    movement = await at.press(pallet, "movement", toLocationId="1900", typeCode="PUTAWAY")
    await at.press(movement, "change", toLocationId="1901", assignedUserId="164")
    await at.press(movement, "execute")
    await at.press(await at.press(pallet, "movement", toLocationId="1900"), "delete")
    await at.press(pallet, "close")

    item = await at.first("article-items", number="TEA-006", warehouse="STO")
    await at.press(item, "move", toLocationId="1419")
    await at.press(item, "status", articleItemStatusCode="DMG")
    await at.press(item, "count", countedNumberOfItems="499", inventoryAdjustmentCauseCode="COUNT")
    movement = await at.press(item, "movement", toLocationId="1418", typeCode="REPLENISH")
    await at.press(movement, "start")
    await at.press(movement, "execute")
    await at.press(await at.press(item, "movement", toLocationId="1419"), "delete")

    article = await at.new("articles", goodsOwnerId=str(TEA), articleNumber="NEW-1", articleName="New")
    await at.press(article, "change", articleName="Newer")
    await at.press(article, "delete")

    made = {"articleNumber": "TEA-103", "numberOfItems": "1"}
    parts = rows("parts", articleNumber=["TEA-004"], numberOfItems=["1"])
    production = await at.new("production-orders", productionOrderNumber="MO-1", **made, **owner, **parts)
    for step in ("start", "finish"):
        await at.press(production, step)


async def test_every_event_type_is_caused_by_clicking_and_stands_in_the_list_of_events(tmp_path, database):
    async with a_warehouse(database, tmp_path) as server:
        at = Clicker(a_browser(server.app, server.parts, "warehouse"))
        await cause_everything(at)
        names = {each.name for each in load_catalog()}
        assert len(names) == 38
        assert names - at.caused == set()
        for each in load_catalog():
            await at.browser.get(f"/administration/events?eventType={each.key}&goodsOwnerId={TEA}")
            assert "/administration/events/" in at.browser.text, each.key
            assert each.name in at.browser.words


async def test_what_a_page_does_not_offer_is_refused_and_what_it_offers_is_taken(tmp_path, database):
    async with a_warehouse(database, tmp_path) as server:
        at = Clicker(a_browser(server.app, server.parts, "warehouse"))
        await cause_everything(at)
        now, publisher = server.parts.clock.now(), server.parts.publisher
        await database.write(lambda tx: warehouse_things(tx, publisher, TEA, now))  # that nobody has begun

        def events() -> int:
            row = server.parts.database.submit_read(lambda tx: tx.one("SELECT count(*) AS n FROM events")).result()
            assert row is not None
            return int(row["n"])

        refused, taken = 0, set()
        for noun in NOUNS:
            await at.browser.get(f"/warehouse/{noun.path}")
            for place in sorted(set(re.findall(rf'href="(/warehouse/{noun.path}/\d+)"', at.browser.text)))[:12]:
                await at.browser.get(place)
                offered = {each.rpartition("/")[2] for each in STEPS_OFFERED.findall(at.browser.text)}
                before = events()
                for step in noun.steps:
                    if step.name not in offered:
                        reply = await at.browser.submit(f"{place}/{step.name}")
                        # The status it has already is no step: nothing is refused, and nothing changes.
                        assert reply.status in (200, 409, 422), (place, step.name, reply.status)
                        refused += reply.status != 200
                assert events() == before, place
                for step in noun.steps:
                    if step.name in offered and not step.inputs:
                        reply = await at.browser.submit(f"{place}/{step.name}")
                        assert reply.status == 200, (place, step.name, at.browser.words[:400])
                        taken.add((noun.name, step.name))
                        break
        assert refused > 100
        assert len(taken) >= 10, taken


async def test_what_was_caused_is_shown_only_to_who_may_see_it(tmp_path, database):
    async with a_warehouse(database, tmp_path) as server:
        event = (await server.publish(goodsOwnerId=FJORD))["eventId"]
        theirs = a_browser(server.app, server.parts, "warehouse", [TEA])
        await theirs.get(f"/warehouse/orders?caused={event}.0.x.{'9' * 30}")
        assert theirs.last.status == 200
        assert "What this caused" not in theirs.words
        everybodys = a_browser(server.app, server.parts, "warehouse")
        await everybodys.get(f"/warehouse/orders?caused={event}")
        assert "What this caused" in everybodys.words
