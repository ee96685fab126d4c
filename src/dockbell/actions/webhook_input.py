"""What may be said about a webhook, and whether it is right: shape first, then the rules, all problems at once.

The models describe the API's document (and make its OpenAPI); `checked_settings` turns one into the
settings and secrets that are stored.
"""

import json
import secrets as random
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr, ValidationError
from pydantic.alias_generators import to_camel

from dockbell.actions.index import State
from dockbell.domain import credentials, headers, limits
from dockbell.domain.addresses import AddressPolicy
from dockbell.domain.event_type import EventType
from dockbell.domain.filters import OPERATORS
from dockbell.domain.retry_policy import ONE_DAY
from dockbell.domain.target_url import parse_target_url
from dockbell.errors import InvalidInput, Problem

LARGEST_CONCURRENCY = 64
MOST_LISTED = 200
MOST_CONDITIONS = 20
MOST_IN_A_LIST, MOST_OWNERS = 1_000, 10_000
"""Far above what the rules allow: a longer list is refused as one, and not for each of its entries."""
T = TypeVar("T")
Listed = Annotated[list[T], Field(max_length=MOST_IN_A_LIST)]
# What pydantic puts into a place besides names and numbers: which alternative it tried.
_ALTERNATIVES = ("none", "basic", "token", "int", "float")


class _Input(BaseModel):
    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, validate_by_name=False, validate_by_alias=True)


class NoAuthentication(_Input):
    type: Literal["none"]


class BasicAuthentication(_Input):
    """`Authorization: Basic base64(username:password)`. Without `password` the stored one stays."""

    type: Literal["basic"]
    username: StrictStr = ""
    password: StrictStr | None = None


class TokenAuthentication(_Input):
    """The fixed text `token` in the header `X-Auth-Token`. Without `token` the stored one stays."""

    type: Literal["token"]
    token: StrictStr | None = None


class HeaderInput(_Input):
    """One additional header. A secret one is sealed and never shown again; without `value` the stored one stays."""

    name: StrictStr
    value: StrictStr | None = None
    secret: StrictBool = False


class StatusInput(_Input):
    """A status reached; with `from` only the step from that status."""

    to: StrictInt
    came_from: StrictInt | None = Field(default=None, alias="from")


class ConditionInput(_Input):
    """A comparison with a field of the payload (`data.orderStatus.number`) or an attribute (`attributes.warehouse`)."""

    field: StrictStr
    operator: Literal["is", "isNot", "isOneOf", "greater", "less", "contains", "exists"]
    value: Any = None


class FiltersInput(_Input):
    transporters: Listed[StrictStr] = []
    order_types: Listed[StrictStr] = []
    statuses: Listed[StatusInput] = []
    fire_when_purchase_order_is_created: StrictBool = False
    conditions: Listed[ConditionInput] = []


class RetryPolicyInput(_Input):
    """`none`, `one-day`, `standard`, or `own` with the waits after each failed attempt."""

    name: Literal["none", "one-day", "standard", "own"]
    steps_in_seconds: Listed[Any] | None = None


class WebhookInput(_Input):
    name: StrictStr
    kind: Literal["regular", "automation"] = Field(default="regular", description="of one goods owner, or of several")
    event_type: StrictStr = Field(description="key of an event type, for example order.picked")
    goods_owner_ids: list[StrictInt] | None = Field(
        default=None, max_length=MOST_OWNERS, description="null: every goods owner (automation only)"
    )
    target_url: StrictStr = Field(description="where its events are posted to")
    email: StrictStr | None = Field(default=None, description="told before it is disabled because it fails, and when")
    enabled: StrictBool = True
    authentication: Annotated[
        NoAuthentication | BasicAuthentication | TokenAuthentication, Field(discriminator="type")
    ] = NoAuthentication(type="none")
    headers: Listed[HeaderInput] = []
    filters: FiltersInput = FiltersInput()
    retry_policy: RetryPolicyInput = RetryPolicyInput(name=ONE_DAY.name)  # type: ignore[arg-type]
    timeout_in_seconds: StrictInt | StrictFloat = Field(default=15, description="of a whole attempt")
    max_concurrency: StrictInt = Field(default=4, description="attempts that each node makes at the same time, at most")
    keep_order: StrictBool = Field(
        default=False, description="send the next event about an object only when the one before has ended"
    )
    signing_secret: StrictStr | None = Field(default=None, description="whsec_...; left out, one is made")


