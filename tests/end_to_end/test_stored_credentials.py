"""What a webhook keeps secret is read back nowhere: not by the API, a page, an export, an error or the log of the program."""

import base64
import http.client  # noqa: TID251 - bytes as they come, to pages and API alike
import json
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
import structlog

from dockbell import log
from tests.support.bad_inputs import cases
from tests.support.page_addresses import address, all_routes, one_of_everything
from tests.support.site import Site, a_site

IN_A_ROW = 6
PASSWORD, TOKEN, HEADER = "Wal~nut^77|Ket{tle", "Qua~gga^19|Lan{tern", "Ber~yl^58|Tro{mbone"
FORM = "application/x-www-form-urlencoded"
READ_BACK, STORED_HEADERS = cases("credential_rule")


def spellings(secret: bytes) -> Iterator[bytes]:
    """Every six bytes in a row of it: as they are, in base64 wherever they may stand in it, in hex, in a URL."""
    for start in range(len(secret) - IN_A_ROW + 1):
        part = secret[start : start + IN_A_ROW]
        yield part
        yield part.hex().encode()
        yield part.hex().upper().encode()
        yield quote(part).encode()
    for before in range(3):
        text = base64.b64encode(b"x" * before + secret)
        for start in range(2 + 2 * before, len(text) - 11):  # what the bytes before and after do not change
            yield text[start : start + 8]


def told(secret: bytes, answers: dict[str, bytes]) -> list[str]:
    wanted = set(spellings(secret))
    return [f"{place}: {part!r}" for place, answer in answers.items() for part in wanted if part in answer]


@pytest.mark.parametrize(
    "answer",
    [
        b"the password is nut^77",
        b"Authorization: Basic " + base64.b64encode(b"integrator:" + PASSWORD.encode()),
        base64.b64encode(PASSWORD.encode()),
        PASSWORD.encode().hex().encode(),
        quote(PASSWORD).encode(),
        json.dumps(PASSWORD).encode(),
    ],
)
def test_a_secret_that_is_told_would_be_found(answer: bytes) -> None:
    assert told(PASSWORD.encode(), {"there": answer})
    assert not told(TOKEN.encode(), {"there": answer})


