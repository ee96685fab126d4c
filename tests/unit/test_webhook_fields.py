"""A webhook's form and back: what is shown and sent as it was shown is the same webhook."""

import json
import re
from typing import Any

import pytest

from dockbell.domain.catalog import load_catalog
from dockbell.web.ui.visit import Fields
from dockbell.web.ui.webhook_fields import Typed, document_from, typed_from, typed_in

PICKED = next(each for each in load_catalog() if each.key == "order.picked")
AREAS = ("transporters", "orderTypes")
TEXT, NUMBER, ATTRIBUTE, UNKNOWN = "data.orderNumber", "data.orderId", "attributes.transporter", "attributes.zone"
COMPARISONS = [
    *(("is", each) for each in ("A", "A, 1", " x ", "5", 5, 0.1, "true", True, "null", None, "", '["A"]', '"A"')),
    ("isOneOf", ["A", "B"]), ("isOneOf", ["A, 1", "B"]), ("isOneOf", ["5"]), ("isOneOf", [5, "5", ""]), ("isOneOf", ["["]),
    ("contains", "a\nb"), ("greater", "10"), ("exists", None), ("exists", True), ("exists", False),
]  # fmt: skip


def a_webhook(**filters: Any) -> dict[str, Any]:
    return {
        "name": "ERP", "eventType": "order.picked", "goodsOwnerIds": [114], "targetUrl": "https://erp.example.com/",
        "email": None, "enabled": True, "authentication": {"type": "none"}, "headers": [],
        "retryPolicy": {"name": "one-day"}, "timeoutInSeconds": 12.3456789, "maxConcurrency": 4, "keepOrder": False,
        "filters": {
            "transporters": [], "orderTypes": [], "statuses": [], "fireWhenPurchaseOrderIsCreated": False,
            "conditions": [], **filters,
        },
    }  # fmt: skip


def sent_as_shown(shown: Typed) -> Fields:
    """What a browser makes of it: no line ends in what is one line, CR LF in what is an area."""
    lines = [
        *((name, text) for name, text in shown.texts.items() if name not in AREAS),
        *((f"status{side.title()}", row[side]) for row in shown.statuses for side in ("from", "to")),
        *((f"condition{name.title()}", text) for row in shown.conditions for name, text in row.items()),
    ]
    areas = [(name, shown.text(name).replace("\n", "\r\n")) for name in AREAS]
    return Fields([*areas, *((name, re.sub("[\r\n]", "", text)) for name, text in lines)])


@pytest.mark.parametrize(
    "filters",
    [
        *(
            {"conditions": [{"field": field, "operator": operator, "value": value}]}
            for field in (TEXT, NUMBER, ATTRIBUTE, UNKNOWN)
            for operator, value in COMPARISONS
        ),
        {"transporters": ["DHL", "UPS"]},
        {"transporters": ["DHL, Sweden", " x ", "a\nb"], "orderTypes": ['["B2C"]']},
        {"statuses": [{"from": 0, "to": 200}, {"to": 0}]},
    ],
    ids=str,
)
def test_filters_saved_as_the_form_shows_them_stay_as_they_are(filters: dict[str, Any]):
    webhook = a_webhook(**filters)
    document = document_from(typed_in(sent_as_shown(typed_from(webhook, PICKED))), "regular", PICKED)
    # As text, for 1 is True to Python.
    assert json.dumps(document["filters"], sort_keys=True) == json.dumps(webhook["filters"], sort_keys=True)
    assert document["timeoutInSeconds"] == webhook["timeoutInSeconds"]


def test_a_value_is_shown_in_brackets_only_where_its_text_alone_would_be_read_as_another():
    values = [
        (TEXT, "isOneOf", ["12345", "SO-7"]),
        (UNKNOWN, "is", 5),
        (UNKNOWN, "is", "5"),
        (TEXT, "isOneOf", ["A, 1"]),
    ]
    conditions = [{"field": field, "operator": operator, "value": value} for field, operator, value in values]
    shown = typed_from(a_webhook(conditions=conditions), PICKED)
    assert [row["value"] for row in shown.conditions] == ["12345, SO-7", "5", '["5"]', '["A, 1"]']
