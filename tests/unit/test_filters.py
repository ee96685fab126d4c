"""Filters agree with a naive evaluation, written here a second time and differently."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockbell.domain.catalog import EventType, load_catalog
from dockbell.domain.filters import OPERATORS, Condition, Facts, Filter, Operator, StatusChange

NAMES = ("a", "b", "code")
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([0.0, 1.0, 2.5]),
    st.sampled_from(["", "1", "a", "ab", "B"]),
)
values = st.recursive(
    scalars,
    lambda below: st.one_of(st.lists(below, max_size=3), st.dictionaries(st.sampled_from(NAMES), below, max_size=3)),
    max_leaves=6,
)
documents = st.dictionaries(st.sampled_from(NAMES), values, max_size=3)
parts = st.tuples(st.sampled_from(NAMES), st.booleans()).map(lambda pair: pair[0] + ("[]" if pair[1] else ""))
fields = st.tuples(st.sampled_from(["data", "attributes"]), st.lists(parts, min_size=1, max_size=3)).map(
    lambda pair: ".".join([pair[0], *pair[1]])
)
wanted_for: dict[Operator, st.SearchStrategy[Any]] = {
    "is": scalars,
    "isNot": scalars,
    "isOneOf": st.lists(scalars.filter(lambda value: value is not None), min_size=1, max_size=3),
    "greater": st.one_of(st.integers(-3, 3), st.sampled_from(["a", "b", 1.5])),
    "less": st.one_of(st.integers(-3, 3), st.sampled_from(["a", "b", 1.5])),
    "contains": st.one_of(st.integers(-3, 3), st.sampled_from(["", "a", "B"])),
    "exists": st.sampled_from([None, True, False]),
}
conditions = st.sampled_from(OPERATORS).flatmap(
    lambda operator: st.builds(Condition, fields, st.just(operator), wanted_for[operator])
)


def as_json(value: Any) -> str:
    """Two JSON values are the same if they write alike; 1.0 and 1 are one number."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, list):
        return "[" + ",".join(map(as_json, value)) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{as_json(value[key])}" for key in sorted(value)) + "}"
    return json.dumps(value)


def naive_values(document: Any, path: str) -> list[Any]:
    found = [document]
    for part in path.split("."):
        below = [
            value[part.removesuffix("[]")]
            for value in found
            if isinstance(value, dict) and part.removesuffix("[]") in value
        ]
        found = (
            [element for value in below if isinstance(value, list) for element in value]
            if part.endswith("[]")
            else below
        )
    return found


def kind(value: Any) -> str:
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def naive(condition: Condition, facts: Facts) -> bool:
    root, _, path = condition.field.partition(".")
    found, wanted = naive_values(dict(facts.data if root == "data" else facts.attributes), path), condition.value
    same = [value for value in found if scalar(value) and scalar(wanted) and as_json(value) == as_json(wanted)]
    comparable = [value for value in found if kind(value) == kind(wanted) and kind(wanted) in ("number", "str")]
    answers: dict[Operator, bool] = {
        "is": len(same) > 0,
        "isNot": len(same) == 0,
        "isOneOf": isinstance(wanted, list)
        and {as_json(v) for v in found if scalar(v)} & {as_json(w) for w in wanted} != set(),
        "greater": len([value for value in comparable if value > wanted]) > 0,
        "less": len([value for value in comparable if value < wanted]) > 0,
        "contains": any(
            (kind(value) == "str" and kind(wanted) == "str" and wanted in value)
            or (kind(value) == "list" and as_json(wanted) in [as_json(v) for v in value if scalar(v)])
            for value in found
        ),
        "exists": (len([value for value in found if value is not None]) > 0) is (wanted is not False),
    }
    return answers[condition.operator]


def scalar(value: Any) -> bool:
    return not isinstance(value, list | dict)


@given(data=documents, attributes=documents, condition=conditions)
def test_each_operator_agrees_with_a_naive_evaluation(data: Any, attributes: Any, condition: Condition):
    facts = Facts(data, attributes)
    assert condition.agrees(facts) is naive(condition, facts)


@given(data=documents, attributes=documents, several=st.lists(conditions, max_size=4))
def test_a_filter_agrees_when_all_its_conditions_do_and_else_says_why(
    data: Any, attributes: Any, several: list[Condition]
):
    facts = Facts(data, attributes)
    objection = Filter(conditions=tuple(several)).objection(facts)
    assert (objection is None) is all(naive(condition, facts) for condition in several)
    if objection is not None:
        first = next(condition for condition in several if not naive(condition, facts))
        assert objection.startswith(f"filter “{first.in_words()}” met ")


class Counted(list[Any]):
    walks = 0

    def __iter__(self) -> Any:
        self.walks += 1
        return super().__iter__()


@pytest.mark.parametrize("operator", OPERATORS)
def test_a_large_event_is_walked_through_once_for_all_webhooks(operator: Operator):
    """One goods owner's hundred webhooks with twenty conditions over an array once kept a node busy for half a minute."""
    parcels = Counted({"weight": number, "code": f"P{number}", "tags": ["x"]} for number in range(500))
    facts = Facts({"parcels": parcels}, {})
    value = {"isOneOf": ["P7", 7], "exists": False}.get(operator, "P7")
    for webhook in range(100):
        conditions = [Condition(f"data.parcels[].{name}", operator, value) for name in ("weight", "code", "tags")]
        conditions.append(Condition(f"data.parcels[].missing{webhook}", operator, value))
        for condition in conditions:
            Filter(conditions=(condition,)).objection(facts)
    assert parcels.walks == 1


