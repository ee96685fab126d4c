"""Every list of bad inputs through every door it can come in by: refused at one, refused at all, and nothing is a 5xx.

What happens on the way out (dns, redirect, receiver, retry_after) and in exported cells (csv) stands with those who do it:
tests/contract, tests/unit/test_retry_after.py, tests/ui/test_log_pages.py. A table of what was tried is printed.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_from_bytes

import pytest
from typer.testing import CliRunner

from dockbell import cli, log
from dockbell.errors import DockbellError
from dockbell.store.database import Database
from tests.support.asgi import Api
from tests.support.bad_inputs import Case, cases
from tests.support.browser_like import Browser, a_browser
from tests.support.parts import Server, a_server
from tests.support.rows import FJORD, TEA

WEBHOOKS, EVENTS = "/api/v1/webhooks", "/api/v1/events"
LIST, NEW = "/administration/webhooks", "/administration/webhooks/new"
SOUND = {
    "name": "ERP",
    "eventType": "order.picked",
    "goodsOwnerIds": [TEA],
    "targetUrl": "https://erp.example.com/hook",
}
VERSION = re.compile(r'name="version" value="([0-9]+)"')
ACCEPTED, REFUSED = {200, 201, 202, 303}, {400, 404, 413, 414, 415, 422, 431}


class Tally:
    """What was tried at each door, and where the answer was not the one listed."""

    def __init__(self) -> None:
        self.tried: Counter[tuple[str, str]] = Counter()
        self.wrong: list[str] = []
        self.broken: list[str] = []

    def note(self, name: str, door: str, case: Case, status: int, allowed: Iterable[int]) -> None:
        self.tried[name, door] += 1
        told = f"{case.id} at {door}: {status}"
        if status >= 500 or status == 0:
            self.broken.append(told)
        elif status not in set(allowed):
            self.wrong.append(f"{told}, {case.why}")

    def table(self) -> str:
        rows = [f"  {name:16} {door:32} {count:5}" for (name, door), count in sorted(self.tried.items())]
        total = f"  tried {self.tried.total()}, wrong {len(self.wrong)}, 5xx {len(self.broken)}"
        return "\n".join(["Bad inputs by list and door:", *rows, total])

    def must_be_right(self, record_property: Callable[[str, object], None]) -> None:
        record_property("print", self.table())
        assert (self.wrong, self.broken) == ([], [])


def settings_of_a_webhook() -> Iterator[tuple[str, Case, dict[str, Any]]]:
    """Each case of the lists about webhooks, as the part of a document that it is about."""
    for case in cases("url"):
        yield "url", case, {"targetUrl": case.input}
    for case in cases("header"):
        yield "header", case, {"headers": [{"name": name, "value": value} for name, value in case.input]}
    for case in cases("credential"):
        part = _credential(case)
        if part is not None:
            yield "credential", case, part
    for case in cases("number"):
        if case.more["field"] == "timeout":
            yield "number", case, {"timeoutInSeconds": case.input}
        elif case.more["field"] == "steps":
            yield "number", case, {"retryPolicy": {"name": "own", "stepsInSeconds": case.input}}
    for case in cases("ui_text"):
        yield "ui_text", case, {"name": case.input}


def _credential(case: Case) -> dict[str, Any] | None:
    match case.more["field"]:
        case "username":
            return {"authentication": {"type": "basic", "username": case.input, "password": "x"}}
        case "password":
            return {"authentication": {"type": "basic", "username": "x", "password": case.input}}
        case "token":
            return {"authentication": {"type": "token", "token": case.input}}
        case "signing_secret":
            return {"signingSecret": case.input}
        case "email":
            return {"email": case.input}
        case _:  # a user's password is none of a webhook's
            return None


def allowed_for(name: str, case: Case) -> set[int]:
    if name == "ui_text":  # shown as typed, or refused for a control character
        return ACCEPTED | REFUSED
    return ACCEPTED if case.is_accepted else REFUSED


async def strict(server: Server) -> Server:
    """Without the exception for loopback that other tests need."""
    server.parts.webhooks._addresses.allow_loopback = False
    return server


async def test_settings_of_webhooks_over_the_api_and_as_a_file(
    database: Database, tmp_path: Path, record_property: Callable[[str, object], None]
):
    tally = Tally()
    async with a_server(database, tmp_path) as server:
        api = (await strict(server)).admin
        browser = a_browser(server.app, server.parts)
        await browser.get(f"{LIST}/import")
        patched = (await api.post(WEBHOOKS, SOUND)).document["id"]
        for name, case, part in settings_of_a_webhook():
            allowed = allowed_for(name, case)
            made = await api.post(WEBHOOKS, {**SOUND, **part})
            tally.note(name, "API: made", case, made.status, allowed)
            if "signingSecret" not in part:  # that is changed by a rotation alone
                changed = await api.patch(f"{WEBHOOKS}/{patched}", part)
                tally.note(name, "API: changed", case, changed.status, allowed)
            document = json.dumps({"webhooks": [{**SOUND, **part}]})
            imported = await browser.submit(f"{LIST}/import", {"document": document}, follow=False)
            tally.note(name, "page: imported file", case, imported.status, allowed)
    tally.must_be_right(record_property)


@pytest.mark.parametrize("name", ["url", "header", "header_text", "credential", "ui_text"])
async def test_settings_of_webhooks_typed_into_the_form(
    database: Database, tmp_path: Path, record_property: Callable[[str, object], None], name: str
):
    tally = Tally()
    async with a_server(database, tmp_path) as server:
        await strict(server)
        browser = a_browser(server.app, server.parts)
        made = (await server.admin.post(WEBHOOKS, SOUND)).document["id"]
        await browser.get(f"{NEW}?kind=regular&eventType=order.picked")
        for case, changes in typed_cases(name):
            allowed = allowed_for(name, case)
            if any(text != text.strip() for text in _texts(changes)):
                allowed = ACCEPTED | REFUSED  # blanks around what is typed are no part of it
            reply = await browser.submit(NEW, typed(changes), follow=False)
            # A webhook with a signing secret made for it is shown at once, with the secret.
            tally.note(name, "form: made", case, reply.status, allowed)
            await browser.get(f"{LIST}/{made}/edit")
            [version] = VERSION.findall(browser.text)
            reply = await browser.submit(f"{LIST}/{made}/edit", typed({**changes, "version": version}), follow=False)
            tally.note(name, "form: changed", case, reply.status, allowed)
    tally.must_be_right(record_property)


def typed_cases(name: str) -> Iterator[tuple[Case, dict[str, Any]]]:
    """The cases of the list `name` that can be typed into the form, each with the fields it is typed into."""
    for case in cases(name):
        changes = _typed_header(case) if name == "header" else _typed_text(name, case)
        if changes is not None:
            yield case, changes


def _typed_header(case: Case) -> dict[str, Any] | None:
    texts = [text for pair in case.input for text in pair]
    if not all(isinstance(text, str) and _can_be_typed(text) for text in texts) or not any(map(str.strip, texts)):
        return None
    names, values = zip(*case.input, strict=True)
    return {"headerName": names, "headerValue": values, "headerKind": ["shown"] * len(names)}


def _typed_text(name: str, case: Case) -> dict[str, Any] | None:
    if not isinstance(case.input, str) or not _can_be_typed(case.input):
        return None
    match name:
        case "url":
            return {"targetUrl": case.input}
        case "header_text":
            return {"headerLines": case.input}
        case "ui_text":
            return {"name": case.input}
        case _:
            return _typed_credential(case)


def _typed_credential(case: Case) -> dict[str, Any] | None:
    if not case.input:  # what is left empty is another matter in a form
        return None
    match case.more["field"]:
        case "username" | "password" as field:
            return {"authentication": "basic", "username": "x", "password": "x", field: case.input}
        case "token":
            return {"authentication": "token", "token": case.input}
        case "email":
            return {"email": case.input}
        case _:
            return None


def typed(changes: dict[str, Any]) -> list[tuple[str, str]]:
    fields: dict[str, Any] = {
        "kind": "regular", "name": "ERP", "eventType": "order.picked", "owner": str(TEA), "enabled": "yes",
        "targetUrl": "https://erp.example.com/hook", "authentication": "none", "retryPolicy": "none", **changes,
    }  # fmt: skip
    pairs: list[tuple[str, str]] = []
    for name, value in fields.items():
        pairs += [(name, value)] if isinstance(value, str) else [(name, each) for each in value]
    return pairs


def _texts(changes: dict[str, Any]) -> Iterator[str]:
    for value in changes.values():
        yield from [value] if isinstance(value, str) else value


def _can_be_typed(text: str) -> bool:
    """A form's fields are UTF-8; what is no text is for the API."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


