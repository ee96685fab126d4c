"""A webhook's form and the API's document: one to the other and back, so that both are judged by the same rules.

What is typed comes back as it was typed. An entry that cannot be read as the document needs it (a status that is no
number) is handed on as text, so that the rules name it.

What is shown and sent back untouched is the webhook it was: a value of a filter that its text alone would not bring back
(`A, 1` in a list, the text `5`) is shown as a list in JSON, and such a list is taken as it stands.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dockbell.domain.event_json import read_json
from dockbell.domain.event_type import EventType
from dockbell.errors import DockbellError, Problem
from dockbell.web.ui.texts import LANGUAGES, translator
from dockbell.web.ui.visit import Fields

SPARE_ROWS = 2
UNITS_S = {"": 1, "s": 1, "sec": 1, "min": 60, "m": 60, "h": 3600, "d": 86400}
NO = frozenset({"false", "0", *(translator(language)("no") for language in LANGUAGES)})
"""What says that a field shall not exist, in any language."""
_STEP = re.compile(r"(\d{1,9})\s*([a-z]*)")
_NUMBER = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,17})?")
_INDEX = re.compile(r"\[\d+\]$")
_ROWS = ("headers", "filters.statuses", "filters.conditions")


@dataclass
class Typed:
    """What the form shows: texts, rows and ticks, just as somebody typed them."""

    texts: dict[str, str] = field(default_factory=dict)
    ticks: frozenset[str] = frozenset()
    owners: frozenset[str] = frozenset()
    headers: list[dict[str, Any]] = field(default_factory=list)
    statuses: list[dict[str, str]] = field(default_factory=list)
    conditions: list[dict[str, str]] = field(default_factory=list)

    def text(self, name: str) -> str:
        return self.texts.get(name, "")


TEXTS = (
    "name", "eventType", "targetUrl", "email", "authentication", "username", "password", "token", "transporters",
    "orderTypes", "retryPolicy", "steps", "timeoutInSeconds", "maxConcurrency", "allOwners", "version",
)  # fmt: skip
TICKS = ("enabled", "fireWhenPurchaseOrderIsCreated", "keepOrder")


def typed_in(form: Fields) -> Typed:
    """What the form says. Empty rows go; pasted `Name: value` lines become rows."""
    headers = [
        {"name": name.strip(), "value": value, "secret": kind != "shown", "kept": kind == "kept"}
        for name, value, kind in zip(
            form.all("headerName"), form.all("headerValue"), form.all("headerKind"), strict=False
        )
        if name.strip() or value.strip()
    ]
    for line in form.text("headerLines").split("\n"):
        if line.strip():
            name, colon, value = line.partition(":")
            row = {"name": name.lstrip(), "value": value.strip(), "secret": False, "kept": False, "lacks": not colon}
            headers.append(row)
    statuses = [
        {"from": left.strip(), "to": reached.strip()}
        for left, reached in zip(form.all("statusFrom"), form.all("statusTo"), strict=False)
        if left.strip() or reached.strip()
    ]
    conditions = [
        {"field": name.strip(), "operator": operator, "value": value.strip()}
        for name, operator, value in zip(
            form.all("conditionField"), form.all("conditionOperator"), form.all("conditionValue"), strict=False
        )
        if name.strip() or value.strip()
    ]
    return Typed(
        texts={name: form.get(name, "") for name in TEXTS},
        ticks=frozenset(name for name in TICKS if name in form),
        owners=frozenset(filter(None, form.all("owner"))),
        headers=headers,
        statuses=statuses,
        conditions=conditions,
    )


def document_from(typed: Typed, kind: str, event_type: EventType | None) -> dict[str, Any]:
    """The API's document (see WebhookInput) for what was typed."""
    everyone = kind == "automation" and typed.text("allOwners") == "yes"
    document: dict[str, Any] = {
        "kind": kind,
        "name": typed.text("name").strip(),
        "eventType": typed.text("eventType"),
        "goodsOwnerIds": None if everyone else sorted(map(_number, typed.owners), key=str),
        "targetUrl": typed.text("targetUrl").strip(),
        "email": typed.text("email").strip() or None,
        "enabled": "enabled" in typed.ticks,
        "authentication": _authentication(typed),
        "headers": [_header(row) for row in typed.headers],
        "filters": {
            "transporters": _codes(typed.text("transporters")),
            "orderTypes": _codes(typed.text("orderTypes")),
            "statuses": [_status(row) for row in typed.statuses],
            "fireWhenPurchaseOrderIsCreated": "fireWhenPurchaseOrderIsCreated" in typed.ticks,
            "conditions": [_condition(row, event_type) for row in typed.conditions],
        },
        "retryPolicy": _retry_policy(typed),
        "timeoutInSeconds": _number(typed.text("timeoutInSeconds").strip() or "15"),
        "maxConcurrency": _number(typed.text("maxConcurrency").strip() or "4"),
        "keepOrder": "keepOrder" in typed.ticks,
    }
    return document


