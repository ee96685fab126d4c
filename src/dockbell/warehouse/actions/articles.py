"""What can be done with articles."""

import json
from collections.abc import Sequence
from typing import Any

from dockbell.clock import DAY, Moment
from dockbell.domain.permissions import Actor
from dockbell.errors import InvalidInput, Problem
from dockbell.store.database import Row, Transaction
from dockbell.warehouse.act import Act, Document, need_goods_owner, visible
from dockbell.warehouse.documents import stock
from dockbell.warehouse.inputs.articles import ARTICLE_DETAILS, NewArticle
from dockbell.warehouse.rules.floor import need_unused
from dockbell.warehouse.store import articles, items, places


def put_article(act: Act, new: NewArticle) -> tuple[int, bool]:
    """Create the article or change the one of that number: its id, and whether it is new. What is the same is no change."""
    act.need_goods_owner(new.goods_owner_id)
    plain = new.model_dump(by_alias=True, mode="json")
    details = {name: plain[name] for name in ARTICLE_DETAILS}
    found = articles.lock_article_by_number(act.tx, new.goods_owner_id, new.article_number)
    if found is None:
        # Whoever takes an id waits for the one before to commit, so a second look sees the same one made meanwhile.
        (article_id,) = places.next_ids(act.tx, places.ARTICLE_ID)
        found = articles.lock_article_by_number(act.tx, new.goods_owner_id, new.article_number)
        if found is None:
            number, name = new.article_number, new.article_name
            articles.insert_article(act.tx, article_id, new.goods_owner_id, number, name, details, now=act.now)
            _tell(act, "article.created", article_id, number, new.goods_owner_id, details)
            return article_id, True
    article_id, is_new = int(found["id"]), found["deleted_at"] is not None
    if is_new or found["name"] != new.article_name or json.loads(found["details"]) != details:
        articles.change_article(act.tx, article_id, new.article_name, details, now=act.now)
        event_type = "article.created" if is_new else "article.updated"
        _tell(act, event_type, article_id, new.article_number, new.goods_owner_id, details)
    return article_id, is_new


def delete_article(act: Act, article_id: int) -> None:
    """Possible when none of it is left and nobody waits for it. The number can be used again."""
    row = act.own(articles.lock_article(act.tx, article_id), "article", article_id)
    uses = articles.open_uses(act.tx, article_id)
    need_unused(row["number"], items=int(row["number_of_items"]), uses=uses)
    articles.delete_article(act.tx, article_id, now=act.now)
    _tell(act, "article.deleted", article_id, row["number"], int(row["goods_owner_id"]), json.loads(row["details"]))


def _tell(act: Act, event_type: str, article_id: int, number: str, goods_owner_id: int, details: Any) -> None:
    data = {"articleSystemId": article_id, "articleNumber": number, "path": f"/api/v1/articles/{article_id}"}
    group, category = details.get("articleGroup"), details.get("articleCategory")
    act.tell(
        event_type,
        goods_owner_id,
        data,
        articleGroup=group and group["code"],
        articleCategory=category and category["code"],
    )


# --- Looking ---------------------------------------------------------------------------------------------


def get_article(tx: Transaction, actor: Actor, article_id: int) -> Document:
    actor.need("read")
    return _documents(tx, [visible(articles.article(tx, article_id), actor, "article", article_id)])[0]


def list_articles(
    tx: Transaction,
    actor: Actor,
    goods_owner_id: int,
    *,
    now: Moment = 0,
    stock_changed_from: Moment = 0,
    **wanted: Any,
) -> list[Document]:
    """By id; `wanted` is what `store.articles.article_page` takes. Changes of stock can be asked for a day back."""
    actor.need("read")
    need_goods_owner(tx, actor, goods_owner_id)
    if stock_changed_from and stock_changed_from < now - DAY:
        text = "That is more than 24 hours ago; leave it out to get all articles."
        raise InvalidInput([Problem("stockInfoChangedFrom", "range", text)])
    rows = articles.article_page(tx, goods_owner_id, stock_changed_from=stock_changed_from, **wanted)
    return _documents(tx, rows)


def _documents(tx: Transaction, rows: Sequence[Row]) -> list[Document]:
    sums = articles.stock_sums(tx, [int(row["id"]) for row in rows])
    return [stock.article_document(row, sums[int(row["id"])]) for row in rows]


def inventory_per_warehouse(
    tx: Transaction, actor: Actor, goods_owner_id: int, *, number: articles.Texts = None
) -> list[Document]:
    actor.need("read")
    need_goods_owner(tx, actor, goods_owner_id)
    return [
        {
            "articleSystemId": row["id"],
            "articleNumber": row["number"],
            "articleName": row["name"],
            "warehouse": {"id": row["warehouse_id"], "code": row["warehouse_code"], "name": row["warehouse_name"]},
            "numberOfItems": int(row["number_of_items"]),
            "allocatedNumberOfItems": int(row["allocated"]),
        }
        for row in articles.stock_per_warehouse(tx, goods_owner_id, number)
    ]


def list_items(
    tx: Transaction,
    actor: Actor,
    goods_owner_id: int,
    *,
    number: articles.Texts = None,
    article_id_from: int = 0,
    location: articles.Texts = None,
    limit: int = 1_000,
) -> list[Document]:
    """Articles that are in stock, each with its items."""
    actor.need("read")
    need_goods_owner(tx, actor, goods_owner_id)
    ids = items.ids_on_shelf(
        tx, goods_owner_id, number=number, article_id_from=article_id_from, location=location, limit=limit
    )
    found: dict[int, Document] = {}
    for row in items.views(tx, ids):
        document = found.setdefault(
            int(row["article_id"]),
            {**stock.thin_article(row), "articleName": row["article_name"], "items": []},
        )
        document["items"].append(stock.shelf_item(row))
    return [found[article_id] for article_id in sorted(found)]


def get_item(tx: Transaction, actor: Actor, item_id: int) -> Document:
    """One article item, also one that has left the shelves."""
    actor.need("read")
    found = items.views(tx, [item_id])
    row = visible(found[0] if found else None, actor, "article item", item_id)
    article = {**stock.thin_article(row), "articleName": row["article_name"]}
    return {"goodsOwnerId": row["goods_owner_id"], "article": article, **stock.shelf_item(row), "state": row["state"]}


def get_article_with_items(tx: Transaction, actor: Actor, article_id: int) -> Document:
    """The article, and each of its items on the shelves."""
    document = get_article(tx, actor, article_id)
    owner, number = int(document["goodsOwner"]["id"]), document["articleNumber"]
    ids = items.ids_on_shelf(tx, owner, number=number, article_id_from=article_id, location=None, limit=1)
    return {**document, "items": [{**stock.shelf_item(row), "state": row["state"]} for row in items.views(tx, ids)]}


def need_article(tx: Transaction, goods_owner_id: int, number: str, field: str) -> int:
    """The id of an article of this goods owner; raises InvalidInput."""
    found = articles.articles_by_number(tx, goods_owner_id, [number])
    if number not in found:
        text = f"Goods owner {goods_owner_id} has no article {number!r}; make it first."
        raise InvalidInput([Problem(field, "article", text)])
    return found[number]
