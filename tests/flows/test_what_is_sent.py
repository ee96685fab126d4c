"""The bytes that leave, and that no secret comes back into the log."""

import base64
import json
import random
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import standardwebhooks.webhooks as independent

from dockbell.actions.publish import judge
from dockbell.clock import HOUR, SECOND, to_datetime, to_text
from dockbell.domain.delivery import Answered, Unanswered
from dockbell.domain.permissions import SYSTEM
from dockbell.domain.request import OutgoingRequest
from dockbell.errors import InvalidInput
from dockbell.store.database import Database
from dockbell.testing.clock import START, ManualClock
from tests.flows.test_retries import headers_of
from tests.support.node import Node, a_node, an_event

EVENTS = 10_000


@pytest.fixture
def verify(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The independent library, with its idea of "now" moved to the moment of sending."""
    moment = [START]

    class Then(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return to_datetime(moment[0])

    monkeypatch.setattr(independent, "datetime", Then)

    def verified(secret: str, request: OutgoingRequest, body: bytes | None = None) -> None:
        headers = headers_of(request)
        moment[0] = int(headers["webhook-timestamp"]) * SECOND
        independent.Webhook(secret).verify(request.body if body is None else body, headers, json_parse=False)

    return verified


def is_signed(verify: Any, secret: str, request: OutgoingRequest, body: bytes | None = None) -> bool:
    try:
        verify(secret, request, body)
    except independent.WebhookVerificationError:
        return False
    return True


NUMBERS = ("1E2", "0.1000", "12345678901234567890.123", "-0", "-0.0", "1e-7", "9007199254740993", "1E+2", "10.50")
LETTERS = 'abz09 _-/"\\\t\n\u00e5\u00df\u6f22\u5b57\U0001f389\u202e\u0301\ufeff%{}[],:'


def some_text(chance: random.Random) -> str:
    return "".join(chance.choices(LETTERS, k=chance.randint(0, 12)))


def some_json(chance: random.Random, depth: int = 0) -> str:
    """JSON as publishers write it: odd spacing, escapes, numbers in all spellings."""
    space = chance.choice(("", "", " ", "\n  "))
    kind = chance.randint(0, 4 if depth > 2 else 6)
    if kind == 0:
        return chance.choice(NUMBERS)
    if kind in (1, 2):
        return json.dumps(some_text(chance), ensure_ascii=chance.random() < 0.5)
    if kind in (3, 4):
        return chance.choice(("true", "false", "null"))
    if kind == 5:
        return "[" + f",{space}".join(some_json(chance, depth + 1) for _ in range(chance.randint(0, 3))) + space + "]"
    return some_object(chance, depth + 1)


def some_object(chance: random.Random, depth: int = 0, head: str = "") -> str:
    space = chance.choice(("", "", " ", "\n  "))
    members = [
        f"{json.dumps(f'extra{number}')}{space}:{space}{some_json(chance, depth)}"
        for number in range(chance.randint(0, 3))
    ]
    return "{" + f",{space}".join(([head] if head else []) + members) + space + "}"


@pytest.mark.slow
async def test_ten_thousand_events_verify_elsewhere_and_carry_the_publishers_bytes(
    database: Database, tmp_path: Path, verify: Any
):
    chance = random.Random(20261124)
    needed = json.dumps(an_event()["data"])[1:-1]
    async with a_node(database, tmp_path) as node:
        made = node.make_webhook(maxConcurrency=64)
        assert made.signing_secret is not None
        await node.index.refresh(database)
        sent: dict[int, bytes] = {}
        for _ in range(EVENTS // 80):
            data = [some_object(chance, head=needed).encode() for _ in range(80)]
            raw = [b'{"type": "order.picked", "goodsOwnerId": 114, "data": ' + one + b"}" for one in data]
            answers = await node.journal.accept([judge(one, SYSTEM, node.index.state) for one in raw])
            sent |= {answer.event_id: one for answer, one in zip(answers, data, strict=True)}  # type: ignore[union-attr]
            await node.worker.quiet()
            node.clock.advance(SECOND)  # type: ignore[attr-defined]
        await node.rest()
        assert len(sent) == len(node.sender.requests) == EVENTS
        for request in node.sender.requests:
            event_id = int(headers_of(request)["webhook-id"].partition("-")[0])
            data_sent = sent.pop(event_id)
            assert request.body.endswith(b"," + data_sent[1:])
            document = json.loads(request.body)
            assert (document["webhookEventId"], document["orderId"]) == (event_id, 50163)
            verify(made.signing_secret, request)
            place = chance.randrange(len(request.body))
            changed = request.body[:place] + bytes([request.body[place] ^ 1]) + request.body[place + 1 :]
            if is_text(changed):
                assert not is_signed(verify, made.signing_secret, request, changed)
        assert sent == {}


def is_text(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


async def test_another_secret_does_not_verify(database: Database, tmp_path: Path, verify: Any):
    async with a_node(database, tmp_path) as node:
        made = node.make_webhook()
        other = node.make_webhook(name="other")
        await node.publish()
        await node.rest()
        by_webhook = {request.pool[0]: request for request in node.sender.requests}
        assert is_signed(verify, str(made.signing_secret), by_webhook[made.webhook["id"]])
        assert not is_signed(verify, str(other.signing_secret), by_webhook[made.webhook["id"]])


async def rotate(node: Node, webhook: int, *, overlap_h: float | None = None) -> str:
    saved = await node.database.write(
        lambda tx: node.webhooks.rotate_secret(tx, SYSTEM, webhook, overlap_h=overlap_h, own=None, now=node.clock.now())
    )
    return str(saved.signing_secret)


async def test_both_secrets_verify_while_one_replaces_the_other_and_then_only_the_new(
    database: Database, tmp_path: Path, verify: Any
):
    clock = ManualClock()
    async with a_node(database, tmp_path, clock=clock) as node:
        made = node.make_webhook()
        old = str(made.signing_secret)
        await node.publish()
        await node.rest()
        new = await rotate(node, made.webhook["id"])
        for wait in (0, 23 * HOUR, HOUR - 1, 1):
            await node.napping()
            clock.advance(wait)
            await node.publish()
            await node.rest()
        before, *during, after = node.sender.requests
        assert (is_signed(verify, old, before), is_signed(verify, new, before)) == (True, False)
        assert [(is_signed(verify, old, one), is_signed(verify, new, one)) for one in during] == [(True, True)] * 3
        assert (is_signed(verify, old, after), is_signed(verify, new, after)) == (False, True)


async def test_a_rotation_without_overlap_ends_the_old_secret_at_once(database: Database, tmp_path: Path, verify: Any):
    async with a_node(database, tmp_path) as node:
        made = node.make_webhook()
        new = await rotate(node, made.webhook["id"], overlap_h=0)
        await node.publish()
        await node.rest()
        [request] = node.sender.requests
        assert is_signed(verify, new, request)
        assert not is_signed(verify, str(made.signing_secret), request)


async def test_a_rotation_never_ends_a_secret_that_was_to_sign_along(database: Database, tmp_path: Path, verify: Any):
    clock = ManualClock()
    async with a_node(database, tmp_path, clock=clock) as node:
        made = node.make_webhook()
        webhook = made.webhook["id"]
        known = [str(made.signing_secret), await rotate(node, webhook), await rotate(node, webhook)]
        with pytest.raises(InvalidInput, match=re.escape(to_text(clock.now() + 24 * HOUR))):
            await rotate(node, webhook)
        await node.publish()
        await node.rest()
        [request] = node.sender.requests
        assert [is_signed(verify, secret, request) for secret in known] == [True, True, True]
        leaked = await rotate(node, webhook, overlap_h=0)
        await node.publish()
        await node.rest()
        assert [is_signed(verify, secret, node.sender.requests[-1]) for secret in [*known, leaked]] == [False] * 3 + [
            True
        ]


# Secrets that come back.

BASIC = {"type": "basic", "username": "erp", "password": "correct horse"}
PAIR = base64.b64encode(b"erp:correct horse").decode()


@pytest.mark.parametrize(
    ("settings", "secret"),
    [
        ({"authentication": {"type": "token", "token": "tok-7Fq2-secret"}}, "tok-7Fq2-secret"),
        ({"authentication": BASIC}, PAIR),
        ({"authentication": BASIC}, "correct horse"),
        ({"authentication": BASIC}, "erp:correct horse"),
        ({"headers": [{"name": "X-Api-Key", "value": "key-91-secret", "secret": True}]}, "key-91-secret"),
        (
            {"headers": [{"name": "X-Api-Key", "value": 'with "quotes" inside', "secret": True}]},
            'with \\"quotes\\" inside',
        ),
    ],
)
async def test_a_secret_that_a_receiver_sends_back_is_masked_in_the_log(
    database: Database, tmp_path: Path, settings: dict[str, Any], secret: str
):
    echo = Answered(
        401,
        headers=f"HTTP/1.1 401 Unauthorized\r\nx-echo: {secret}\r\n".encode(),
        body=f'{{"you sent": "{secret}", "again": "{secret}!"}}'.encode(),
    )
    async with a_node(database, tmp_path, script=[echo]) as node:
        webhook = node.make_webhook(**settings).webhook["id"]
        event = (await node.publish()).event_id
        await node.rest()
        attempt = (await node.delivery(event, webhook))["attemptList"][0]
        assert attempt["responseBody"] == '{"you sent": "***", "again": "***!"}'
        assert attempt["responseHeaders"] == "HTTP/1.1 401 Unauthorized\r\nx-echo: ***\r\n"
        everything = json.dumps([dict(row) for row in node.rows("SELECT * FROM attempts")], ensure_ascii=False)
        assert secret not in everything


def as_hex(text: str) -> str:
    return text.encode().hex()


def as_upper_hex(text: str) -> str:
    return as_hex(text).upper()


def as_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize("written", [str, str.upper, str.swapcase, as_hex, as_upper_hex, as_base64, quote])
async def test_a_secret_is_masked_however_the_receiver_writes_it_down(
    database: Database, tmp_path: Path, written: Callable[[str], str]
):
    """S7"""
    secret = "tok/7Fq2+seCret"
    echo = Answered(401, body=f"you sent {written(secret)}, and {written(secret)[:-2]}".encode(), body_cut=True)
    async with a_node(database, tmp_path, script=[echo]) as node:
        webhook = node.make_webhook(authentication={"type": "token", "token": secret}).webhook["id"]
        event = (await node.publish()).event_id
        await node.rest()
        assert (await node.delivery(event, webhook))["attemptList"][0]["responseBody"] == "you sent ***, and ***"


async def test_the_beginning_of_a_secret_at_the_end_of_a_cut_response_is_masked_too(database: Database, tmp_path: Path):
    script = [Answered(500, body=b"you sent tok-7Fq2-sec", body_cut=True)]
    async with a_node(database, tmp_path, script=script) as node:
        webhook = node.make_webhook(authentication={"type": "token", "token": "tok-7Fq2-secret"}).webhook["id"]
        event = (await node.publish()).event_id
        await node.rest()
        assert (await node.delivery(event, webhook))["attemptList"][0]["responseBody"] == "you sent ***"


async def test_the_secret_that_was_sent_is_masked_though_another_is_set_by_now(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path, script=[Answered(500, body=b"got tok-old-secret")]) as node:
        webhook = node.make_webhook(authentication={"type": "token", "token": "tok-old-secret"}).webhook["id"]
        node.sender.hold()
        event = (await node.publish()).event_id
        await node.until(lambda: node.sender.held() == 1)
        await node.change_webhook(webhook, authentication={"type": "token", "token": "tok-new-secret"})
        node.sender.let_go()
        await node.rest()
        assert (await node.delivery(event, webhook))["attemptList"][0]["responseBody"] == "got ***"


async def test_what_is_no_secret_stays_readable(database: Database, tmp_path: Path):
    """A short password is not searched for: that would blot out half of each response, and tell where it stood."""
    script = [Answered(500, body=b"error 1234 in order 50163, company 654")]
    async with a_node(database, tmp_path, script=script) as node:
        webhook = node.make_webhook(
            authentication={"type": "basic", "username": "u", "password": "1234"},
            headers=[{"name": "X-Company-Id", "value": "company 654"}],
        ).webhook["id"]
        event = (await node.publish()).event_id
        await node.rest()
        shown = (await node.delivery(event, webhook))["attemptList"][0]
        assert shown["responseBody"] == "error 1234 in order 50163, company 654"


async def test_no_secret_stands_in_the_stored_request_or_in_the_words_for_a_failure(database: Database, tmp_path: Path):
    script = [Unanswered("tls_handshake", "while sending X-Auth-Token: tok-7Fq2-secret")]
    async with a_node(database, tmp_path, script=script) as node:
        made = node.make_webhook(
            authentication={"type": "token", "token": "tok-7Fq2-secret"},
            headers=[{"name": "X-Api-Key", "value": "key-91-secret", "secret": True}],
        )
        event = (await node.publish()).event_id
        await node.rest()
        [request] = node.sender.requests
        assert headers_of(request)["x-auth-token"] == "tok-7Fq2-secret"
        attempt = (await node.delivery(event, made.webhook["id"]))["attemptList"][0]
        assert attempt["detail"] == "while sending X-Auth-Token: ***"
        assert "X-Api-Key: ***" in attempt["requestHeaders"]
        for table in ("attempts", "webhooks", "webhook_versions", "deliveries", "events"):
            everything = str([dict(row) for row in node.rows(f"SELECT * FROM {table}")])
            for secret in ("tok-7Fq2-secret", "key-91-secret", str(made.signing_secret)):
                assert secret not in everything, table
        assert "secret" not in repr(node.index.state.webhooks[made.webhook["id"]]).replace("secret_", "").replace(
            "_secrets", ""
        )


@pytest.mark.parametrize("raw", [b"\x00\xff\xfe", b"\xed\xa0\x80", b"a\x00b" * 40_000, "å".encode() * 70_000, b""])
async def test_any_bytes_of_a_receiver_can_be_stored(database: Database, tmp_path: Path, raw: bytes):
    async with a_node(database, tmp_path, script=[Answered(500, headers=raw, body=raw)]) as node:
        webhook = node.make_webhook(retryPolicy={"name": "none"}).webhook["id"]
        event = (await node.publish()).event_id
        await node.rest()
        shown = await node.delivery(event, webhook)
        assert shown["status"] == "failed"
        assert len(shown["attemptList"][0]["responseBody"]) <= 65_536
