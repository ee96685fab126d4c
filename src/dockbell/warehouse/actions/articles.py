"""What can be done with articles."""

import json
from collections.abc import Sequence
from typing import Any

from dockbell.clock import DAY, Moment
from dockbell.domain.permissions import Actor
from dockbell.errors import InvalidInput, Problem
from dockbell.store.database import Row, Transaction
from dockbell.warehouse.act import Act, Document, chosen, need_goods_owner, need_same_owner, raise_all, visible
from dockbell.warehouse.documents import stock
from dockbell.warehouse.inputs.articles import ARTICLE_DETAILS, NewArticle, NewArticleDangerousGoods, NewDangerousGoods
from dockbell.warehouse.rules.floor import need_unused
from dockbell.warehouse.store import articles, items, places, stock_changes

Lines = list[tuple[str, int, str | None, int]]
"""(row number, article, comment, items) each."""


def put_article(act: Act, new: NewArticle) -> tuple[int, bool]:
    """Create the article or change the one of that number: its id, and whether it is new. What is the same is no change."""
    act.need_goods_owner(new.goods_owner_id)

    def find() -> Row | None:
        return articles.lock_article_by_number(act.tx, new.goods_owner_id, new.article_number)

    found, article_id = act.found_or_new(places.ARTICLE_ID, find)
    details, class_ids = _checked(act.tx, new)
    if found is not None:
        return article_id, _change(act, found, new, details, class_ids)
    number, name = new.article_number, new.article_name
    articles.insert_article(act.tx, article_id, new.goods_owner_id, number, name, details, now=act.now)
    articles.put_classes(act.tx, article_id, class_ids)
    _tell(act, "article.created", article_id, number, new.goods_owner_id, details)
    return article_id, True


def change_article(act: Act, article_id: int, new: NewArticle) -> None:
    """Change the article of that id, its number too if no other has it."""
    row = act.own(articles.lock_article(act.tx, article_id), "article", article_id)
    need_same_owner(row, new.goods_owner_id)
    details, class_ids = _checked(act.tx, new)
    number, owner = new.article_number, new.goods_owner_id
    if number != row["number"]:
        act.need_free(
            places.ARTICLE_ID, lambda: articles.lock_article_by_number(act.tx, owner, number), "article", number
        )
    _change(act, row, new, details, class_ids)


def _change(act: Act, found: Row, new: NewArticle, details: Document, class_ids: list[int]) -> bool:
    """Whether it is there anew."""
    article_id, is_new = int(found["id"]), found["deleted_at"] is not None
    kept = json.loads(found["details"])
    before = (
        found["number"],
        found["name"],
        {name: kept.get(name) for name in details},
        _class_ids(act.tx, article_id),
    )
    if is_new or before != (new.article_number, new.article_name, details, class_ids):
        articles.change_article(act.tx, article_id, new.article_number, new.article_name, details, now=act.now)
        articles.put_classes(act.tx, article_id, class_ids)
        event_type = "article.created" if is_new else "article.updated"
        _tell(act, event_type, article_id, new.article_number, new.goods_owner_id, details)
    return is_new


def _checked(tx: Transaction, new: NewArticle) -> tuple[Document, list[int]]:
    """The article's details and classes, if everything they refer to exists."""
    problems: list[Problem] = []
    classes = places.kinds(tx, "article class")
    given = () if new.article_classes_info is None else new.article_classes_info.classes
    class_ids = [
        chosen(classes, each.code, f"articleClassesInfo.classes[{place}].code", "article class", problems)
        for place, each in enumerate(given)
    ]
    if new.structure_definition is not None:
        numbers = [row.article_number for row in new.structure_definition.rows]
        known = articles.hold_by_number(tx, new.goods_owner_id, numbers)
        for place, number in enumerate(numbers):
            field = f"structureDefinition.rows[{place}].articleNumber"
            if number == new.article_number:
                problems.append(Problem(field, "article", "An article is no part of itself."))
            elif number not in known:
                problems.append(_no_article(new.goods_owner_id, number, field))
    raise_all(problems)
    plain = new.model_dump(by_alias=True, mode="json")
    return {name: plain[name] for name in ARTICLE_DETAILS}, sorted({each for each in class_ids if each is not None})


def _class_ids(tx: Transaction, article_id: int) -> list[int]:
    return [int(row["id"]) for row in articles.classes_of(tx, [article_id])]


def put_dangerous_goods(act: Act, new: NewArticleDangerousGoods) -> int:
    """For the article of that number: its id."""
    act.need_goods_owner(new.goods_owner_id)
    article_id = need_article(act.tx, new.goods_owner_id, new.article_number, "articleNumber")
    set_dangerous_goods(act, article_id, new.dangerous_goods)
    return article_id


def set_dangerous_goods(act: Act, article_id: int, new: NewDangerousGoods) -> None:
    """What is the same is no change."""
    row = act.own(articles.lock_article(act.tx, article_id), "article", article_id)
    goods = new.model_dump(by_alias=True, mode="json")
    if _dangerous_goods(row) != goods:
        articles.set_dangerous_goods(act.tx, article_id, goods, now=act.now)
        details = json.loads(row["details"])
        _tell(act, "article.updated", article_id, row["number"], int(row["goods_owner_id"]), details)


