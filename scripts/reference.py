"""Write docs/reference from the code, so that the two cannot differ: `reference.py`, or `reference.py --check`.

Deterministic: the same code gives the same bytes. A code of an attempt without a sentence below stops it.
"""

import ast
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import typer.main
from fastapi import FastAPI
from pydantic.alias_generators import to_camel

from dockbell import __version__, errors, log, settings
from dockbell.actions.webhook_input import WebhookInput
from dockbell.cli import app as command_line
from dockbell.clock import SECOND
from dockbell.domain import headers, limits, permissions
from dockbell.domain.catalog import load_catalog
from dockbell.domain.delivery import LONGEST_RETRY_AFTER, SLOW_DOWN
from dockbell.domain.event import Event, NewEvent, body_of, head_of
from dockbell.domain.event_type import COMMON_HEADER, EventType
from dockbell.domain.request import CONTENT_TYPE, USER_AGENT, delivery_id, signatures
from dockbell.domain.retry_policy import MOST_JITTER, NAMED, RetryPolicy
from dockbell.domain.webhook import MASK, SigningSecret
from dockbell.warehouse.api.desk import Desk
from dockbell.warehouse.api.openapi import document_for as warehouse_document_for
from dockbell.warehouse.api.server import routes as warehouse_routes
from dockbell.web.api import administration, deliveries, event_types, events, health, webhooks
from dockbell.web.openapi import document_for

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "dockbell"
FOLDER = ROOT / "docs" / "reference"
NOTE = "<!-- Written by scripts/reference.py from the code. Change the code, then run: make reference -->\n"
CODE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
Named = dict[str, list[tuple[int, list[str]]]]
"""The texts each variable was given, with the line."""

IN_GENERAL = {
    "invalid_input": "More than one thing is wrong; `problems` has all of it.",
    "malformed": "The request cannot be read.",
    "not_signed_in": "No valid API key came along.",
    "not_allowed": "The key may not do this; `detail` names the scope it lacks.",
    "conflict": "It does not fit what is there.",
    "body_too_large": "The body is too large.",
    "content_type": "The body is not said to be plain JSON.",
    "too_much": "Too many requests; wait as long as `Retry-After` says.",
    "unavailable": "The store is away or the server is stopping. Try again, and send events with the same id: they may be stored.",
    "storage_full": "The disk is full. Nothing was changed.",
    "impossible_step": "What is there does not allow this step in the warehouse; `detail` says why. Nothing was changed.",
    "idempotency_key": "`Idempotency-Key` is for a single event, sent once, with 1 to 255 visible ASCII characters.",
}
"""Codes whose words are not written where the code is."""

ATTEMPT_CODES = {
    "delivered": "The receiver answered 200 to 299.",
    "http_<status>": "The receiver answered with this status. 410 also disables the webhook.",
    "http_redirect": "The receiver answered 300 to 399. Dockbell follows no redirect: enter the new URL.",
    "connect_failed": "No connection could be opened, for another reason than the two below.",
    "connect_refused": "The receiver's machine refused the connection: nothing listens on that port.",
    "connect_timeout": "No connection within `egress.connect_timeout_s`.",
    "connection_ended": "A connection kept from an earlier request had ended; the request was sent again at once.",
    "connection_reset": "The receiver closed the connection before it had answered.",
    "dns_error": "The host name could not be looked up, or has no address.",
    "dns_timeout": "The host name was not looked up in time.",
    "tls_timeout": "The TLS handshake did not end in time.",
    "tls_hostname": "The certificate is for another host name.",
    "tls_cert_expired": "The certificate has expired.",
    "tls_cert_not_yet_valid": "The certificate is not valid yet.",
    "tls_untrusted": "The certificate is from an authority that is not trusted; see `egress.ca_file`.",
    "tls_protocol": "No common version of TLS.",
    "tls_handshake": "The TLS handshake failed.",
    "timeout": "No complete answer within the webhook's timeout.",
    "protocol_error": "What came back is not HTTP, or more of it than is read.",
    "interrupted": "The attempt was broken off on our side, by a stop or a crash. It is made again at once.",
    "egress_denied_address": "The host leads to an address that may not be reached. Nothing was sent.",
    "url_refused": "The target URL is not allowed any more. Nothing was sent.",
    "goods_owner_removed": "The webhook does not serve the event's goods owner any more. Nothing was sent.",
    "file_descriptors": "This process may open no more files; raise its limit.",
    "internal_error": "A mistake of Dockbell's; the log of the server says more.",
}


