"""What the management API takes besides a webhook: bodies as strict models, query parameters as text.

Query parameters stay text until they are read by the same strict rules as everything else; a name that is
not listed is refused, so that a misspelt filter never shows everything.
"""

from typing import Annotated, Any, TypeVar

from fastapi import Path, Request
from pydantic import BaseModel, ConfigDict, Field, StrictFloat, StrictInt, StrictStr, ValidationError
from pydantic.alias_generators import to_camel

from dockbell.actions.webhook_input import problems_from
from dockbell.domain.event_json import LARGEST_ID
from dockbell.domain.event_type import LONGEST_KEY
from dockbell.errors import InvalidInput, NotFound, Problem

Id = Annotated[StrictInt, Field(ge=1, le=LARGEST_ID)]
IdInPath = Annotated[str, Path(alias="id")]
LONGEST_TEXT = 300


class Input(BaseModel):
    model_config = ConfigDict(
        extra="forbid", alias_generator=to_camel, validate_by_name=False, validate_by_alias=True, frozen=True
    )


M = TypeVar("M", bound=Input)


class NewApiKey(Input):
    label: StrictStr = Field(description="What it is for: 1 to 100 printable characters.")
    scopes: list[StrictStr] = Field(description="Of publish, read, manage, admin.", max_length=20)
    goods_owner_ids: list[Id] | None = Field(
        default=None, description="Limit the key to these goods owners; null: all of them.", max_length=1_000
    )
    expires_at: StrictStr | None = Field(default=None, description="RFC 3339 with zone; null: never.")


class Rotation(Input):
    overlap_in_hours: StrictInt | StrictFloat | None = Field(
        default=None, description="How long the old secret signs along: 0 to 168, 24 unless said."
    )
    signing_secret: StrictStr | None = Field(default=None, description="whsec_...; left out, one is made.")


class TestOrder(Input):
    event_id: Id | None = Field(default=None, description="Send this past event again; left out, the example.")
    goods_owner_id: Id | None = Field(default=None, description="Whose goods the test is about.")


class MissedRange(Input):
    """Of what a webhook missed, what was accepted from one moment to another."""

    since: StrictStr = Field(alias="from", description="RFC 3339 with zone.")
    until: StrictStr | None = Field(default=None, alias="to", description="RFC 3339 with zone; left out, until now.")


class GoodsOwnerInput(Input):
    name: StrictStr = Field(description="1 to 200 printable characters; stands in each payload.")


class ErasureInput(Input):
    goods_owner_id: Id | None = Field(default=None, description="Erase the payloads of this goods owner.")
    key: StrictStr | None = Field(
        default=None, max_length=LONGEST_KEY, description="Erase the payloads about this object, such as order/50163."
    )


class EventTypeInput(Input):
    """For the documentation: the catalog itself judges these."""

    key: str = Field(description="warehouse-alarm.raised: lower-case words with dots between.")
    name: str
    data_schema: dict[str, Any] = Field(alias="schema", description="JSON Schema 2020-12 of the data.")
    example: dict[str, Any] = Field(description="Data that the schema accepts; the test event sends it.")
    family: str | None = None
    fires_when: str | None = None
    id_field: str | None = Field(default=None, description="Name of the webhook's id in the body.")
    object: dict[str, str] | None = Field(default=None, description="kind, id, number: what the data is about.")
    attributes: list[dict[str, Any]] | None = Field(default=None, description="Of {path, type, nullable, meaning}.")
    settings: list[str] | None = None


class PageQuery(Input):
    limit: str | None = Field(default=None, description="Rows a page: 1 to 200, 50 unless said.")
    cursor: str | None = Field(default=None, description="nextCursor of the page before, with the same filters.")


class WebhooksQuery(PageQuery):
    event_type: str | None = Field(default=None, description="Key of an event type.")
    goods_owner_id: str | None = Field(default=None, description="Webhooks that serve this goods owner.")
    enabled: str | None = Field(default=None, description="true or false.")
    sort: str | None = Field(default=None, description="id")


class EventsQuery(PageQuery):
    event_type: str | None = Field(default=None, description="Key of an event type.")
    goods_owner_id: str | None = Field(default=None, description="Events of this goods owner.")
    about: str | None = Field(default=None, alias="object", description="order 12345, order/50163, or a number.")
    since: str | None = Field(default=None, alias="from", description="RFC 3339 with zone.")
    until: str | None = Field(default=None, alias="to", description="RFC 3339 with zone.")
    sort: str | None = Field(default=None, description="-id: newest first.")


