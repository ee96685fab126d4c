"""The quick reading of events and the slow, exact one agree; what is refused is refused with its reason."""

import json
import math
import time
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dockbell.domain import event_json
from dockbell.domain.event_json import (
    DEEPEST,
    LARGEST_EVENT_BYTES,
    MOST_EVENTS,
    read_envelope,
    read_json,
    split_events,
)
from dockbell.domain.filters import Condition, Facts
from dockbell.errors import DockbellError, InvalidInput, Malformed, TooLarge

GOOD = b'{"type":"order.picked","goodsOwnerId":114,"data":{"orderId":1}}'
spaces = st.sampled_from(["", "", "", " ", "\n\t", "\r\n"])
strings = st.one_of(
    st.sampled_from(['""', '"a"', '"\\u0061"', '"\\u0000"', '"\\ud83c\\udf89"', '"\\ud83c"', '"\\udf89x"', '"å🎉"', '"\\n"', '"\\""',
                     '"\\\\"', '"\\/"', '"a\\\\\\"b"', '"\\x"', '"\x01"', '"\x7f"', '"\u2028"', '"{[,:"', "'a'", '"']),
    st.text(max_size=5).filter(lambda text: text.isprintable()).map(lambda text: json.dumps(text, ensure_ascii=False)),
)  # fmt: skip
numbers = st.one_of(
    st.sampled_from(["0", "-0", "1E2", "0.1000", "12345678901234567890.123", "1e400", "-1e999", "1e-999", "9007199254740993", "01", "+1",
                     ".5", "5.", "1e", "NaN", "Infinity", "-Infinity", "0x10", "1_000", "9" * 30, "9" * 299, "9" * 309, "9" * 400,
                     "0." + "1" * 320, "-"]),
    st.integers(-(10**20), 10**20).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(json.dumps),
)  # fmt: skip
keys = st.sampled_from(['"a"', '"b"', '"\\u0061"', '"a "', '""', '"data"', '"\\u0000"', '"\\ud83c"', "a"])


def listed(opening: str, parts: st.SearchStrategy[str], closing: str) -> st.SearchStrategy[str]:
    return st.tuples(st.lists(parts, max_size=3), spaces, st.sampled_from([",", ",", ",", ",,", " "])).map(
        lambda found: opening + found[1] + found[2].join(found[0]) + found[1] + closing
    )


def members(below: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(keys, spaces, below).map(lambda found: f"{found[0]}{found[1]}:{found[1]}{found[2]}")


texts = st.recursive(
    st.one_of(strings, numbers, st.sampled_from(["true", "false", "null", "True", "nul", ""])),
    lambda below: st.one_of(listed("[", below, "]"), listed("{", members(below), "}")),
    max_leaves=8,
)
objects = listed("{", members(texts), "}")


def slow(raw: bytes) -> Any:
    return event_json._json_value(raw)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) or isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-12) if not isinstance(one, bool) else one is other
    return type(one) is type(other) and bool(one == other)


@given(data=st.one_of(objects, texts))
@example('{"a":1,"a":2}')
@example('{"a":1,"\\u0061":2}')
@example('{"a":{"b":"x","b":"x"}}')
@example('{"a":[{"b":1,"b":1}]}')
@example('{"a":1,"b":"\\u0000"}')
@example('{"":1,"":2}')
@example('{"a":1e400}')
@example('{"a":"\\\\","a":""}')
@example('{"a":"\\"","b":1,"b":2}')
@example('{"a":"\\/","a":1}')
@example('{"a":' + "9" * 400 + "}")
@example('{"a":' + "[" * 70 + "]" * 70 + "}")
def test_the_quick_reading_refuses_whatever_the_exact_one_does_and_reads_the_same(data: str):
    raw = f'{{"type":"order.picked","goodsOwnerId":114,"data":{data}}}'.encode()
    try:
        expected = slow(raw)["data"]
    except (Malformed, InvalidInput):
        with pytest.raises(DockbellError):
            read_envelope(raw)
        return
    if not isinstance(expected, dict):
        with pytest.raises(InvalidInput):
            read_envelope(raw)
        return
    envelope, found = read_envelope(raw)
    assert same(found, expected)
    assert bytes(envelope.data).decode() == data.strip(" \t\r\n")


@given(raw=st.one_of(st.binary(max_size=60), st.text(max_size=40).map(str.encode), objects.map(str.encode)))
@example(b"")
@example(b"null")
@example(b"[]")
@example(b'{"type":1,"data":[]}')
@example(b"[" * 100_000)
@example(b'{"a":' * 50_000)
def test_any_bytes_are_read_or_refused_in_words(raw: bytes):
    try:
        envelope, data = read_envelope(raw)
    except DockbellError as error:
        refused = error
    else:
        assert isinstance(data, dict)
        assert envelope.type is not None
        return
    assert refused.status in (400, 413, 422)
    assert refused.message.encode()


envelope_values = st.one_of(st.none(), st.booleans(), st.integers(-5, 2**60), st.text(max_size=70), st.lists(st.integers(), max_size=2),
                            st.dictionaries(st.text(max_size=3), st.integers(), max_size=2), st.floats(0, 5))  # fmt: skip
ENVELOPE = ("type", "data", "goodsOwnerId", "id", "occurredAt", "key", "number", "attributes", "colour")


@given(document=st.dictionaries(st.sampled_from(ENVELOPE), envelope_values, max_size=9))
def test_an_envelope_is_refused_exactly_when_a_field_is_wrong(document: dict[str, Any]):
    problems = event_json._shape_problems(document)
    strange = any(
        isinstance(text, str) and "\x00" in text for value in document.values() for text in [value, *inside(value)]
    )
    told: set[str] | None = None
    try:
        read_envelope(json.dumps(document).encode())
    except InvalidInput as refused:
        told = {problem.field for problem in refused.problems}
    if not strange:
        assert told == ({problem.field for problem in problems} or None)
    elif problems:
        assert told is not None


