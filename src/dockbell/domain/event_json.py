"""Reading what a publisher sends: strict JSON, all that is wrong with it at once.

The rules go beyond "parses": two readers of the same bytes must see the same event, so duplicate
keys, lone surrogates, NUL and numbers that no double holds are refused, here and not at the receiver.
Sound input takes the fast path (one C decode, a few byte counts); the slow path only finds words.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import msgspec

from dockbell.errors import InvalidInput, Malformed, Problem, TooLarge

LARGEST_EVENT_BYTES = 262_144
MOST_EVENTS = 1_000
DEEPEST = 64
MOST_DIGITS = 300
LARGEST_ID = (1 << 53) - 1
PUBLISHER_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ZEROS = b"0" * MOST_DIGITS
_DIGITS_TO_ZEROS = bytes.maketrans(b"123456789", b"000000000")
_BOMS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")


class Envelope(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """One event as it is posted; `data` stays bytes."""

    type: str
    data: msgspec.Raw
    goodsOwnerId: int | None = None  # noqa: N815 - the API's spelling
    id: str | None = None
    occurredAt: str | None = None  # noqa: N815
    key: str | None = None
    number: str | None = None
    attributes: dict[str, Any] | None = None


_decode_envelope = msgspec.json.Decoder(Envelope).decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode

_SHAPES: Mapping[str, tuple[type | tuple[type, ...], str]] = {
    "type": (str, "text, the key of an event type such as order.picked"),
    "data": (dict, "an object with the payload fields of the type"),
    "goodsOwnerId": ((int, type(None)), "a whole number"),
    "id": ((str, type(None)), "text of 1 to 64 letters, digits, _ or -"),
    "occurredAt": ((str, type(None)), "a time such as 2026-02-03T12:07:31Z"),
    "key": ((str, type(None)), "text such as order/50163"),
    "number": ((str, type(None)), "text such as SO-1001"),
    "attributes": ((dict, type(None)), 'an object such as {"transporter": "DHL"}'),
}


def split_events(body: bytes) -> tuple[list[bytes], bool]:
    """The events of a request body as bytes of their own, and whether they came as an array."""
    _refuse_other_encodings(body)
    start = body.lstrip(b" \t\r\n")[:1]
    if start == b"{":
        return [body], False
    if start != b"[":
        _json_value(body)
        raise InvalidInput([Problem("", "body_not_object", "The body must be an event object or an array of them.")])
    try:
        items = [bytes(item) for item in _decode_list(body)]
    except (msgspec.DecodeError, RecursionError):
        _json_value(body)
        raise
    if not 1 <= len(items) <= MOST_EVENTS:
        problem = Problem("", "body_not_object", f"The array has {len(items)} events; 1 to {MOST_EVENTS} are allowed.")
        raise InvalidInput([problem])
    return items, True


def read_envelope(raw: bytes) -> tuple[Envelope, dict[str, Any]]:
    """One event and its data, read; raises Malformed or InvalidInput with everything that is wrong."""
    if len(raw) > LARGEST_EVENT_BYTES:
        text = f"The event has {len(raw)} bytes; at most {LARGEST_EVENT_BYTES} are allowed."
        raise TooLarge(text)
    _refuse_other_encodings(raw)
    try:
        envelope = _decode_envelope(raw)
        whole = _decode(raw)
    except (msgspec.DecodeError, RecursionError):
        raise _what_is_wrong(raw) from None
    if (
        b"\\u" in raw
        # A long number: a quarter of what a regular expression costs.
        or _ZEROS in raw.translate(_DIGITS_TO_ZEROS)
        or (raw.count(b"{") + raw.count(b"[") > DEEPEST and _depth_below(whole) > DEEPEST)
        or raw.count(b'"') != _encode(whole).count(b'"')
    ):
        _json_value(raw)
    if not isinstance(whole["data"], dict) or not _is_plain(envelope):
        problems = _shape_problems(whole)
        if problems:
            raise InvalidInput(problems)
    return envelope, whole["data"]


def read_json(raw: bytes) -> Any:
    """Any other document, by the same rules; raises Malformed or InvalidInput."""
    _refuse_other_encodings(raw)
    return _json_value(raw)


def _is_plain(envelope: Envelope) -> bool:
    """True for the usual envelope; anything else is looked at slowly."""
    return (
        (envelope.id is None or PUBLISHER_ID.fullmatch(envelope.id) is not None)
        and (envelope.goodsOwnerId is None or 0 <= envelope.goodsOwnerId <= LARGEST_ID)
        and envelope.key is None
        and envelope.number is None
    )


def _refuse_other_encodings(raw: bytes) -> None:
    if raw.startswith(_BOMS):
        text = "The body begins with a byte order mark; send plain UTF-8 without one."
        raise InvalidInput([Problem("", "body_bom", text)])
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        text = f"Byte {error.start} is not UTF-8."
        raise InvalidInput([Problem("", "body_utf8", text)]) from error


def _what_is_wrong(raw: bytes) -> InvalidInput:
    return InvalidInput(_shape_problems(_json_value(raw)) or [Problem("", "body_json", "The event cannot be read.")])


def _json_value(raw: bytes) -> Any:
    """The slow, exact reading: raises with the first rule of JSON that is broken, or all of ours."""
    problems: list[Problem] = []

    def pairs(members: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in members]
        if len(set(names)) != len(names):
            twice = sorted(name for name, count in Counter(names).items() if count > 1)
            problems.extend(
                Problem(_clean(n), "body_duplicate_key", f"The key {_clean(n)!r} stands twice in one object.")
                for n in twice
            )
        for name, member in members:
            _judge_text(name, name, problems)
            if isinstance(member, str):
                _judge_text(member, name, problems)
            elif isinstance(member, list):
                _judge_list(member, name, problems)
        return dict(members)

    def number(text: str) -> Any:
        # Exact, as the quick reading has it: ids have nineteen digits, and what is compared with them must be the same.
        value = int(text) if len(text) <= MOST_DIGITS and text.lstrip("-").isdigit() else float(text)
        if value in (float("inf"), float("-inf")):
            shown = text if len(text) <= 40 else f"{text[:37]}..."
            problems.append(Problem("", "body_number", f"The number {shown} is larger than a double can hold."))
            return 0
        return value

    def constant(text: str) -> Any:
        raise ValueError(f"{text} is not JSON")

    try:
        text = raw.decode("utf-8")
        value = json.loads(text, object_pairs_hook=pairs, parse_int=number, parse_float=number, parse_constant=constant)
    except RecursionError:
        raise InvalidInput([_too_deep()]) from None
    except ValueError as error:
        raise Malformed(
            f"The body is not JSON: {error}.", code="body_json", hint="Check quotes, commas and brackets."
        ) from error
    if isinstance(value, dict):
        if _depth_below(value) > DEEPEST:
            problems.append(_too_deep())
    elif isinstance(value, list):
        _judge_list(value, "", problems)
    elif isinstance(value, str):
        _judge_text(value, "", problems)
    if problems:
        raise InvalidInput(problems)
    return value


def _too_deep() -> Problem:
    return Problem("", "body_depth", f"The event is nested deeper than {DEEPEST} levels.")


def _judge_text(text: str, where: str, problems: list[Problem]) -> None:
    if "\x00" in text:
        problems.append(Problem(_clean(where), "body_nul", "Text must not contain U+0000: PostgreSQL cannot keep it."))
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        problems.append(
            Problem(_clean(where), "body_surrogate", "Text has half of a surrogate pair; it is no character.")
        )


def _judge_list(elements: list[Any], where: str, problems: list[Problem]) -> None:
    for element in elements:
        if isinstance(element, str):
            _judge_text(element, where, problems)
        elif isinstance(element, list):
            _judge_list(element, where, problems)


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode().replace("\x00", "?")


def _depth_below(event: dict[str, Any]) -> int:
    """How deep its members are nested; what is around the data counts as well."""
    return max((_depth(member) + (name != "data") for name, member in event.items()), default=0)


def _depth(value: Any) -> int:
    """Level by level: by the values one by one, a large event takes a hundred times as long."""
    depth, level = 0, [value]
    while level := [each for each in level if isinstance(each, dict | list)]:
        depth += 1
        level = [below for each in level for below in (each.values() if isinstance(each, dict) else each)]
    return depth


def _shape_problems(value: Any) -> list[Problem]:
    if not isinstance(value, dict):
        return [Problem("", "body_not_object", "An event must be a JSON object.")]
    problems = [
        Problem(name, "unknown_field", f"There is no field {name!r}. Allowed: {', '.join(_SHAPES)}.")
        for name in value
        if name not in _SHAPES
    ]
    problems += [
        Problem(name, "required", f"{name} is missing; it must be {_SHAPES[name][1]}.")
        for name in ("type", "data")
        if name not in value
    ]
    for name, (kinds, allowed) in _SHAPES.items():
        if name in value and (not isinstance(value[name], kinds) or isinstance(value[name], bool)):
            code = "body_not_object" if name == "data" else "type"
            problems.append(Problem(name, code, f"{name} must be {allowed}."))
    given = value.get("id")
    if isinstance(given, str) and not PUBLISHER_ID.fullmatch(given):
        problems.append(
            Problem("id", "event_id", "id must be 1 to 64 letters, digits, _ or -; it is sent on in a header.")
        )
    owner = value.get("goodsOwnerId")
    if isinstance(owner, int) and not 0 <= owner <= LARGEST_ID:
        problems.append(Problem("goodsOwnerId", "goods_owner", "goodsOwnerId must be from 0 to 2^53 - 1."))
    for name in ("key", "number"):
        text = value.get(name)
        if isinstance(text, str) and not (1 <= len(text) <= 200 and text.isprintable()):
            problems.append(Problem(name, name, f"{name} must be 1 to 200 printable characters."))
    return problems