async def test_events_alone_and_in_arrays(
    database: Database, tmp_path: Path, record_property: Callable[[str, object], None]
):
    tally = Tally()
    async with a_server(database, tmp_path) as server:
        for name, case, event in events():
            raw = json.dumps(event).encode()
            allowed = ACCEPTED if case.is_accepted else REFUSED
            tally.note(name, "API: one event", case, (await server.admin.post(EVENTS, raw)).status, allowed)
            reply = await server.admin.post(EVENTS, b"[" + raw + b"]")
            left_out = reply.status < 300 and reply.document["refused"]  # the answer is about each of them
            tally.note(name, "API: in an array", case, 422 if left_out else reply.status, allowed)
    tally.must_be_right(record_property)


def events() -> Iterator[tuple[str, Case, dict[str, Any]]]:
    usual = {"type": "test.anything", "goodsOwnerId": TEA, "data": {"a": 1}}
    picked = {"orderId": 1, "orderNumber": "SO-1", "orderStatus": {"number": 400}}
    places = {"type": "type", "id": "id", "goods_owner": "goodsOwnerId"}
    for case in cases("event_field"):
        if case.more["field"] in places:
            event = {**usual, places[case.more["field"]]: case.input}
            yield "event_field", case, event | ({"data": picked} if case.input == "order.picked" else {})
    for case in cases("date"):
        if isinstance(case.input, str):
            yield "date", case, {**usual, "occurredAt": case.input}