def inside(value: Any) -> list[Any]:
    return [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []


def test_all_that_is_wrong_is_told_at_once():
    with pytest.raises(InvalidInput) as refused:
        read_envelope(b'{"goodsOwnerId":"114","id":"a b","colour":1,"data":[]}')
    assert {problem.field for problem in refused.value.problems} == {"type", "goodsOwnerId", "id", "colour", "data"}


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"\xef\xbb\xbf" + GOOD, "body_bom"),
        (GOOD.decode().encode("utf-16"), "body_bom"),
        (GOOD.replace(b"picked", b"pick\xe5d"), "body_utf8"),
        (GOOD.replace(b":1}", b":1,}"), "body_json"),
        (GOOD.replace(b'"orderId":1', b'"orderId":1,"orderId":2'), "body_duplicate_key"),
        (GOOD.replace(b'"orderId":1', b'"orderId":1,"order\\u0049d":2'), "body_duplicate_key"),
        (GOOD.replace(b'"goodsOwnerId":114', b'"goodsOwnerId":114,"goodsOwnerId":207'), "body_duplicate_key"),
        (GOOD.replace(b":1}", b":1e400}"), "body_number"),
        (GOOD.replace(b":1}", b":NaN}"), "body_json"),
        (GOOD.replace(b":1}", b':"\\u0000"}'), "body_nul"),
        (GOOD.replace(b":1}", b':"\\ud83c"}'), "body_surrogate"),
        (GOOD.replace(b":1}", b":" + b"[" * 70 + b"]" * 70 + b"}"), "body_depth"),
        (GOOD.replace(b'{"orderId":1}', b"[]"), "body_not_object"),
        (b'"order.picked"', "body_not_object"),
    ],
)
def test_each_rule_has_its_code(raw: bytes, code: str):
    with pytest.raises(DockbellError) as refused:
        read_envelope(raw)
    assert refused.value.code == code


def test_the_deepest_that_is_allowed_is_allowed():
    def nested(levels: int) -> bytes:
        return GOOD.replace(b":1}", b":" + b"[" * levels + b"]" * levels + b"}")

    read_envelope(nested(DEEPEST - 1))
    with pytest.raises(InvalidInput, match="deeper than"):
        read_envelope(nested(DEEPEST))


def test_the_largest_event_that_is_allowed_is_allowed():
    room = LARGEST_EVENT_BYTES - len(GOOD) - len(b',"x":""')
    full = GOOD.replace(b":1}", b':1,"x":"' + b"a" * room + b'"}')
    assert len(full) == LARGEST_EVENT_BYTES
    read_envelope(full)
    with pytest.raises(TooLarge):
        read_envelope(full.replace(b'"a', b'"aa', 1))


def test_numbers_keep_their_digits():
    raw = GOOD.replace(b":1}", b':12345678901234567890.123,"n": 1E2}')
    envelope, _ = read_envelope(raw)
    assert bytes(envelope.data) == b'{"orderId":12345678901234567890.123,"n": 1E2}'


@pytest.mark.parametrize("number", ["1829384756123456789", "-1829384756123456789", "1" * 21, "9" * 299])
def test_a_long_whole_number_is_the_same_in_an_event_and_in_what_is_compared_with_it(number: str):
    """A filter on an id of nineteen digits held what is nearest to it among doubles, and never met it."""
    _, data = read_envelope(GOOD.replace(b":1}", f":{number}}}".encode()))
    compared = read_json(f'{{"value":{number}}}'.encode())["value"]
    assert (data["orderId"], compared) == (int(number), int(number))
    assert Condition("data.orderId", "is", compared).agrees(Facts(data, {}))


def test_a_body_is_one_event_or_an_array_of_them():
    assert split_events(GOOD) == ([GOOD], False)
    assert split_events(b" [" + GOOD + b" ,\n" + GOOD + b"] ") == ([GOOD, GOOD], True)


@pytest.mark.parametrize(
    "raw", [b"[]", b"", b"[1,", b"null", b"[" + b",".join([GOOD] * (MOST_EVENTS + 1)) + b"]", b"[" * 100_000]
)
def test_anything_else_is_refused(raw: bytes):
    with pytest.raises(DockbellError):
        split_events(raw)


def test_as_many_events_as_allowed_are_taken():
    found, many = split_events(b"[" + b",".join([GOOD] * MOST_EVENTS) + b"]")
    assert (len(found), many) == (MOST_EVENTS, True)


def test_one_name_that_stands_twice_among_many_is_found_without_comparing_each_with_each():
    """U-9"""
    names = ['"00000":2', *(f'"{number:05x}":1' for number in range(20_000))]
    began = time.process_time()
    with pytest.raises(InvalidInput) as refused:
        read_envelope(b'{"type":"order.picked","data":{%s}}' % ",".join(names).encode())
    assert [(each.field, each.code) for each in refused.value.problems] == [("00000", "body_duplicate_key")]
    assert time.process_time() - began < 1.5


def test_the_first_hundred_problems_are_told_and_how_many_more_there_are():
    """U-9"""
    names = [f'"{number}":1' for number in range(5_000)] * 2
    with pytest.raises(InvalidInput) as refused:
        read_envelope(b'{"type":"order.picked","data":{%s}}' % ",".join(names).encode())
    assert len(refused.value.problems) == 101
    last = refused.value.problems[-1]
    assert (last.code, last.message) == ("more_problems", "There are 4900 more problems; mend these first.")
    assert refused.value.message.endswith("(and 4999 more)")