ADDED_LATER = {"keepOrder": False}
"""What a setting is in webhooks that were saved before there was it."""


def settings_from(stored: str) -> dict[str, Any]:
    """A webhook's stored settings, whole: a setting that they lack is neither missing anywhere nor somebody's change."""
    settings: dict[str, Any] = json.loads(stored)
    return settings | {name: value for name, value in ADDED_LATER.items() if name not in settings}


_MESSAGES = {
    "missing": "This field is missing.",
    "extra_forbidden": "There is no such field here.",
    "int_type": "This must be a whole number.",
    "int_from_float": "This must be a whole number.",
    "float_type": "This must be a number.",
    "string_type": "This must be a text.",
    "bool_type": "This must be true or false.",
    "list_type": "This must be a list.",
    "too_long": "This list is too long.",
}


def problems_from(error: ValidationError, *, root: str = "") -> list[Problem]:
    """A model's complaints in our form."""
    found: dict[tuple[str, str], Problem] = {}
    for complaint in error.errors(include_url=False):
        place = [part for part in complaint["loc"] if part not in _ALTERNATIVES]
        path = root
        for part in place:
            path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
        code = {"missing": "required", "extra_forbidden": "unknown_field"}.get(complaint["type"], "type")
        message = _MESSAGES.get(complaint["type"]) or complaint["msg"].replace("Input should be", "This must be") + "."
        found[path, code] = Problem(path, code, message)  # a number is complained of as int and as float: once will do
    return list(found.values())


