"""What the API takes about articles."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from dockbell.warehouse.inputs.common import Id, Incoming, Measure, Name, Text, whole


class NewBarCodes(Incoming):
    bar_code: Name | None = None


class NewGroup(Incoming):
    code: Name
    name: Text | None = None


class NewArticle(Incoming):
    """The body of `PUT /articles`."""

    goods_owner_id: Id
    article_number: Name
    article_name: Name
    product_code: Name | None = None
    unit_code: Name | None = None
    description: Text | None = None
    bar_code_info: NewBarCodes | None = None
    article_group: NewGroup | None = None
    article_category: NewGroup | None = None
    stock_limit: Annotated[int, BeforeValidator(whole), Field(ge=0, le=1_000_000)] | None = None
    is_stock_article: bool = True
    weight: Measure | None = None
    length: Measure | None = None
    width: Measure | None = None
    height: Measure | None = None
    volume: Measure | None = None


ARTICLE_DETAILS = (
    "productCode", "unitCode", "description", "barCodeInfo", "articleGroup", "articleCategory", "stockLimit",
    "isStockArticle", "weight", "length", "width", "height", "volume",
)  # fmt: skip
"""Fields of an article that are kept and shown; bar code, group and category are also told."""
