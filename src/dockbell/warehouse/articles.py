"""Articles and their stock."""

from typing import Any

from dockbell.clock import Moment
from dockbell.domain.permissions import Actor
from dockbell.errors import Conflict, InvalidInput, Problem
from dockbell.store.database import Transaction
from dockbell.warehouse import documents, store
from dockbell.warehouse.actions import need_goods_owner, no_such
from dockbell.warehouse.inputs import NewArticle


def put_article(tx: Transaction, actor: Actor, new: NewArticle, *, now: Moment) -> tuple[int, bool]:
    """Create the article or change the one of that number: its id, and whether it is new."""
    actor.need("publish")
    need_goods_owner(tx, actor, new.goods_owner_id)
    details = new.model_dump(by_alias=True, include={"product_code", "unit_code", "description", "bar_code_info"})
    known = store.articles_by_number(tx, new.goods_owner_id, [new.article_number])
    if not known:
        # As with orders: the second look sees what was made while this transaction waited for its id.
        (article_id,) = store.next_ids(tx, store.ARTICLE_ID)
        known = store.articles_by_number(tx, new.goods_owner_id, [new.article_number])
        if not known:
            number, name = new.article_number, new.article_name
            store.insert_article(tx, article_id, new.goods_owner_id, number, name, details, now=now)
            return article_id, True
    (article_id,) = known.values()
    store.change_article(tx, article_id, new.article_name, details, now=now)
    return article_id, False


def get_article(tx: Transaction, actor: Actor, article_id: int) -> dict[str, Any]:
    actor.need("read")
    row = store.article(tx, article_id)
    if row is None or not actor.sees(row["goods_owner_id"]):
        no_such("article", article_id)
    return documents.article_document(row)


def list_articles(
    tx: Transaction,
    actor: Actor,
    goods_owner_id: int,
    *,
    number: str | None = None,
    id_from: int = 0,
    limit: int = 1000,
) -> list[dict[str, Any]]:
    actor.need("read")
    need_goods_owner(tx, actor, goods_owner_id)
    rows = store.article_page(tx, goods_owner_id, number=number, id_from=id_from, limit=limit)
    return [documents.article_document(row) for row in rows]


def count_stock(tx: Transaction, actor: Actor, article_id: int, number_of_items: int, *, now: Moment) -> None:
    """So many items lie on the shelves; never fewer than are set aside for orders."""
    actor.need("publish")
    row = store.lock_article(tx, article_id)
    if row is None or not actor.sees(row["goods_owner_id"]):
        no_such("article", article_id)
    if number_of_items < 0:
        text = f"{number_of_items} items cannot lie there; write 0 or more."
        raise InvalidInput([Problem("numberOfItems", "quantity", text)])
    if number_of_items < row["allocated"]:
        raise Conflict(
            f"Article {row['number']} cannot have {number_of_items} items: orders have {row['allocated']} of them.",
            code="impossible_step",
            hint="Cancel orders first.",
        )
    store.set_stock(tx, article_id, number_of_items, now=now)
