"""What the API takes about articles."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from dockbell.warehouse.inputs.common import Id, Incoming, KindCode, Measure, Name, NumberOfItems, Text, as_tuple, whole


class NewBarCodes(Incoming):
    bar_code: Name | None = None


class NewGroup(Incoming):
    code: Name
    name: Text | None = None


class NewArticleClasses(Incoming):
    classes: Annotated[tuple[KindCode, ...], BeforeValidator(as_tuple), Field(max_length=50)] = ()


ArticleKind = Literal["Structure", "Production"]


class NewStructureRow(Incoming):
    article_number: Name
    number_of_items: NumberOfItems = 1


class NewStructure(Incoming):
    """What one of the article is made of: a structure is picked as its parts, a product is made of them."""

    article_kind: ArticleKind
    rows: Annotated[list[NewStructureRow], Field(min_length=1, max_length=100)]


class NewShippingName(Incoming):
    language_code: Annotated[str, Field(pattern="^[a-z]{2}$")]
    proper_shipping_name: Name


class NewDangerousGoods(Incoming):
    """What a transporter must know of an article that is dangerous."""

    un_number: Annotated[str, Field(pattern="^(UN)?[0-9]{4}$")]
    un_package_type: Name | None = None
    un_label_numbers: Name | None = None
    un_is_marine_hazard: bool = False
    dangerous_goods_coefficient: Measure | None = None
    ems_code: Name | None = None
    un_proper_shipping_names: Annotated[
        tuple[NewShippingName, ...], BeforeValidator(as_tuple), Field(max_length=20)
    ] = ()


class NewArticleDangerousGoods(Incoming):
    """The body of `PUT /articles/dangerousGoods`."""

    goods_owner_id: Id
    article_number: Name
    dangerous_goods: NewDangerousGoods


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
    structure_definition: NewStructure | None = None
    article_classes_info: NewArticleClasses | None = None


ARTICLE_DETAILS = (
    "productCode", "unitCode", "description", "barCodeInfo", "articleGroup", "articleCategory", "stockLimit",
    "isStockArticle", "weight", "length", "width", "height", "volume", "structureDefinition",
)  # fmt: skip
"""Fields of an article that are kept and shown; bar code, group and category are also told."""