def typed_from(webhook: Mapping[str, Any], event_type: EventType | None) -> Typed:
    """The form of a webhook that there is. Its secrets are not in it: what stays empty stays stored."""
    authentication, filters, policy = webhook["authentication"], webhook["filters"], webhook["retryPolicy"]
    owners = webhook["goodsOwnerIds"]
    return Typed(
        texts={
            "name": webhook["name"],
            "eventType": webhook["eventType"],
            "targetUrl": webhook["targetUrl"],
            "email": webhook["email"] or "",
            "authentication": authentication["type"],
            "username": authentication.get("username", ""),
            "transporters": _codes_shown(filters["transporters"]),
            "orderTypes": _codes_shown(filters["orderTypes"]),
            "retryPolicy": policy["name"],
            "steps": ", ".join(step_in_words(step) for step in policy.get("stepsInSeconds") or ()),
            "timeoutInSeconds": str(webhook["timeoutInSeconds"]),
            "maxConcurrency": str(webhook["maxConcurrency"]),
            "allOwners": "yes" if owners is None else "",
            "version": str(webhook.get("version", "")),
        },
        ticks=frozenset(
            name
            for name, ticked in (
                ("enabled", webhook["enabled"]),
                ("fireWhenPurchaseOrderIsCreated", filters["fireWhenPurchaseOrderIsCreated"]),
                ("keepOrder", webhook["keepOrder"]),
            )
            if ticked
        ),
        owners=frozenset(map(str, owners or ())),
        headers=[
            {
                "name": header["name"],
                "value": "" if header["secret"] else header["value"],
                "secret": header["secret"],
                "kept": header["secret"],
            }
            for header in webhook["headers"]
        ],
        statuses=[{"from": str(status.get("from", "")), "to": str(status["to"])} for status in filters["statuses"]],
        conditions=[_condition_shown(each, event_type) for each in filters["conditions"]],
    )


def at_fields(problems: Sequence[Problem]) -> list[Problem]:
    """The problems at the places the form has: an entry's of a list of lines is the list's, a header's its row's."""
    placed = []
    for problem in problems:
        name = problem.field
        if not name.startswith(_ROWS):
            name = _INDEX.sub("", name)
        placed.append(Problem(name, problem.code, problem.message))
    return placed


def step_in_words(seconds: float) -> str:
    for unit in ("d", "h", "min"):
        if seconds >= UNITS_S[unit] and seconds % UNITS_S[unit] == 0:
            return f"{seconds // UNITS_S[unit]:g} {unit}"
    return f"{seconds:g} s"


def _authentication(typed: Typed) -> dict[str, Any]:
    match typed.text("authentication"):
        case "basic":
            return {
                "type": "basic",
                "username": typed.text("username"),
                "password": typed.text("password") or None,
            }
        case "token":
            return {"type": "token", "token": typed.text("token") or None}
        case other:
            return {"type": other or "none"}