def _dangerous_goods(row: Row) -> Any:
    return row["dangerous_goods"] and json.loads(row["dangerous_goods"])


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
    ids = [int(row["id"]) for row in rows]
    sums, classes = articles.stock_sums(tx, ids), articles.classes_of(tx, ids)
    return [
        stock.article_document(row, sums[int(row["id"])], [each for each in classes if each["article_id"] == row["id"]])
        for row in rows
    ]


def get_dangerous_goods(tx: Transaction, actor: Actor, article_id: int) -> Document:
    actor.need("read")
    return _dangerous_document(visible(articles.article(tx, article_id), actor, "article", article_id))


def list_dangerous_goods(tx: Transaction, actor: Actor, goods_owner_id: int, **wanted: Any) -> list[Document]:
    """Of the articles that are dangerous."""
    actor.need("read")
    need_goods_owner(tx, actor, goods_owner_id)
    rows = articles.article_page(tx, goods_owner_id, only_dangerous=True, **wanted)
    return [_dangerous_document(row) for row in rows]


def _dangerous_document(row: Row) -> Document:
    goods = _dangerous_goods(row)
    if goods is not None:
        goods["unNumber"] = {"unNumber": goods["unNumber"]}
    return {"articleSystemId": row["id"], "articleNumber": row["number"], "dangerousGoods": goods}


def get_structure(tx: Transaction, actor: Actor, article_id: int) -> Document:
    actor.need("read")
    row = visible(articles.article(tx, article_id), actor, "article", article_id)
    return _structure_documents(tx, int(row["goods_owner_id"]), [row])[0]


def list_structures(tx: Transaction, actor: Actor, goods_owner_id: int, **wanted: Any) -> list[Document]:
    """Of the articles of one kind that are made of others."""
    actor.need("read")
    need_goods_owner(tx, actor, goods_owner_id)
    return _structure_documents(tx, goods_owner_id, articles.article_page(tx, goods_owner_id, **wanted))


def _structure_documents(tx: Transaction, goods_owner_id: int, rows: Sequence[Row]) -> list[Document]:
    structures = [json.loads(row["details"]).get("structureDefinition") for row in rows]
    numbers = [part["articleNumber"] for each in structures if each is not None for part in each["rows"]]
    ids = articles.ids_by_number(tx, goods_owner_id, numbers)
    return [
        {
            "articleSystemId": row["id"],
            "articleNumber": row["number"],
            "articleKind": each and each["articleKind"],
            "rows": [{"articleSystemId": ids.get(part["articleNumber"]), **part} for part in each["rows"]]
            if each
            else [],
        }
        for row, each in zip(rows, structures, strict=True)
    ]


def historical_inventory(
    tx: Transaction, actor: Actor, goods_owner_id: int, *, stock_date: Moment, warehouse_id: int | None = None
) -> Document:
    """What lay there at that moment."""
    actor.need("read")
    need_goods_owner(tx, actor, goods_owner_id)
    if warehouse_id is not None and warehouse_id not in {row["id"] for row in places.warehouses(tx).values()}:
        raise InvalidInput([Problem("warehouseId", "warehouse", f"There is no warehouse {warehouse_id}.")])
    found: dict[int, Document] = {}
    for row in stock_changes.stock_at(tx, goods_owner_id, stock_date, warehouse_id=warehouse_id):
        document = found.setdefault(
            int(row["id"]),
            {
                "articleSystemId": row["id"],
                "articleNumber": row["number"],
                "articleName": row["name"],
                "productCode": json.loads(row["details"]).get("productCode"),
                "numberOfItems": 0,
                "articleItems": [],
            },
        )
        count = int(row["number_of_items"])
        document["numberOfItems"] += count
        document["articleItems"].append({"numberOfItems": count, "batch": row["batch"], "serial": row["serial"]})
    return {"articles": list(found.values())}


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


def ordered_lines(
    tx: Transaction, goods_owner_id: int, field: str, lines: Sequence[Any], problems: list[Problem]
) -> Lines:
    """The lines with their articles' ids, which stay until the commit; each row number must be there once."""
    known = articles.hold_by_number(tx, goods_owner_id, (line.article_number for line in lines))
    rows: set[str] = set()
    for place, line in enumerate(lines):
        if line.article_number not in known:
            problems.append(_no_article(goods_owner_id, line.article_number, f"{field}[{place}].articleNumber"))
        if line.row_number in rows:
            text = f"There are two rows {line.row_number!r}; give each its own number."
            problems.append(Problem(f"{field}[{place}].rowNumber", "duplicate", text))
        rows.add(line.row_number)
    return [(line.row_number, known.get(line.article_number, 0), line.comment, line.number_of_items) for line in lines]


def _no_article(goods_owner_id: int, number: str, field: str) -> Problem:
    return Problem(field, "article", f"Goods owner {goods_owner_id} has no article {number!r}; make it first.")


def need_article(tx: Transaction, goods_owner_id: int, number: str, field: str) -> int:
    """The id of an article of this goods owner; raises InvalidInput."""
    found = articles.hold_by_number(tx, goods_owner_id, [number])
    if number not in found:
        raise InvalidInput([_no_article(goods_owner_id, number, field)])
    return found[number]
