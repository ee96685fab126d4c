"""Routes about articles, their items and inventory adjustments."""

from typing import Annotated

from fastapi import FastAPI, Query
from pydantic import Field

from dockbell.warehouse.act import Document
from dockbell.warehouse.actions import articles, inventories, stock
from dockbell.warehouse.api.desk import (
    API,
    FLOOR,
    Acting,
    Desk,
    Names,
    Number,
    Rows,
    YesOrNo,
    asked,
    either,
    moments,
    said,
)
from dockbell.warehouse.inputs.articles import NewArticle
from dockbell.warehouse.inputs.common import Incoming, Name
from dockbell.warehouse.inputs.floor import ItemStatusStep, MoveStep, NewInventory, Reported
from dockbell.warehouse.store import places


class WantedArticles(Incoming):
    goods_owner_id: Number
    article_number: Name | None = None
    article_numbers: Names = None
    article_name_contains: Name | None = None
    only_articles_in_stock: YesOrNo = False
    stock_info_changed_from: str | None = None
    article_data_last_updated_from: str | None = None
    article_system_id_from: Number = 0
    max_articles_to_get: Rows = 100


class WantedItems(Incoming):
    goods_owner_id: Number
    article_number: Name | None = None
    article_numbers: Names = None
    location_names: Names = None
    article_system_id_from: Number = 0
    max_articles_to_get: Rows = 100


class WantedInventory(Incoming):
    goods_owner_id: Number
    article_number: Name | None = None
    article_numbers: Names = None


class WantedAdjustments(Incoming):
    goods_owner_id: Number
    from_: Annotated[str | None, Field(alias="from")] = None
    to_time: str | None = None
    is_reported: YesOrNo | None = None


def add_routes(app: FastAPI, desk: Desk) -> None:
    _add_articles(app, desk)
    _add_items(app, desk)
    _add_inventories(app, desk)


def _add_articles(app: FastAPI, desk: Desk) -> None:
    @app.get(f"{API}/articles")
    async def list_articles(actor: Acting, wanted: Annotated[WantedArticles, Query()]) -> list[Document]:
        times = moments(
            stockInfoChangedFrom=wanted.stock_info_changed_from,
            articleDataLastUpdatedFrom=wanted.article_data_last_updated_from,
        )
        return await desk.look(
            actor,
            articles.list_articles,
            wanted.goods_owner_id,
            now=desk.now(),
            number=either(wanted.article_number, wanted.article_numbers),
            name_contains=wanted.article_name_contains,
            only_in_stock=wanted.only_articles_in_stock,
            id_from=wanted.article_system_id_from,
            limit=wanted.max_articles_to_get,
            **asked(
                stock_changed_from=times.get("stockInfoChangedFrom"),
                data_changed_from=times.get("articleDataLastUpdatedFrom"),
            ),
        )

    @app.get(f"{API}/articles/inventoryPerWarehouse")
    async def inventory_per_warehouse(actor: Acting, wanted: Annotated[WantedInventory, Query()]) -> list[Document]:
        number = either(wanted.article_number, wanted.article_numbers)
        return await desk.look(actor, articles.inventory_per_warehouse, wanted.goods_owner_id, number=number)

    @app.get(f"{API}/articles/{{articleSystemId}}")
    async def get_article(actor: Acting, articleSystemId: Number) -> Document:
        return await desk.look(actor, articles.get_article, articleSystemId)

    @app.put(f"{API}/articles")
    async def put_article(actor: Acting, new: NewArticle) -> Document:
        article_id, is_new = await desk.change(actor, articles.put_article, new)
        return {"articleSystemId": article_id, "message": said("article", is_new=is_new)}

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
        return await desk.look(
            actor,
            articles.list_items,
            wanted.goods_owner_id,
            number=either(wanted.article_number, wanted.article_numbers),
            location=wanted.location_names,
            article_id_from=wanted.article_system_id_from,
            limit=wanted.max_articles_to_get,
        )

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
        times = moments(**{"from": wanted.from_, "toTime": wanted.to_time})
        return await desk.look(
            actor,
            inventories.list_inventories,
            wanted.goods_owner_id,
            is_reported=wanted.is_reported,
            **asked(since=times.get("from"), until=times.get("toTime")),
        )

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
