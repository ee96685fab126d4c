"""What the warehouse's API takes: camelCase objects, judged.

No field comes in that we do not know, and no value that we could not keep; otherwise everything that is wrong is said
at once.
"""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model
from pydantic.alias_generators import to_camel, to_snake
from pydantic_core import PydanticCustomError

from dockbell.errors import InvalidInput, Problem

LARGEST_ID = (1 << 53) - 1
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,7})?(Z|[+-][0-9]{2}:[0-9]{2})?)?")
M = TypeVar("M", bound=BaseModel)


def _storable(text: str) -> str:
    if "\x00" in text:
        raise PydanticCustomError("nul", "text must not contain U+0000: PostgreSQL cannot keep it")
    return text


def _printable(text: str) -> str:
    if not text.isprintable() or text != text.strip():
        raise PydanticCustomError("not_printable", "write printable characters, without blanks at the ends")
    return text


def _date(text: str) -> str:
    try:
        if not _DATE.fullmatch(text):
            raise ValueError
        datetime.fromisoformat(text)
    except ValueError:
        raise PydanticCustomError("date", "write an existing date such as 2026-02-03 or 2026-02-03T12:00:00Z") from None
    return text


def whole(value: object) -> object:
    """The documented quantities are decimals: 2.0 is 2 items. A fraction stays what it is and is refused."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def as_tuple(value: object) -> object:
    """JSON knows lists only; a default that nobody can change is a tuple."""
    return tuple(value) if isinstance(value, list) else value


def _number(value: object) -> object:
    """Whole numbers are decimals too; truth values and texts are not."""
    return float(value) if type(value) is int and abs(value) < 10**15 else value


Id = Annotated[int, Field(ge=0, le=LARGEST_ID)]
Name = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_printable)]
Text = Annotated[str, Field(max_length=2_000), AfterValidator(_storable)]
Date = Annotated[str, Field(max_length=40), AfterValidator(_date)]
NumberOfItems = Annotated[int, BeforeValidator(whole), Field(ge=1, le=1_000_000)]


SignedItems = Annotated[int, BeforeValidator(whole), Field(ge=-1_000_000, le=1_000_000)]
CountedItems = Annotated[int, BeforeValidator(whole), Field(ge=0, le=1_000_000)]
Measure = Annotated[float, Field(ge=0, le=1_000_000_000, allow_inf_nan=False), BeforeValidator(_number)]
Url = Annotated[str, Field(max_length=2_000, pattern="^https?://[^ ]+$"), AfterValidator(_printable)]


class Incoming(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", strict=True, frozen=True)


class KindCode(Incoming):
    code: Name
    name: Text | None = None
    """Accepted because clients send it; the code decides."""


def one_field(name: str, kind: Any) -> type[Incoming]:
    """The body of `PATCH .../{name}`: that field, and it must be there."""
    fields: dict[str, Any] = {to_snake(name): (kind, ...)}
    return create_model(f"New{name[0].upper()}{name[1:]}", __base__=Incoming, **fields)


FREE_TEXTS = {name: one_field(name, Text) for name in ("freeText1", "freeText2", "freeText3")}


class ByUser(Incoming):
    user_id: Id


class ByComputer(Incoming):
    computer_id: Id
    computer_name: Name | None = None


class OfWarehouse(Incoming):
    """Something that belongs to a warehouse, named by its code or its id; what is new and names none belongs to the first."""

    warehouse_code: Name | None = None
    warehouse_id: Id | None = None


class Step(Incoming):
    """The body of a step on the warehouse floor: who did it where, as the events will tell."""

    by_user: ByUser | None = None
    by_computer: ByComputer | None = None


NOBODY = Step()


def read(model: type[M], document: Mapping[str, Any]) -> M:
    """The document as a `model`; raises InvalidInput with everything that is wrong."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise InvalidInput(problems_from(error.errors(include_url=False))) from None


_CODES = {
    "missing": "required",
    "extra_forbidden": "unknown_field",
    "greater_than_equal": "range",
    "less_than_equal": "range",
    "string_too_short": "length",
    "string_too_long": "length",
    "too_short": "length",
    "too_long": "length",
    "string_pattern_mismatch": "pattern",
    "date": "date",
    "nul": "nul",
    "not_printable": "not_printable",
    "number": "number",
    "base64": "base64",
    "moment": "moment",
}
"""pydantic has a hundred kinds of errors; what is not named here is a value of a wrong type."""


def problems_from(errors: Iterable[Mapping[str, Any]], *, below: int = 0) -> list[Problem]:
    """pydantic's errors in our words; the first `below` parts of a place (`body`, `query`) are not the caller's."""
    problems = []
    for error in errors:
        field = ""
        for part in error["loc"][below:]:
            field += f"[{part}]" if isinstance(part, int) else f".{_clean(part)}" if field else _clean(part)
        match error["type"]:
            case "missing":
                message = f"{field or 'The body'} is missing."
            case "extra_forbidden":
                message = f"There is no field {field!r}; leave it out."
            case _:
                message = f"{_shown(error.get('input'))} does not fit: {error['msg']}."
        problems.append(Problem(field, _CODES.get(error["type"], "type"), message))
    return problems


def _clean(text: object) -> str:
    return ascii(str(text)[:60])[1:-1]


def _shown(value: object) -> str:
    if isinstance(value, str):
        return ascii(value[:40])
    if value is None or isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < 10**18):
        return json.dumps(value)
    return {dict: "An object", list: "A list", int: "A huge number"}.get(type(value), "The value")