class RefusalsQuery(PageQuery):
    about: str | None = Field(default=None, alias="object", description="order 12345, order/50163, or a number.")


_CODE = (
    "How the last attempt ended. A class: 2xx (delivered), 3xx, 4xx, 5xx, none (no response came); "
    "or a code: delivered, timeout, http_500 ..."
)


class DeliveriesQuery(EventsQuery):
    webhook_id: str | None = Field(default=None, description="Deliveries of this webhook.")
    status: str | None = Field(default=None, description="pending, sending, delivered, failed, held, cancelled.")
    code: str | None = Field(default=None, description=_CODE)


class DeliveriesFilter(Input):
    """Which deliveries are meant: those that agree with every field that is given. At least one must be."""

    webhook_id: Id | None = Field(default=None, description="Deliveries of this webhook.")
    goods_owner_id: Id | None = Field(default=None, description="Deliveries about this goods owner's goods.")
    event_type: StrictStr | None = Field(default=None, description="Key of an event type.", max_length=LONGEST_TEXT)
    status: StrictStr | None = Field(default=None, description="pending, sending, delivered, failed, held, cancelled.")
    code: StrictStr | None = Field(default=None, description=_CODE, max_length=LONGEST_TEXT)
    about: StrictStr | None = Field(
        default=None, alias="object", description="order 12345, order/50163, or a number.", max_length=LONGEST_TEXT
    )
    since: StrictStr | None = Field(default=None, alias="from", description="RFC 3339 with zone.")
    until: StrictStr | None = Field(default=None, alias="to", description="RFC 3339 with zone.")


class MissedQuery(Input):
    since: str = Field(alias="from", description="RFC 3339 with zone.")
    until: str | None = Field(default=None, alias="to", description="RFC 3339 with zone; left out, until now.")


class AttemptsQuery(Input):
    delivery_id: str = Field(description="880123-12: event and webhook.")


def read_model(model: type[M], document: Any) -> M:
    """The document as a model; raises InvalidInput with everything that is wrong."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise InvalidInput(problems_from(error)) from error


async def each_once(request: Request) -> None:
    """No parameter stands twice, and none holds characters that no store keeps."""
    seen: set[str] = set()
    problems: list[Problem] = []
    for name, value in request.query_params.multi_items():
        shown = name[:80]
        if name in seen:
            problems.append(Problem(shown, "parameter_twice", "The parameter stands twice; say it once."))
        elif not (name.isprintable() and value.isprintable()):
            text = "Control characters are not allowed in a parameter."
            problems.append(Problem(ascii(shown)[1:-1], "control_character", text))
        elif name != "cursor" and len(value) > LONGEST_TEXT:
            text = f"The value has {len(value):,} characters; at most {LONGEST_TEXT} are allowed."
            problems.append(Problem(shown, "too_long", text))
        seen.add(name)
    if problems:
        raise InvalidInput(problems)


async def no_parameters(request: Request) -> None:
    problems = [
        Problem(ascii(name[:80])[1:-1], "unknown_parameter", "This route has no query parameters.")
        for name in request.query_params
    ]
    if problems:
        raise InvalidInput(problems)


def number_in(text: str) -> int | None:
    """The number that the text is, in plain digits; None when it is none, or larger than any id."""
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(LARGEST_ID))):
        return None
    number = int(text)
    return number if number <= LARGEST_ID else None


def _id_in(text: str) -> int | None:
    return None if text.startswith("0") else number_in(text)


def id_in_path(text: str, what: str) -> int:
    """A number in a path; whatever is none of ours names nothing that exists."""
    number = _id_in(text)
    if number is None:
        raise NotFound(f"There is no {what} {ascii(text[:80])[1:-1]}.", hint=_LISTS.get(what, ""))
    return number


_LISTS = {"webhook": "GET /api/v1/webhooks lists yours."}


def id_in_query(text: str | None, field: str) -> int | None:
    if text is None:
        return None
    number = _id_in(text)
    if number is None:
        raise InvalidInput([Problem(field, "number", "Write a whole number from 1 to 2^53 - 1 in plain digits.")])
    return number


def one_of(text: str | None, field: str, allowed: tuple[str, ...]) -> str | None:
    if text is not None and text not in allowed:
        code = "sort" if field == "sort" else "choice"
        raise InvalidInput([Problem(field, code, f"{text[:40]!r} is not offered; allowed: {', '.join(allowed)}.")])
    return text