def test_events_over_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
):
    tally = Tally()
    monkeypatch.setenv("DOCKBELL_DATABASE", str(tmp_path / "data.sqlite"))
    monkeypatch.setenv("DOCKBELL_KEY_FILE", str(tmp_path / "key"))
    monkeypatch.setattr(log, "set_up", lambda **_: None)  # of this process it is the tests'
    assert CliRunner().invoke(cli.app, ["migrate"]).exit_code == 0
    for name, case, words in command_lines():
        done = CliRunner().invoke(cli.app, ["publish", *words])
        # No goods owner is there, so that even what is right is refused; what counts is that it is said in words.
        crashed = done.exception is not None and not isinstance(done.exception, SystemExit | DockbellError)
        tally.note(name, "command line: publish", case, 500 if crashed else 422, REFUSED)
    tally.must_be_right(record_property)


def command_lines() -> Iterator[tuple[str, Case, Sequence[str]]]:
    for case in cases("event_body"):
        text = case.input if isinstance(case.input, str) else case.input.decode("utf-8", "surrogateescape")
        if len(text) < 100_000 and "\x00" not in text:  # no operating system hands over more, or a NUL
            yield "event_body", case, ["--type", "order.picked", "--goods-owner", str(TEA), f"--data={text}"]
    for case in cases("event_field"):
        text = str(case.input)
        if "\x00" in text:
            continue
        if case.more["field"] == "type":
            yield "event_field", case, [f"--type={text}", "--goods-owner", str(TEA), "--data={}"]
        elif case.more["field"] == "id":
            yield "event_field", case, ["--type=order.picked", "--goods-owner", str(TEA), "--data={}", f"--id={text}"]
        elif case.more["field"] == "goods_owner":
            yield "event_field", case, ["--type=order.picked", f"--goods-owner={text}", "--data={}"]


async def test_paths_and_queries(database: Database, tmp_path: Path, record_property: Callable[[str, object], None]):
    tally = Tally()
    async with a_server(database, tmp_path) as server:
        browser = a_browser(server.app, server.parts, role="goods-owner", goods_owners=[TEA])
        api = server.as_key(["read"], [TEA])
        other = (await server.admin.post(WEBHOOKS, {**SOUND, "goodsOwnerIds": [FJORD]})).document["id"]
        for each in range(3):
            await server.publish(goodsOwnerId=FJORD, id=f"other-{each}")
        cursor = (await server.admin.get(f"{EVENTS}?limit=1")).document["nextCursor"]
        for case in cases("path_query"):
            value = case.input.replace("{id of another goods owner's webhook}", str(other))
            value = value.replace("{cursor of another goods owner's list}", cursor)
            for door, target in doors_of(case.more["where"], value):
                status = await _status_at(api, browser, target)
                # Pages forgive: what cannot be searched for, or sorted by, finds nothing.
                allowed = set(case.verdict) | ({200, 303, 400, 404, 422} if door.startswith("page") else set())
                tally.note("path_query", f"{door}, {case.more['where']}", case, status, allowed)
    tally.must_be_right(record_property)


def doors_of(where: str, value: str) -> list[tuple[str, str]]:
    """A path segment may hold escapes of its own, which are kept."""
    query = quote_from_bytes(value.encode("utf-8", "surrogatepass"), safe="")
    match where:
        case "path id":
            segment = quote(value, safe="%")
            return [("API", f"{WEBHOOKS}/{segment}"), ("page", f"{LIST}/{segment}")]
        case "static":
            return [("page", value)]
        case "search":
            return [("API", f"/api/v1/deliveries?object={query}"), ("page", f"/administration/logs?object={query}")]
        case "sort":
            return [("API", f"{WEBHOOKS}?sort={query}"), ("page", f"{LIST}?sort={query}")]
        case "cursor":
            return [("API", f"{EVENTS}?cursor={query}"), ("page", f"/administration/logs?cursor={query}")]
        case "goods owner filter":
            return [("API", f"{EVENTS}?goodsOwnerId={query}"), ("page", f"/administration/logs?owner={query}")]
        case _:
            raise ValueError(where)


async def _status_at(api: Api, browser: Browser, target: str) -> int:
    asked = await (api.get(target) if target.startswith("/api/") else browser.get(target, follow=False))
    return asked.status


async def test_authorization_headers(
    database: Database, tmp_path: Path, record_property: Callable[[str, object], None]
):
    tally = Tally()
    async with a_server(database, tmp_path) as server:
        browser = a_browser(server.app, server.parts)
        only_reads = server.make_key(["read"], None)
        for case in cases("api_auth"):
            key = str(server.admin.key)
            given = [one.replace("{key}", key).replace("{key that may only read}", only_reads) for one in case.input]
            cookies = [("cookie", f"dockbell={browser.cookies['dockbell']}")] if "cookie" in case.more else []
            posts = case.more.get("method") == "POST"
            reply = await Api(server.app).ask(
                "POST" if posts else "GET", WEBHOOKS, SOUND if posts else None, authorization=given, headers=cookies
            )
            tally.note("api_auth", "API", case, reply.status, case.verdict)
    tally.must_be_right(record_property)