def test_an_objection_shows_a_few_of_many_values():
    facts = Facts({"parcels": [{"weight": number} for number in range(30_000)]}, {})
    objection = Filter(conditions=(Condition("data.parcels[].weight", "less", 0),)).objection(facts)
    assert objection == "filter “data.parcels[].weight is less than 0” met 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and more"


names = st.sampled_from(["DHL", "UPS", "dhl", ""])


@given(
    listed=st.lists(names, max_size=3),
    types=st.lists(names, max_size=3),
    attributes=st.fixed_dictionaries({}, optional={"transporter": st.one_of(names, st.none()), "orderType": names}),
)
def test_lists_of_transporters_and_order_types_agree_with_membership(
    listed: list[str], types: list[str], attributes: dict[str, Any]
):
    wanted = (not listed or attributes.get("transporter") in listed) and (
        not types or attributes.get("orderType") in types
    )
    found = Filter(transporters=tuple(listed), order_types=tuple(types)).objection(Facts({}, attributes))
    assert (found is None) is wanted


numbers = st.integers(0, 3)


@given(
    changes=st.lists(st.builds(StatusChange, numbers, st.one_of(st.none(), numbers)), max_size=4),
    before=st.one_of(st.none(), numbers),
    after=st.one_of(st.none(), numbers),
    in_payload=st.one_of(st.none(), numbers),
)
def test_statuses_reached_agree_with_a_naive_evaluation(
    changes: list[StatusChange], before: int | None, after: int | None, in_payload: int | None
):
    attributes = {name: value for name, value in (("statusFrom", before), ("statusTo", after)) if value is not None}
    data = {} if in_payload is None else {"path": "x", "orderStatus": {"number": in_payload}}
    reached = after if after is not None else in_payload
    wanted = not changes or any(
        reached is not None and change.to == reached and (change.came_from is None or change.came_from == before)
        for change in changes
    )
    assert (Filter(statuses=tuple(changes)).objection(Facts(data, attributes)) is None) is wanted


@pytest.mark.parametrize(
    ("data", "attributes"),
    [
        ({"orderStatus": {"number": 450.0}}, {"statusFrom": 400}),
        ({}, {"statusFrom": 400, "statusTo": 450.0}),
        ({}, {"statusFrom": 400.0, "statusTo": 450}),
    ],
)
def test_a_status_that_is_written_with_a_point_is_the_same_number(data: dict[str, Any], attributes: dict[str, Any]):
    """450.0 is an integer in JSON, so schemas take it, and decimals are written so by many programs."""
    wanted = Filter(statuses=(StatusChange(450, 400),))
    assert wanted.objection(Facts(data, attributes)) is None
    other = Filter(statuses=(StatusChange(300),)).objection(Facts(data, attributes))
    assert other == "filter “status 300 reached” met status 400 to 450"


@pytest.mark.parametrize(
    "event_type", [each for each in load_catalog() if "status" in each.settings], ids=lambda it: it.key
)
def test_a_status_that_a_publisher_adds_to_the_data_is_not_taken_for_the_objects_own(event_type: EventType):
    """Payloads grow by adding, and what is added may stand first."""
    own = {name: value for name, value in event_type.example.items() if name.endswith("Status")}
    if not own:
        return  # its status comes with the attributes alone
    data = {"paymentStatus": {"number": 7}, **event_type.example}
    assert event_type.problems_with(data) == []
    assert Facts(data, {}).status_to() == next(iter(own.values()))["number"]


@pytest.mark.parametrize("status", [True, "450", 450.5, None, float("inf")])
def test_what_is_no_whole_number_is_no_status(status: object):
    wanted = Filter(statuses=(StatusChange(450), StatusChange(1)))
    for facts in (Facts({"orderStatus": {"number": status}}, {}), Facts({}, {"statusTo": status})):
        assert (
            wanted.objection(facts) == "filter “status 450 reached or status 1 reached” met status unknown to unknown"
        )


@pytest.mark.parametrize(
    ("filter_", "attributes", "words"),
    [
        (Filter(transporters=("DHL", "UPS")), {"transporter": "X"}, "filter “transporter is one of DHL, UPS” met X"),
        (Filter(transporters=("DHL",)), {}, "filter “transporter is one of DHL” met nothing: the event has no such value"),
        (Filter(statuses=(StatusChange(450, 400), StatusChange(200))), {"statusTo": 450, "statusFrom": 300},
         "filter “status 400 to 450 or status 200 reached” met status 300 to 450"),
        (Filter(statuses=(StatusChange(450),)), {"statusTo": 0, "statusFrom": 0}, "filter “status 450 reached” met status 0 to 0"),
        (Filter(conditions=(Condition("attributes.n", "greater", 5),)), {"n": 5}, "filter “attributes.n is greater than 5” met 5"),
        (Filter(conditions=(Condition("attributes.n", "exists", False),)), {"n": "x" * 90},
         f"filter “attributes.n does not exist” met {'x' * 79}…"),
    ],
)  # fmt: skip
def test_an_objection_tells_what_was_wanted_and_what_was_met(filter_: Filter, attributes: dict[str, Any], words: str):
    assert filter_.objection(Facts({}, attributes)) == words


def test_true_is_not_one_and_text_is_not_a_number():
    facts = Facts({}, {"yes": True, "one": 1, "text": "1"})
    agreeing = {name for name in facts.attributes if Condition(f"attributes.{name}", "is", 1).agrees(facts)}
    assert agreeing == {"one"}