def main() -> int:
    pages = written()
    wrong = [name for name, text in pages.items() if not _is_written(FOLDER / name, text)]
    if "--check" in sys.argv[1:]:
        for name in wrong:
            print(f"docs/reference/{name} is not what the code says. Run `make reference`.")
        return 1 if wrong else 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in wrong:
        (FOLDER / name).write_text(pages[name], encoding="utf-8")
        print(f"docs/reference/{name}")
    return 0


def _is_written(file: Path, text: str) -> bool:
    return file.exists() and file.read_text(encoding="utf-8") == text


def written() -> dict[str, str]:
    """Every page of the reference by file name."""
    pages = {
        "README.md": _index(),
        "event-types.md": _event_types(),
        "settings.md": _settings(),
        "errors.md": _errors(),
        "log.md": _log(),
        "cli.md": _cli(),
        "api.md": _api(),
        "warehouse.md": _warehouse(),
        "delivery.md": _delivery(),
        "retry-policies.md": _retry_policies(),
    }
    return {name: f"{NOTE}\n{text.strip()}\n" for name, text in pages.items()}


def _index() -> str:
    return """# Reference

Facts, made from the code.

- [Event types](event-types.md): each type with its rule, fields and example
- [API](api.md): each route
- [The reference warehouse's API](warehouse.md): what a receiver calls back on, and the steps of the floor
- [What is sent](delivery.md): body, headers, signature, limits
- [Retry policies](retry-policies.md)
- [Settings](settings.md)
- [Command line](cli.md)
- [Errors and codes](errors.md)
- [The program's log](log.md): each line's name
"""