def test_no_six_bytes_of_a_stored_secret_are_read_back_anywhere(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert READ_BACK.verdict == "no six bytes in a row of a secret appear, raw, in base64, hex or URL escapes"
    before = structlog.get_config()
    log.set_up(level="debug", to_terminal=False)
    try:
        with a_site(tmp_path) as site:
            things, signing = one_of_everything(site), secrets.token_bytes(32)
            webhooks = _webhooks(site, signing)
            _refused_changes(site, webhooks[0])
            shown = _everything_shown(site, things, webhooks)
    finally:
        structlog.configure(**before)
    said = capfd.readouterr()
    shown["the program's log"] = (said.out + said.err).encode()
    assert len(shown) > 80
    assert sum(b"X-Company-Id" in each for each in shown.values()) >= 5, "it is looked where nothing is to be found"
    for secret in (PASSWORD.encode(), TOKEN.encode(), HEADER.encode(), signing):
        assert told(secret, shown) == []


def test_the_stored_request_headers_show_a_fingerprint_in_place_of_a_secret(tmp_path: Path) -> None:
    assert STORED_HEADERS.verdict.startswith("Authorization, X-Auth-Token and secret headers show *** and a keyed")
    with a_site(tmp_path) as site:
        masked = []
        for webhook in _webhooks(site, secrets.token_bytes(32)):
            [attempt] = site.api.get(f"/api/v1/deliveries/{site.attempted(webhook)['id']}")["attemptList"]
            lines = dict(line.split(": ", 1) for line in _lines(attempt["requestHeaders"]))
            assert lines["X-Company-Id"] == "654"
            secret_lines = [lines.get("Authorization") or lines["X-Auth-Token"], lines["X-Key"]]
            masked += [re.fullmatch(r"(?:Basic )?\*\*\* ?\(?(?P<print>[0-9a-f]{8})\)?", line) for line in secret_lines]
        prints = [match["print"] if match else None for match in masked]
        assert None not in prints
        assert prints[1] == prints[3], "one secret has one fingerprint"
        assert len(set(prints)) == 3


def _lines(headers: Any) -> list[str]:
    return (
        headers.splitlines() if isinstance(headers, str) else [f"{each['name']}: {each['value']}" for each in headers]
    )


def _webhooks(site: Site, signing: bytes) -> list[int]:
    """One with each way to authenticate; each was sent an event, whose answer was 500."""
    made = []
    for number, ours in enumerate(({"password": PASSWORD, "username": "integrator"}, {"token": TOKEN})):
        webhook = site.make_webhook(
            name=f"With secrets {number}",
            authentication={"type": "basic" if "password" in ours else "token", **ours},
            headers=[
                {"name": "X-Company-Id", "value": "654"},
                {"name": "X-Key", "value": HEADER, "secret": True},
            ],
            signingSecret="whsec_" + base64.b64encode(signing).decode(),
        )
        made.append(webhook["id"])
    site.do(site.new_order("77001"), "allocate", "pick")
    for each in made:
        site.attempted(each)
    return made


def _refused_changes(site: Site, webhook: int) -> None:
    for change in ({"headers": 5}, {"targetUrl": "x"}, {"authentication": {"type": "nothing"}}):
        assert _asked(site, "PATCH", f"/api/v1/webhooks/{webhook}", json.dumps(change).encode())[0] == 422


def _everything_shown(site: Site, things: dict[str, Any], webhooks: list[int]) -> dict[str, bytes]:
    """By place: every page, every answer to a GET of the API, and what a bad form and bad requests are answered."""
    shown: dict[str, bytes] = {}
    cookie = site.cookie_of("administrator")
    for webhook in webhooks:
        delivery = site.attempted(webhook)
        mine = {**things, "webhook": webhook, "delivery": delivery["id"], "event": delivery["eventId"]}
        for route in all_routes():
            if route.method == "GET":
                place = address(route, mine)
                shown[place] = _asked(site, "GET", place, cookie=cookie)[1]
        ids = {
            "webhooks": webhook,
            "deliveries": delivery["id"],
            "events": delivery["eventId"],
            "goodsOwners": 114,
            "eventTypes": "order.picked",
            "bulkRuns": things["bulk_run"],
            "apiKeys": things["key"],
        }
        for path, operations in site.api.get("/api/v1/openapi.json")["paths"].items():
            if "get" in operations:
                noun = re.search(r"/(\w+)/\{", path)
                place = re.sub(r"\{\w+\}", "" if noun is None else str(ids[noun[1]]), path)
                place += f"?deliveryId={delivery['id']}" if path == "/api/v1/attempts" else ""
                shown[place] = _asked(site, "GET", place)[1]
        edit = f"/administration/webhooks/{webhook}/edit"
        form = re.search(rb'name="csrf" value="([^"]+)"', shown[edit])
        assert form is not None
        bad = b"name=&targetUrl=x&csrf=" + form[1]
        status, shown[f"refused {edit}"] = _asked(site, "POST", edit, bad, cookie=cookie, content_type=FORM)
        assert status == 422
    return shown


def _asked(
    site: Site,
    method: str,
    place: str,
    body: bytes | None = None,
    *,
    cookie: str | None = None,
    content_type: str = "application/json",
) -> tuple[int, bytes]:
    parts = urlsplit(site.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)  # noqa: TID251
    headers = {"Content-Type": content_type} if body is not None else {}
    if cookie is None:
        headers["Authorization"] = f"Bearer {site.api._key}"
    else:
        headers |= {"Cookie": f"dockbell={cookie}", "Origin": site.url}
    try:
        connection.request(method, place, body=body, headers=headers)
        response = connection.getresponse()
        assert response.status < 500, place
        return response.status, response.read()
    finally:
        connection.close()
