"""Routes about articles, their items and inventory adjustments."""

from typing import Annotated

from fastapi import FastAPI, Query

from dockbell.warehouse.act import Document
from dockbell.warehouse.actions import articles, inventories, stock
from dockbell.warehouse.api.desk import (
    API,
    FLOOR,
    Acting,
    Desk,
    Names,
    Number,
    Numbers,
    Rows,
    Wanted,
    When,
    YesOrNo,
    add_numbered,
    asks,
    said,
)
from dockbell.warehouse.inputs.articles import (
    ArticleKind,
    NewArticle,
    NewArticleDangerousGoods,
    NewDangerousGoods,
)
from dockbell.warehouse.inputs.common import Name
from dockbell.warehouse.inputs.floor import ItemStatusStep, MoveStep, NewInventory, Reported
from dockbell.warehouse.store import places


class WantedArticles(Wanted):
    one_number: Name | None = asks("articleNumber")
    number: Names = asks("articleNumbers")
    name_contains: Name | None = asks("articleNameContains")
    one_product_code: Name | None = asks("productCode")
    product_code: Names = asks("productCodes")
    bar_code: Names = asks("barCodes")
    class_id: Numbers = asks("articleClassIds")
    only_in_stock: YesOrNo = asks("onlyArticlesInStock", default=False)
    only_below_limit: YesOrNo = asks("onlyArticlesBelowStockLimit", default=False)
    stock_changed_from: When | None = asks("stockInfoChangedFrom")
    data_changed_from: When | None = asks("articleDataLastUpdatedFrom")
    id_from: Number = asks("articleSystemIdFrom", default=0)
    limit: Rows = asks("maxArticlesToGet", default=100)


class WantedSome(Wanted):
    number: Names = asks("articleNumbers")
    id_from: Number = asks("articleSystemIdFrom", default=0)
    limit: Rows = asks("maxArticlesToGet", default=100)


class WantedStructures(WantedSome):
    kind: ArticleKind = asks("articleKind", default=...)


class WantedItems(Wanted):
    one_number: Name | None = asks("articleNumber")
    number: Names = asks("articleNumbers")
    location: Names = asks("locationNames")
    article_id_from: Number = asks("articleSystemIdFrom", default=0)
    limit: Rows = asks("maxArticlesToGet", default=100)


class WantedInventory(Wanted):
    one_number: Name | None = asks("articleNumber")
    number: Names = asks("articleNumbers")


class WantedHistory(Wanted):
    stock_date: When
    warehouse_id: Number | None = None


class WantedAdjustments(Wanted):
    since: When | None = asks("from")
    until: When | None = asks("toTime")
    is_reported: YesOrNo | None = None


def add_routes(app: FastAPI, desk: Desk) -> None:
    _add_articles(app, desk)
    _add_items(app, desk)
    _add_inventories(app, desk)