def checked_settings(
    document: Mapping[str, Any],
    *,
    state: State,
    addresses: AddressPolicy,
    stored_secrets: Mapping[str, Any],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings and secrets to store; raises InvalidInput with everything that is wrong.

    `stored_secrets` are those the webhook has now: a secret that is left out of the document stays.
    """
    failed: set[str] = set()
    problems: list[Problem] = []
    try:
        WebhookInput.model_validate(document)
    except ValidationError as error:
        problems += problems_from(error)
        failed = {str(complaint["loc"][0]) for complaint in error.errors(include_url=False, include_input=False)}
    sound = {name: value for name, value in document.items() if name not in failed}
    event_type = state.catalog.get(sound["eventType"]) if "eventType" in sound else None
    problems += _problems_with_basics(sound, state)
    problems += _problems_with_url(sound, addresses)
    problems += _problems_with_authentication(sound.get("authentication"), stored_secrets)
    problems += _problems_with_headers(sound.get("headers", []), stored_secrets)
    problems += _problems_with_filters(sound.get("filters", {}), event_type)
    problems += _problems_with_limits(sound)
    if isinstance(sound.get("signingSecret"), str):
        problems += credentials.problems_with_signing_secret(sound["signingSecret"])
    if problems:
        raise InvalidInput(problems)
    return _separated(WebhookInput.model_validate(document), stored_secrets)


def _problems_with_basics(sound: Mapping[str, Any], state: State) -> list[Problem]:
    problems = []
    if "name" in sound and not (1 <= len(sound["name"].strip()) <= 200 and sound["name"].isprintable()):
        problems.append(Problem("name", "name", "The name must be 1 to 200 printable characters."))
    if "eventType" in sound and state.catalog.get(sound["eventType"]) is None:
        close = state.catalog.did_you_mean(sound["eventType"])
        text = f"{sound['eventType'][:80]!r} is not in the catalog." + (f" Did you mean {close!r}?" if close else "")
        problems.append(Problem("eventType", "event_type", text + " All types: GET /api/v1/eventTypes"))
    owners = sound.get("goodsOwnerIds")
    if "kind" in sound or "kind" not in sound:
        kind = sound.get("kind", "regular")
        if kind == "regular" and (owners is None or len(owners) != 1):
            problems.append(
                Problem("goodsOwnerIds", "goods_owners", "A regular webhook belongs to exactly one goods owner.")
            )
        if kind == "automation" and owners == []:
            text = "Choose at least one goods owner, or all of them (null)."
            problems.append(Problem("goodsOwnerIds", "goods_owners", text))
    for place, owner in enumerate(owners or []):
        if owner not in state.goods_owners:
            problems.append(Problem(f"goodsOwnerIds[{place}]", "goods_owner", f"There is no goods owner {owner}."))
    if owners and len(set(owners)) != len(owners):
        problems.append(Problem("goodsOwnerIds", "goods_owners", "A goods owner stands in the list twice."))
    if isinstance(sound.get("email"), str):
        problems += credentials.problems_with_email(sound["email"])
    return problems


def _problems_with_url(sound: Mapping[str, Any], addresses: AddressPolicy) -> list[Problem]:
    if "targetUrl" not in sound:
        return []
    owners = sound.get("goodsOwnerIds")
    try:
        parse_target_url(sound["targetUrl"], addresses, None if owners is None else frozenset(owners))
    except InvalidInput as refused:
        return [Problem("targetUrl", problem.code, problem.message) for problem in refused.problems]
    return []


def _problems_with_authentication(given: Mapping[str, Any] | None, stored: Mapping[str, Any]) -> list[Problem]:
    if not given or given.get("type") == "none":
        return []
    if given["type"] == "basic":
        password = given.get("password")
        if password is None and "password" not in stored:
            return [Problem("authentication.password", "required", "Basic authentication needs a password.")]
        return credentials.problems_with_basic(given.get("username", ""), password or "")
    token = given.get("token")
    if token is None:
        missing = Problem("authentication.token", "required", "This authentication needs the token.")
        return [] if "token" in stored else [missing]
    return credentials.problems_with_token(token)


def _problems_with_headers(given: list[Mapping[str, Any]], stored: Mapping[str, Any]) -> list[Problem]:
    known = stored.get("headers", {})
    pairs = [(header["name"], header.get("value") or "") for header in given]
    problems = headers.problems_with_headers(pairs)
    for place, header in enumerate(given):
        if header.get("value") is None and not (header.get("secret") and header["name"] in known):
            problems.append(
                Problem(f"headers[{place}].value", "required", f"The header {header['name'][:80]!r} has no value.")
            )
    return problems


def _problems_with_filters(given: Mapping[str, Any], event_type: EventType | None) -> list[Problem]:
    problems = []
    offered = event_type.settings if event_type is not None else ()
    for name, setting in (
        ("transporters", "transporter"),
        ("orderTypes", "orderType"),
        ("statuses", "status"),
        ("fireWhenPurchaseOrderIsCreated", "fireWhenPurchaseOrderIsCreated"),
    ):
        if given.get(name) and event_type is not None and setting not in offered:
            text = f"The type “{event_type.name}” has no such setting."
            problems.append(Problem(f"filters.{name}", "filter_not_offered", text))
        values = given.get(name)
        if isinstance(values, list) and len(values) > MOST_LISTED:
            problems.append(Problem(f"filters.{name}", "filter_length", f"At most {MOST_LISTED} entries are allowed."))
    for name in ("transporters", "orderTypes"):
        for place, text in enumerate(given.get(name, [])):
            if not (1 <= len(text) <= 200 and _is_storable(text)):
                problems.append(Problem(f"filters.{name}[{place}]", "filter_value", "Write 1 to 200 characters."))
    # Each is a walk through every event of the type, and all are judged: one that was not would meet events as it is.
    if len(given.get("conditions", [])) > MOST_CONDITIONS:
        text = f"At most {MOST_CONDITIONS} conditions are allowed."
        problems.append(Problem("filters.conditions", "filter_length", text))
    for place, condition in enumerate(given.get("conditions", [])):
        problems += _problems_with_condition(condition, f"filters.conditions[{place}]", event_type)
    return problems


def names_a_field(name: str) -> bool:
    return name.startswith(("data.", "attributes.")) and len(name) <= 200 and name.isprintable()


def _problems_with_condition(condition: Mapping[str, Any], where: str, event_type: EventType | None) -> list[Problem]:
    problems = []
    name, operator, value = condition["field"], condition["operator"], condition.get("value")
    if not names_a_field(name):
        text = (
            "A field is written data.<field of the payload> or attributes.<attribute>, such as data.orderStatus.number."
        )
        problems.append(Problem(f"{where}.field", "filter_field", text))
    elif name.startswith("data.") and event_type is not None and event_type.built_in:
        known = {field.path for field in event_type.fields}
        if name.removeprefix("data.") not in known:
            text = f"{name!r} is no field of “{event_type.name}”. Fields: GET /api/v1/eventTypes/{event_type.key}"
            problems.append(Problem(f"{where}.field", "filter_field", text))
    fits = {
        "is": isinstance(value, str | int | float | bool) or value is None,
        "isNot": isinstance(value, str | int | float | bool) or value is None,
        "isOneOf": isinstance(value, list) and 1 <= len(value) <= MOST_LISTED and all(map(_is_scalar, value)),
        "greater": isinstance(value, str | int | float) and not isinstance(value, bool),
        "less": isinstance(value, str | int | float) and not isinstance(value, bool),
        "contains": _is_scalar(value),
        "exists": value is None or isinstance(value, bool),
    }
    if operator in OPERATORS and not fits[operator]:
        wanted = {
            "isOneOf": "a list of 1 to 200 texts or numbers",
            "exists": "true, false or nothing",
            "contains": "a text or a number",
            "greater": "a number or a text",
            "less": "a number or a text",
        }.get(operator, "a text, a number, true, false or null")
        problems.append(Problem(f"{where}.value", "filter_value", f"“{operator}” compares with {wanted}."))
    elif len(shown := json.dumps(value)) > 4_000 or not _is_storable(shown):
        problems.append(Problem(f"{where}.value", "filter_value", "The value is longer than 4,000 characters."))
    return problems


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def _is_storable(text: str) -> bool:
    return "\x00" not in text and not any(0xD800 <= ord(character) <= 0xDFFF for character in text)


def _problems_with_limits(sound: Mapping[str, Any]) -> list[Problem]:
    problems = []
    if "timeoutInSeconds" in sound:
        problems += limits.problems_with_timeout(sound["timeoutInSeconds"])
    if not 1 <= sound.get("maxConcurrency", 4) <= LARGEST_CONCURRENCY:
        text = f"At most {LARGEST_CONCURRENCY} attempts at once, at least 1."
        problems.append(Problem("maxConcurrency", "range", text))
    policy = sound.get("retryPolicy")
    if policy:
        steps = policy.get("stepsInSeconds")
        if policy["name"] == "own":
            problems += limits.problems_with_steps(steps if steps is not None else None)
        elif steps is not None:
            text = f"The policy {policy['name']!r} has its own steps; choose “own” to write yours."
            problems.append(Problem("retryPolicy.stepsInSeconds", "steps", text))
    return problems


def _separated(given: WebhookInput, stored: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The document without its secrets, and the secrets alone."""
    settings = given.model_dump(by_alias=True, exclude={"signing_secret"})
    secrets: dict[str, Any] = {"signing": list(stored.get("signing", []))}
    authentication = settings["authentication"]
    for name in ("password", "token"):
        if name in authentication:
            value = authentication.pop(name)
            secrets[name] = stored[name] if value is None else value
    secrets["headers"] = {}
    for header in settings["headers"]:
        if header["secret"]:
            value = header.pop("value")
            secrets["headers"][header["name"]] = stored["headers"][header["name"]] if value is None else value
    for status in settings["filters"]["statuses"]:
        if status["from"] is None:
            del status["from"]
    policy = settings["retryPolicy"]
    if policy["stepsInSeconds"] is None:
        del policy["stepsInSeconds"]
    if given.signing_secret is not None:
        secrets["signing"] = [{"secret": given.signing_secret}]
    elif not secrets["signing"]:
        secrets["signing"] = [{"secret": credentials.new_signing_secret(random.token_bytes(32))}]
    return settings, secrets