def _table(*rows: tuple[object, ...]) -> str:
    cells = [[str(cell).replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    lines = [f"| {' | '.join(row)} |" for row in cells]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


# --- Event types ------------------------------------------------------------------------------------


def _event_types() -> str:
    catalog = load_catalog()
    parts = [
        "# Event types",
        (
            f"{len(catalog)} built-in event types in {len(catalog.families())} families. An operator can add own types: see "
            "`POST /api/v1/eventTypes` in the [API](api.md). In Type, `?` means: may be null or missing."
        ),
        _table(
            ("Key", "Name", "Fires when"),
            *((f"[`{each.key}`](#{_anchor(each.key)})", each.name, each.fires_when) for each in catalog),
        ),
    ]
    for family in catalog.families():
        types = [each for each in catalog if each.family == family]
        parts += [f"## {family}", *_family(types[0])]
        for each in types:
            parts += _event_type(each, types[0])
    return "\n\n".join(parts)


def _family(first: EventType) -> list[str]:
    header = ", ".join(f"`{name}`" for name in first.header_fields)
    about = f"Object: `{first.object_kind}`, by `{first.object_id}`."
    return [
        f"Dockbell writes: {header}.",
        about + (f" Searched by `{first.object_number}`." if first.object_number else ""),
        "Fields of the data:",
        _table(
            ("Field", "Type", "Meaning"), *((f"`{f.path}`", f.type + "?" * f.nullable, f.meaning) for f in first.fields)
        ),
    ]


def _event_type(each: EventType, first: EventType) -> list[str]:
    settings_of = ", ".join(f"`{name}`" for name in each.settings) or "none"
    parts = [f"### {each.key}", f"**{each.name}.** {each.fires_when} Settings for filters: {settings_of}."]
    if each.fields != first.fields:
        raise SystemExit(f"{each.key} has other fields than its family; this page shows them once a family.")
    if each.attributes:
        rows = ((f"`{f.path}`", f.type + "?" * f.nullable, f.meaning) for f in each.attributes)
        parts += ["Attributes, for filters only:", _table(("Attribute", "Type", "Meaning"), *rows)]
    return [*parts, "Example of the data:", f"```json\n{json.dumps(each.example, indent=2, ensure_ascii=False)}\n```"]


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


# --- Settings and command line ----------------------------------------------------------------------


def _settings() -> str:
    rows = [
        (f"`{name}`", f"`{settings.variable_of(name)}`", f"`{_default(value)}`", sentence)
        for name, (value, sentence) in settings.names().items()
    ]
    return f"""# Settings

Read once, at the start. Strongest first: the command line, the environment, the file `dockbell.toml` in the working
directory, the default. An unknown `{settings.PREFIX}...` variable stops the start. `dockbell check` shows what is in force.

{_table(("Setting", "Variable", "Default", "Meaning"), *rows)}

In `dockbell.toml` the part before the dot is a table: `[worker]`, then `slots = 64`. In the environment a list is JSON:
`DOCKBELL_EGRESS__ALLOW='["114 10.1.0.0/16:8443"]'`.
"""


def _default(value: object) -> str:
    if value is None:
        return "none"
    return json.dumps(value)


ENDS = (
    "A command ends with 0; with 78 when settings, key file or database are not as they must be, or the database cannot be "
    "reached; with 1 when anything else was refused or found wrong, or a part of a node broke; with 2 when it was called with "
    "words that it does not know."
)


def _cli() -> str:
    group = typer.main.get_command(command_line)
    parts = [
        "# Command line",
        "`dockbell COMMAND --help` says the same.",
        ENDS,
        "Only `serve`, `demo`, `migrate` and `warehouse simulate` make a database where there is none.",
    ]
    for name, command in commands(group):
        rows = []
        for parameter in command.params:
            if parameter.name == "help":
                continue
            names = ", ".join(f"`{text}`" for text in parameter.opts)
            need = "required" if parameter.required else _shown_default(parameter.default)
            rows.append((names, need, getattr(parameter, "help", None) or ""))
        parts += [f"## dockbell {name}", (command.help or "").strip()]
        parts += [_table(("Option or argument", "Default", "Meaning"), *rows)] if rows else []
    return "\n\n".join(parts)


def commands(group: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """Every command by its full name."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{before}{name} ")
        else:
            yield before + name, command


def _shown_default(value: object) -> str:
    return "" if value is None else f"`{json.dumps(value)}`"


# --- API --------------------------------------------------------------------------------------------


def openapi() -> dict[str, Any]:
    """The document that a running node answers at /api/v1/openapi.json."""
    app = FastAPI(generate_unique_id_function=lambda route: to_camel(route.name))
    for part in (webhooks, events, deliveries, event_types, administration, health):
        app.include_router(part.router, prefix="/api/v1")
    return document_for(app)


def _api() -> str:
    document = openapi()
    operations = [(path, method, one) for path, found in document["paths"].items() for method, one in found.items()]
    parts = [
        "# API",
        "A running node answers the whole OpenAPI document at `GET /api/v1/openapi.json`.",
        (
            "Send the API key as `Authorization: Bearer whk_...`, or as the password of Basic authentication. "
            "Bodies are JSON in UTF-8. Names that are not listed are refused. A list answers `items` and `nextCursor`; "
            "send that as `cursor` for the next page. Errors are problem details (RFC 9457): see [Errors](errors.md)."
        ),
        "What a key may do follows from its scopes:",
        _table(("Scope", "May"), *((f"`{scope}`", permissions.IN_WORDS[scope]) for scope in permissions.SCOPES)),
        _table(("Route", "What it does"), *((_link(path, method), one["summary"]) for path, method, one in operations)),
    ]
    for path, method, one in operations:
        parts += [f"## {method.upper()} {path}", f"{one['summary']}. {one.get('description', '')}".strip()]
        if one.get("parameters"):
            rows = (
                (f"`{each['name']}`", each["in"], "yes" if each.get("required") else "no", _told(each))
                for each in one["parameters"]
            )
            parts += [_table(("Parameter", "In", "Required", "Meaning"), *rows)]
        body = one.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
        if body:
            parts += [f"Body: {_type_of(body)}."]
        answers = sorted(one["responses"].items(), key=lambda pair: int(pair[0]))
        parts += [_table(("Answer", "Meaning"), *((status, each["description"]) for status, each in answers))]
    parts += ["## Objects", "What stands in bodies."]
    for name, schema in sorted(document["components"]["schemas"].items()):
        parts += [f"### {name}", *_object(schema)]
    return "\n\n".join(parts)


def _warehouse() -> str:
    document = warehouse_document_for(warehouse_routes(Desk(cast(Any, None))))
    rows = [
        (f"`{method.upper()} {path}`", one["summary"], _asked(one), _taken(one))
        for path, found in document["paths"].items()
        for method, one in found.items()
    ]
    documented = [row for row in rows if " /api/v1/warehouse/" not in row[0]]
    floor = [row for row in rows if row not in documented]
    parts = [
        "# The reference warehouse's API",
        (
            "Answered when `warehouse.enabled` is set (see [Settings](settings.md)); the demo has it on. The OpenAPI document "
            "is at `GET /api/v1/warehouse/openapi.json`. Keys and errors are those of the [API](api.md). Lists need "
            "`goodsOwnerId`; the next page begins at the last id plus one (`orderIdFrom`, `maxOrdersToGet`). `PUT` creates or "
            "changes the thing of that number, `PATCH` sets one field, `DELETE` ends it. Changing needs the scope `publish`."
        ),
        "## What a receiver calls back on",
        _table(("Route", "Does", "Query", "Body"), *documented),
        "## Steps of the floor",
        (
            "What people do; each answers with what is there after it. A body may say who did it where: "
            "`byUser.userId`, `byComputer.computerId`. An impossible step answers 409 `impossible_step` and changes nothing."
        ),
        _table(("Route", "Does", "Query", "Body"), *floor),
        "## Bodies",
    ]
    for name, schema in sorted(document["components"]["schemas"].items()):
        if name != "Problem":
            parts += [f"### {name}", *_object(schema)]
    return "\n\n".join(parts)


def _asked(operation: dict[str, Any]) -> str:
    return ", ".join(f"`{each['name']}`" for each in operation.get("parameters", ()) if each["in"] == "query")


def _taken(operation: dict[str, Any]) -> str:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    return _type_of(content["schema"]) if content else ""


def _link(path: str, method: str) -> str:
    return f"[`{method.upper()} {path}`](#{_anchor(f'{method} {path}')})"


def _told(parameter: dict[str, Any]) -> str:
    return str(parameter.get("description") or parameter.get("schema", {}).get("description") or "")


def _object(schema: dict[str, Any]) -> list[str]:
    needed = schema.get("required", [])
    rows = [
        (f"`{name}`", _type_of(each), "yes" if name in needed else "no", each.get("description", ""))
        for name, each in schema.get("properties", {}).items()
    ]
    told = [schema["description"]] if schema.get("description") else []
    return [*told, _table(("Field", "Type", "Required", "Meaning"), *rows)] if rows else told


def _type_of(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{_anchor(name)})"
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return " or ".join(map(_type_of, schema[several]))
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return " or ".join(f"`{json.dumps(value)}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"array of {_type_of(schema.get('items', {}))}"
    return str(schema.get("type", "any value"))


# --- What is sent -----------------------------------------------------------------------------------


def _delivery() -> str:
    common = ", ".join(f"`{name}`" for name in COMMON_HEADER)
    reserved = ", ".join(f"`{name}`" for name in sorted(headers._RESERVED))  # noqa: SLF001
    beginnings = ", ".join(f"`{name}`" for name in sorted(headers._RESERVED_BEGINNINGS))  # noqa: SLF001
    made, lines = _a_request()
    return f"""# What is sent

One `POST` an attempt, to the webhook's target URL.

## Body

UTF-8 JSON: first the webhook's id under the family's own name (`webhookOrdersId`, ...), then {common} (a few families lack
some; see [Event types](event-types.md)), then the fields of the published `data`, byte for byte. `timestamp` is when it
happened, in UTC, with seven digits and no zone. New fields may be added at any time: a receiver ignores what it does not know.
The same body goes out with every attempt.

```json
{json.dumps(json.loads(made), indent=2, ensure_ascii=False)}
```

## Headers

```text
{lines}
```

- `webhook-id`: the delivery, `<event>-<webhook>`. It stays over all attempts and resends: use it to drop duplicates.
- `webhook-timestamp`: when this attempt began, in seconds since 1970.
- `webhook-signature`: one `v1,<base64>` for each valid signing secret, with a blank between. See
  [Verify a signature](../how-to/verify-a-signature.md).
- `dockbell-test: true`: only with a test event.
- Authentication: `Authorization: Basic ...`, or `X-Auth-Token: ...`, or none.

## Additional headers

At most {headers.MOST_HEADERS}, {headers.MOST_HEADER_BYTES:,} bytes together; a name has at most {headers.LONGEST_NAME}
characters, a value {headers.LONGEST_VALUE:,}. In the log a secret value shows as `{MASK}`.

These names are refused: {reserved}; and those that begin with {beginnings}.

## Answer

200 to 299 is a delivery. Everything else is a failed attempt; see [Errors](errors.md#attempts) and
[Retry policies](retry-policies.md). An attempt may take as long as the webhook's timeout says:
{limits.SHORTEST_TIMEOUT_S} to {limits.LONGEST_TIMEOUT_S} seconds, {WebhookInput.model_fields["timeout_in_seconds"].default} unless said.
"""


def _a_request() -> tuple[str, str]:
    """Body and headers of one attempt, made by the code that makes all of them."""
    kind = load_catalog().get("order.picked")
    assert kind is not None
    data = json.dumps(kind.example)
    now = 1_770_120_451_441_231
    new = NewEvent(kind, 114, "Nordic Tea AB", now, None, "", None, None, {}, data, kind.example)
    event = Event(880123, 114, kind.key, now, head_of(new, event_id=880123, system="demo3pl", occurred_at=now), data)
    body = body_of(event, id_field=kind.id_field, webhook_id=12)
    secret = SigningSecret(b"a" * 32, None)
    lines = [
        CONTENT_TYPE,
        USER_AGENT.replace(__version__, "<version>"),
        f"webhook-id: {delivery_id(880123, 12)}",
        f"webhook-timestamp: {now // SECOND}",
        f"webhook-signature: {signatures([secret], delivery_id(880123, 12), now // SECOND, body, now)}",
    ]
    return body.decode(), "\n".join(lines)


def _retry_policies() -> str:
    rows = [(f"`{name}`", _waits(policy), _attempts(policy), _span(policy)) for name, policy in NAMED.items()]
    slow = ", ".join(map(str, sorted(SLOW_DOWN)))
    return f"""# Retry policies

{_table(("Policy", "Waits, each after the attempt before", "Attempts", "Last attempt after"), *rows)}

`own`: your own waits in `stepsInSeconds`, at most {limits.MOST_STEPS}, each at most {_words(limits.LONGEST_STEP_S * SECOND)}.

- Jitter only adds: at most a tenth of the wait, at most {_words(MOST_JITTER)}. The table is without it, and without the time
  that attempts take.
- After {slow} a `Retry-After` of the receiver makes the wait longer, at most {_words(LONGEST_RETRY_AFTER)}.
- 410 fails the delivery at once and disables the webhook.
- An address that may not be reached and a URL that is not allowed any more are tried again like a receiver that does not answer:
  the name may lead elsewhere soon, or somebody mends URL or settings. For a goods owner whom the webhook does not serve any more nothing is tried again.
- An interrupted attempt is made again at once and counts as no failure.
- A test event is never tried again.
"""


def _waits(policy: RetryPolicy) -> str:
    steps = [_words(step) for step in policy.steps]
    return ", ".join([*steps, *([f"then every {_words(policy.then_every)}"] if policy.then_every else [])]) or "none"


def _attempts(policy: RetryPolicy) -> int:
    return len(policy.offsets())


def _span(policy: RetryPolicy) -> str:
    return _words(policy.offsets()[-1])


def _words(micros: int) -> str:
    seconds = micros // SECOND
    parts = [(seconds // 3600, "h"), (seconds % 3600 // 60, "min"), (seconds % 60, "s")]
    return " ".join(f"{count} {unit}" for count, unit in parts if count) or "0 s"


# --- Errors -----------------------------------------------------------------------------------------


def _errors() -> str:
    kinds = [
        (f"`{kind.__name__}`", kind.status, f"`{kind.code}`", (kind.__doc__ or "").partition(";")[0])
        for kind in errors.DockbellError.__subclasses__()
        if kind is not errors.ConfigError
    ]
    rows = [(f"`{code}`", "<br>".join(sorted(said))) for code, said in sorted(request_codes().items())]
    outcomes = [(f"`{code}`", meaning) for code, meaning in sorted(ATTEMPT_CODES.items())]
    return f"""# Errors and codes

A code stays the same over releases; the words beside it may change.

## Requests

The API answers `application/problem+json` (RFC 9457): `code` for programs, `detail` and `hint` for people, and
`problems`, a list of `field`, `code`, `message` with everything that is wrong at once. If exactly one thing is wrong,
`code` of the whole is that problem's.

Without a code of its own, an error has that of its kind:

{_table(("Kind", "Status", "Code"), *(row[:3] for row in kinds))}

A wrong setting, or a database that cannot be used, stops the start with code 78 and a sentence.

## Codes

`...` stands for what was met.

{_table(("Code", "Says"), *rows)}

## Attempts

The `code` of an attempt, and the `lastCode` of its delivery.

{_table(("Code", "Meaning"), *outcomes)}
"""


# --- The log ----------------------------------------------------------------------------------------


def _log() -> str:
    rows = [(f"`{name}`", sentence) for name, sentence in sorted(log.NAMES.items())]
    return f"""# The program's log

What happens in the program itself; what happens to deliveries is in Administration => Logs. A line for each thing goes to
standard error: coloured on a terminal, otherwise a JSON object. That has `event`, which is a name of the table, `level` and
`timestamp` (UTC), and what belongs to the name. The level says who must act: nobody (`info`), somebody tomorrow (`warning`),
somebody now (`error`).

{_table(("Name", "Says"), *rows)}
"""


def request_codes() -> dict[str, set[str]]:
    """Each code a request can be refused with, and the words that go with it, read from the source."""
    found: dict[str, set[str]] = {kind.code: set() for kind in errors.DockbellError.__subclasses__()}
    found["internal_error"] = {"Dockbell made a mistake."}
    del found[errors.ConfigError.code]
    for file in sorted(SOURCE.rglob("*.py")):
        if SOURCE / "testing" in file.parents or SOURCE / "web" / "ui" in file.parents:
            continue
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for function in (node for node in tree.body if not isinstance(node, ast.Import | ast.ImportFrom)):
            named = _named_texts(function)
            for node in ast.walk(function):
                if isinstance(node, ast.Call):
                    for code, said in _codes_in(node, named):
                        found.setdefault(code, set()).update(said)
    for code, sentence in IN_GENERAL.items():
        found[code].add(sentence)
    return found


def _named_texts(function: ast.AST) -> Named:
    """The texts that variables hold: messages are often put together before they are handed on."""
    named: Named = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            named.setdefault(node.targets[0].id, []).append((node.lineno, _texts(node.value, {})))
    return named


def _codes_in(call: ast.Call, named: Named) -> Iterator[tuple[str, list[str]]]:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name in ("Problem", "refuse", "_refuse", "problem") and len(call.args) > 1:
        for code in _texts(call.args[1], {}):
            if CODE.fullmatch(code):
                yield code, _texts(call.args[2], named) if len(call.args) > 2 else []
    for keyword in call.keywords if hasattr(errors, name) else ():
        if keyword.arg == "code":
            for code in _texts(keyword.value, {}):
                if CODE.fullmatch(code):
                    yield code, _texts(call.args[0], named) if call.args else []


def _texts(node: ast.expr | None, named: Named) -> list[str]:
    """The texts an expression can be; what is filled in shows as `...`."""
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.JoinedStr(values=parts):
            filled = (str(part.value) if isinstance(part, ast.Constant) else "..." for part in parts)
            return ["".join(filled)]
        case ast.BinOp(left=left):
            return _texts(left, named)
        case ast.IfExp(body=first, orelse=second):
            return _texts(first, named) + _texts(second, named)
        case ast.Call(func=ast.Attribute(attr="get"), args=[_, second]):
            return _texts(second, named)
        case ast.Name(id=name):
            before = [(line, texts) for line, texts in named.get(name, []) if line < node.lineno]
            return max(before)[1] if before else []
        case _:
            return []


def attempt_codes() -> set[str]:
    """Each code that the sender and the worker write, read from the source."""
    found = {"delivered", "http_<status>", "http_redirect"}
    files = [*(SOURCE / "egress").glob("*.py"), *(SOURCE / "delivery").glob("*.py"), SOURCE / "store" / "deliveries.py"]
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            match node:
                case (
                    ast.Call(
                        func=ast.Name(id="NotSent" | "Unanswered")
                        | ast.Attribute(attr="without_answer" | "_end_without"),
                        args=[code, *_],
                    )
                    | ast.Call(func=ast.Attribute(attr="_give_up"), args=[_, code, *_])
                ):
                    found.update(_texts(code, {}))
                case ast.FunctionDef(name="reason_of_connecting" | "reason_of_tls"):
                    found.update(
                        text
                        for each in ast.walk(node)
                        if isinstance(each, ast.Return)
                        for text in _texts(each.value, {})
                    )
                case ast.Tuple(elts=[ast.Constant(value=str(code)), ast.Constant() | ast.JoinedStr() | ast.Name()]):
                    found.update([code] if CODE.fullmatch(code) and code in ATTEMPT_CODES else [])
                case ast.Assign(targets=[ast.Name(id="_CONNECT" | "_CERTIFICATE")], value=ast.Dict(values=values)):
                    found.update(text for value in values for text in _texts(value, {}))
                case _:
                    pass
    return found


if __name__ == "__main__":
    sys.exit(main())