def _header(row: Mapping[str, Any]) -> dict[str, Any]:
    # A line that was pasted without a colon has no value, nor has an empty secret that is not stored: the rules name it.
    value = None if row.get("lacks") or (row["secret"] and not row["value"]) else row["value"]
    return {"name": row["name"], "value": value, "secret": row["secret"]}


def _status(row: Mapping[str, str]) -> dict[str, Any]:
    return {"to": _number(row["to"]), **({"from": _number(row["from"])} if row["from"] else {})}


def _condition(row: Mapping[str, str], event_type: EventType | None) -> dict[str, Any]:
    operator, text = row["operator"], row["value"]
    kind = _kind_of(row["field"], event_type)
    value: Any
    exact = _in_json(text)
    if exact is not None and (operator == "isOneOf" or len(exact) == 1):
        value = exact if operator == "isOneOf" else exact[0]
    elif operator == "exists":
        value = text.lower() not in NO
    elif operator == "isOneOf":
        value = [_value(part.strip(), kind) for part in text.split(",") if part.strip()]
    else:
        value = _value(text, kind)
    return {"field": row["field"], "operator": operator, "value": value}


def _condition_shown(entry: Mapping[str, Any], event_type: EventType | None) -> dict[str, str]:
    value = entry.get("value")
    row = {"field": entry["field"], "operator": entry["operator"], "value": _shown(value)}
    read = _condition({**row, "value": _of_one_line(row["value"])}, event_type)["value"]
    if json.dumps(read) != json.dumps(value):  # as texts, for to Python 1 is True
        row["value"] = json.dumps(value if isinstance(value, list) else [value], ensure_ascii=False)
    return row


def _of_one_line(text: str) -> str:
    """What comes back of a text in a field of one line."""
    return text.replace("\r", "").replace("\n", "").strip()


def _in_json(text: str) -> list[Any] | None:
    """The values of a list of texts, numbers and the like that was written in JSON."""
    if not text.startswith("["):
        return None
    try:
        found = read_json(text.encode())
    except DockbellError:
        return None
    return found if all(_is_plain(each) for each in found) else None


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | bool)


def _kind_of(name: str, event_type: EventType | None) -> str:
    """The JSON type of a field by the catalog; empty when it does not say."""
    if event_type is None:
        return ""
    root, _, path = name.partition(".")
    fields = event_type.fields if root == "data" else event_type.attributes
    return next((each.type for each in fields if each.path == path), "")


def _value(text: str, kind: str) -> Any:
    """Text as the field's type has it; where the type is unknown, JSON if it reads as such."""
    if kind == "string":
        return text
    try:
        found = read_json(text.encode())
    except DockbellError:
        return text
    return found if _is_plain(found) else text


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def _retry_policy(typed: Typed) -> dict[str, Any]:
    name = typed.text("retryPolicy") or "one-day"
    if name != "own":
        return {"name": name}
    return {
        "name": "own",
        "stepsInSeconds": [_step(part) for part in re.split(r"[,\n]", typed.text("steps")) if part.strip()],
    }


def _step(text: str) -> Any:
    """Seconds of "90", "5 min" or "2 h"; the text itself when it is none."""
    found = _STEP.fullmatch(text.strip().lower())
    if found is None or found[2] not in UNITS_S:
        return text.strip()
    return int(found[1]) * UNITS_S[found[2]]


def _number(text: str) -> Any:
    if not _NUMBER.fullmatch(text):
        return text
    return float(text) if "." in text else int(text)


def _codes(text: str) -> list[str]:
    """One on each line, or with commas between; codes with a comma in them are written as a list in JSON."""
    exact = _in_json(text.strip())
    if exact is not None and all(isinstance(code, str) for code in exact):
        return exact
    return [code.strip() for code in re.split(r"[,\n]", text) if code.strip()]


def _codes_shown(codes: list[str]) -> str:
    text = "\n".join(codes)
    return text if _codes(text) == codes else json.dumps(codes, ensure_ascii=False)