def _add_articles(app: FastAPI, desk: Desk) -> None:
    @app.get(f"{API}/articles")
    async def list_articles(actor: Acting, wanted: Annotated[WantedArticles, Query()]) -> list[Document]:
        return await desk.look(actor, articles.list_articles, wanted.goods_owner_id, now=desk.now(), **wanted.asked())

    @app.get(f"{API}/articles/classes")
    async def article_classes() -> Document:
        return {"articleClasses": places.short(await desk.read(places.kinds, "article class"))}

    @app.get(f"{API}/articles/inventoryPerWarehouse")
    async def inventory_per_warehouse(actor: Acting, wanted: Annotated[WantedInventory, Query()]) -> list[Document]:
        return await desk.list(actor, articles.inventory_per_warehouse, wanted)

    @app.get(f"{API}/articles/historicalInventory")
    async def historical_inventory(actor: Acting, wanted: Annotated[WantedHistory, Query()]) -> Document:
        return await desk.look(actor, articles.historical_inventory, wanted.goods_owner_id, **wanted.asked())

    @app.get(f"{API}/articles/structureDefinitions")
    async def list_structures(actor: Acting, wanted: Annotated[WantedStructures, Query()]) -> list[Document]:
        return await desk.list(actor, articles.list_structures, wanted)

    @app.get(f"{API}/articles/dangerousGoods")
    async def list_dangerous_goods(actor: Acting, wanted: Annotated[WantedSome, Query()]) -> list[Document]:
        return await desk.list(actor, articles.list_dangerous_goods, wanted)

    @app.put(f"{API}/articles/dangerousGoods")
    async def put_dangerous_goods(actor: Acting, new: NewArticleDangerousGoods) -> Document:
        article_id = await desk.change(actor, articles.put_dangerous_goods, new)
        return {"articleSystemId": article_id, "message": said("article", is_new=False)}

    add_numbered(
        app, desk, f"{API}/articles", "articleSystemId", "article", NewArticle,
        get=articles.get_article, put=articles.put_article, change=articles.change_article,
    )  # fmt: skip

    @app.get(f"{API}/articles/{{articleSystemId}}/structureDefinition")
    async def get_structure(actor: Acting, articleSystemId: Number) -> Document:
        return await desk.look(actor, articles.get_structure, articleSystemId)

    @app.get(f"{API}/articles/{{articleSystemId}}/dangerousGoods")
    async def get_dangerous_goods(actor: Acting, articleSystemId: Number) -> Document:
        return await desk.look(actor, articles.get_dangerous_goods, articleSystemId)

    @app.put(f"{API}/articles/{{articleSystemId}}/dangerousGoods")
    async def set_dangerous_goods(actor: Acting, articleSystemId: Number, new: NewDangerousGoods) -> Document:
        await desk.change(actor, articles.set_dangerous_goods, articleSystemId, new)
        return {"articleSystemId": articleSystemId, "message": said("article", is_new=False)}

    @app.delete(f"{API}/articles/{{articleSystemId}}")
    async def delete_article(actor: Acting, articleSystemId: Number) -> Document:
        await desk.change(actor, articles.delete_article, articleSystemId)
        return {"articleSystemId": articleSystemId, "message": "The article was deleted."}


def _add_items(app: FastAPI, desk: Desk) -> None:
    @app.get(f"{API}/articleItems/statuses")
    async def item_statuses() -> list[Document]:
        return [
            {
                "id": row["id"],
                "code": row["code"],
                "name": row["name"],
                "isLocked": bool(row["is_locked"]),
                "isLockedForSale": bool(row["is_locked_for_sale"]),
            }
            for row in (await desk.read(places.item_statuses)).values()
        ]

    @app.get(f"{API}/articleItems")
    async def list_items(actor: Acting, wanted: Annotated[WantedItems, Query()]) -> list[Document]:
        return await desk.list(actor, articles.list_items, wanted)

    @app.post(f"{FLOOR}/articleItems/{{articleItemId}}/move")
    async def move_item(actor: Acting, articleItemId: Number, step: MoveStep) -> Document:
        count = step.number_of_items
        return await desk.change(
            actor, stock.move_item, articleItemId, step.to_location_id, number_of_items=count, by=step
        )

    @app.post(f"{FLOOR}/articleItems/{{articleItemId}}/status")
    async def set_item_status(actor: Acting, articleItemId: Number, step: ItemStatusStep) -> Document:
        return await desk.change(actor, stock.set_item_status, articleItemId, step.article_item_status_code, by=step)


def _add_inventories(app: FastAPI, desk: Desk) -> None:
    @app.get(f"{API}/inventoryAdjustments")
    async def list_inventories(actor: Acting, wanted: Annotated[WantedAdjustments, Query()]) -> list[Document]:
        return await desk.list(actor, inventories.list_inventories, wanted)

    @app.get(f"{API}/inventoryAdjustments/{{inventoryId}}")
    async def get_inventory(actor: Acting, inventoryId: Number) -> list[Document]:
        return await desk.look(actor, inventories.get_inventory, inventoryId)

    @app.patch(f"{API}/inventoryAdjustments/{{inventoryId}}/articles/{{articleSystemId}}/setReported")
    async def set_reported(
        actor: Acting, inventoryId: Number, articleSystemId: Number, wanted: Reported | None = None
    ) -> Document:
        is_reported = True if wanted is None else wanted.is_reported
        await desk.change(actor, inventories.set_reported, inventoryId, articleSystemId, is_reported=is_reported)
        return {"inventoryId": inventoryId, "articleSystemId": articleSystemId, "isReported": is_reported}

    @app.post(f"{FLOOR}/inventoryAdjustments")
    async def adjust(actor: Acting, new: NewInventory) -> Document:
        return {"inventoryId": await desk.change(actor, inventories.adjust, new, by=new)}
