"""A webhook of which every attempt fails: who is told, when, and what becomes of it. Mails go to a real mail server."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiosmtpd.smtp import SMTP, AuthResult

from dockbell.actions import audit, doctor, statistics
from dockbell.clock import DAY, HOUR, MINUTE, SECOND, to_text
from dockbell.delivery.postman import Postman
from dockbell.domain.delivery import Answered
from dockbell.domain.failing import stage_of
from dockbell.domain.findings import Installation
from dockbell.domain.permissions import SYSTEM
from dockbell.egress import mail as egress
from dockbell.egress.mail import MailServer, NotMailed
from dockbell.store import webhook_hours
from dockbell.store.database import Database
from dockbell.store.webhook_hours import Health
from dockbell.testing.clock import ManualClock
from tests.support.node import Node, a_node, an_event

SENDER, INTEGRATOR = "dockbell@example.com", "integrator@example.com"


class Mailbox:
    """What a mail server took; `refusing` is what it answers instead, `silent`: nothing at all."""

    def __init__(self) -> None:
        self.port = 0
        self.mails: list[EmailMessage] = []
        self.refusing: str | None = None
        self.silent = False
        self.goodbye = "221 Bye"

    async def handle_QUIT(self, *_: Any) -> str:
        return self.goodbye

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.silent:
            await asyncio.Event().wait()
        if self.refusing is not None:
            return self.refusing
        message = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        assert [message["To"]] == envelope.rcpt_tos
        self.mails.append(message)
        return "250 OK"


@asynccontextmanager
async def a_mail_server(**options: Any) -> AsyncIterator[Mailbox]:
    box = Mailbox()
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(box, hostname="localhost", **options), "127.0.0.1", 0
    )
    box.port = server.sockets[0].getsockname()[1]
    try:
        yield box
    finally:
        server.close()
        await server.wait_closed()


class Trickle(asyncio.Protocol):
    """A mail server that never comes to the end of its greeting, but says another line of it all the time."""

    def __init__(self) -> None:
        self.port = 0
        self.called, self.left = asyncio.Event(), asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.called.set()
        self.go_on()

    def go_on(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(b"220-one moment\r\n")
            asyncio.get_running_loop().call_later(0.05, self.go_on)

    def connection_lost(self, exc: Exception | None) -> None:
        self.left.set()


@asynccontextmanager
async def a_trickling_mail_server(context: ssl.SSLContext | None = None) -> AsyncIterator[Trickle]:
    trickle = Trickle()
    server = await asyncio.get_running_loop().create_server(lambda: trickle, "127.0.0.1", 0, ssl=context)
    trickle.port = server.sockets[0].getsockname()[1]
    try:
        yield trickle
    finally:
        if trickle.called.is_set():
            trickle.transport.abort()
        server.close()
        await server.wait_closed()


def plain(box: Mailbox | Trickle) -> MailServer:
    return MailServer("127.0.0.1", box.port, "none", SENDER)


class House:
    """A node without a worker, whose webhooks fail as the test says."""

    def __init__(self, node: Node, clock: ManualClock, server: MailServer | None, days: float = 5.0) -> None:
        self.node, self.clock = node, clock
        self.postman = Postman(node.database, node.webhooks, clock, server, disable_after_days=days)

    async def fails(self, webhook: int, *, since: int, delivered_at: int | None = None) -> None:
        now = self.clock.now()
        await self.node.database.write(
            lambda tx: webhook_hours._put_health(tx, {webhook: Health(now, delivered_at, since)})
        )

    async def doctors_codes(self) -> set[str]:
        return {finding.code for finding in await doctor.findings(self.node.database, Installation(), self.clock)}

    async def hours(self, count: int, webhook: int, *, since: int) -> None:
        """Let hours pass in which each attempt fails; the postman looks each quarter of an hour."""
        for _ in range(4 * count):
            self.clock.advance(15 * MINUTE)
            await self.fails(webhook, since=since)
            await self.postman.round()


@asynccontextmanager
async def a_house(
    database: Database, folder: Path, server: MailServer | None, *, days: float = 5.0
) -> AsyncIterator[House]:
    clock = ManualClock()
    async with a_node(database, folder, clock=clock, working=False) as node:
        yield House(node, clock, server, days)


async def test_u14_people_are_told_when_failing_begins_before_it_ends_and_at_the_end(
    database: Database, tmp_path: Path
):
    async with a_mail_server() as box, a_house(database, tmp_path, plain(box)) as house:
        webhook = house.node.make_webhook(name="ERP of Tea", email=INTEGRATOR).webhook["id"]
        since = house.clock.now()
        await house.hours(5 * 24 + 3, webhook, since=since)
        subjects = [mail["Subject"] for mail in box.mails]
        assert subjects == [
            "Dockbell: webhook “ERP of Tea” fails",
            "Dockbell: webhook “ERP of Tea” will be disabled",
            "Dockbell: webhook “ERP of Tea” was disabled",
        ]
        for mail in box.mails:
            assert (mail["From"], mail["To"], mail["Auto-Submitted"]) == (SENDER, INTEGRATOR, "auto-generated")
            assert to_text(since)[:10] in mail.get_content() and f"number {webhook}" in mail.get_content()
        shown = await house.node.webhook(webhook)
        assert not shown["enabled"]
        assert shown["disabledReason"].startswith("Every attempt failed for 5 days.")
        [row] = await database.read(lambda tx: audit.page(tx, SYSTEM, action="webhook.disabled"))
        assert (row["actor"], row["object"]) == (SYSTEM.id, f"webhook/{webhook}")
        assert row["after"]["disabledReason"] == shown["disabledReason"]


async def made(node: Node, attempts: int) -> None:
    await node.until(lambda: len(node.sender.requests) >= attempts)


async def test_u14_ten_thousand_failures_give_one_mail(database: Database, tmp_path: Path):
    async with a_mail_server() as box, a_node(database, tmp_path, clock=(clock := ManualClock())) as node:
        webhook = node.make_webhook(email=INTEGRATOR, maxConcurrency=64, retryPolicy={"name": "none"}).webhook["id"]
        node.sender.answer_with(Answered(400))
        postman = Postman(database, node.webhooks, clock, plain(box), disable_after_days=5)
        # No breaker in the way: it would make it a matter of days.
        node.worker._gates.note = lambda webhook, outcome: False  # type: ignore[method-assign]
        for _ in range(20):
            await node.publish_many(*[an_event() for _ in range(500)])
        for attempts in range(1_000, 10_001, 1_000):  # each thousand has the patience of one wait
            await made(node, attempts)
        await node.rest()
        assert [row["n"] for row in node.rows("SELECT count(*) AS n FROM deliveries WHERE status = 'failed'")] == [
            10_000
        ]
        for _ in range(8):  # within the hour
            await statistics.roll_up(database, now=clock.now())
            await postman.round()
            await node.napping()
            clock.advance(7 * MINUTE)
        [mail] = box.mails
        assert "10,000 so far" in mail.get_content()
        assert (await node.webhook(webhook))["enabled"]


async def test_u14_there_is_at_most_one_mail_an_hour_however_often_it_comes_and_goes(
    database: Database, tmp_path: Path
):
    async with a_mail_server() as box, a_house(database, tmp_path, plain(box)) as house:
        webhook = house.node.make_webhook(email=INTEGRATOR).webhook["id"]
        for _ in range(36):  # six hours: well for a moment every ten minutes, and then failing again
            since = house.clock.now() - 20 * MINUTE
            await house.fails(webhook, since=since, delivered_at=since - SECOND)
            await house.postman.round()
            house.clock.advance(10 * MINUTE)
        assert 5 <= len(box.mails) <= 6


async def test_u14_a_disabled_webhook_holds_what_waits_and_goes_on_when_it_is_enabled(
    database: Database, tmp_path: Path
):
    async with a_house(database, tmp_path, None) as house:
        node = house.node
        webhook = node.make_webhook().webhook["id"]
        await node.worker.stop()
        event = (await node.publish()).event_id
        since = house.clock.now()
        await house.hours(5 * 24 + 1, webhook, since=since)
        assert await node.status(event, webhook) == "held"
        await node.change_webhook(webhook, enabled=True)
        assert await node.status(event, webhook) == "pending"
        shown = await node.webhook(webhook)
        assert (shown["enabled"], shown["disabledReason"]) == (True, None)
        house.clock.advance(HOUR)
        await house.postman.round()
        assert (await node.webhook(webhook))["enabled"], "what was before it was enabled counts no more"


async def test_u14_nobody_is_told_and_nothing_disabled_of_a_webhook_that_delivers_now_and_then(
    database: Database, tmp_path: Path
):
    async with a_mail_server() as box, a_house(database, tmp_path, plain(box)) as house:
        webhook = house.node.make_webhook(email=INTEGRATOR).webhook["id"]
        for _ in range(6 * 24):
            house.clock.advance(HOUR)
            since = house.clock.now() - 10 * MINUTE
            await house.fails(webhook, since=since, delivered_at=since - SECOND)
            await house.postman.round()
        assert box.mails == []
        assert (await house.node.webhook(webhook))["enabled"]


async def test_u14_with_nought_days_nothing_is_ever_disabled(database: Database, tmp_path: Path):
    async with a_mail_server() as box, a_house(database, tmp_path, plain(box), days=0) as house:
        webhook = house.node.make_webhook(email=INTEGRATOR).webhook["id"]
        await house.hours(10 * 24, webhook, since=house.clock.now())
        assert len(box.mails) == 1
        assert (await house.node.webhook(webhook))["enabled"]


async def test_u14_two_nodes_that_look_at_once_send_one_mail(database: Database, tmp_path: Path):
    async with a_mail_server() as box, a_house(database, tmp_path, plain(box)) as house:
        webhook = house.node.make_webhook(email=INTEGRATOR).webhook["id"]
        others = [
            Postman(database, house.node.webhooks, house.clock, plain(box), disable_after_days=5) for _ in range(3)
        ]
        await house.fails(webhook, since=house.clock.now() - HOUR)
        await asyncio.gather(*(postman.round() for postman in [house.postman, *others]))
        await asyncio.gather(*(postman.round() for postman in [house.postman, *others]))
        assert len(box.mails) == 1


async def test_u14_a_mail_waits_for_a_server_that_is_away_and_is_given_up_where_it_is_refused_for_good(
    database: Database, tmp_path: Path
):
    async with a_mail_server() as box, a_house(database, tmp_path, plain(box)) as house:
        webhook = house.node.make_webhook(email=INTEGRATOR).webhook["id"]
        box.refusing = "451 come back later"
        await house.fails(webhook, since=house.clock.now() - HOUR)
        for _ in range(3):
            await house.postman.round()
        assert [row["tries"] for row in house.node.rows("SELECT tries FROM mails")] == [1]  # not before a minute
        assert "mail_not_sent" in await house.doctors_codes()
        box.refusing = None
        house.clock.advance(MINUTE)
        await house.postman.round()
        assert len(box.mails) == 1
        assert house.node.rows("SELECT 1 AS one FROM mails") == []
        assert "mail_not_sent" not in await house.doctors_codes()
        box.refusing = "550 no such user"
        await house.fails(webhook, since=house.clock.now() - 4 * DAY)
        house.clock.advance(2 * HOUR)
        await house.postman.round()
        house.clock.advance(2 * HOUR)
        await house.postman.round()
        assert house.node.rows("SELECT 1 AS one FROM mails") == []
        assert len(box.mails) == 1


async def test_u14_a_name_cannot_add_a_header_or_a_recipient(database: Database, tmp_path: Path):
    async with a_mail_server() as box, a_house(database, tmp_path, plain(box)) as house:
        names = ["Ärende “ERP” – 倉庫", "x" * 100, "a, b@example.com <c@example.com>", "=?utf-8?q?hidden?="]
        names.append("a =?utf-8?q?=0D=0AContent-Type:_text/html=0D=0A=0D=0A<b>pay</b>?= b")
        for name in names:
            webhook = house.node.make_webhook(name=name, email=INTEGRATOR).webhook["id"]
            await house.fails(webhook, since=house.clock.now() - HOUR)
        await house.postman.round()
        assert len(box.mails) == len(names)
        for mail in box.mails:
            assert mail["To"] == INTEGRATOR and mail["Bcc"] is None and mail["Cc"] is None
            assert len(mail.keys()) == len(set(mail.keys()))
            assert (mail["Auto-Submitted"], mail.get_content_type()) == ("auto-generated", "text/plain")
        server = plain(box)
        with pytest.raises(NotMailed) as refused:
            await asyncio.to_thread(server.send, recipient=INTEGRATOR, subject="a\r\nBcc: b@example.com", body="")
        assert refused.value.for_good
        assert len(box.mails) == len(names)


async def test_u14_the_password_goes_to_a_server_whose_certificate_fits_and_to_no_other(tmp_path: Path):
    ca = trustme.CA()
    ca_file = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(str(ca_file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    told: list[bytes] = []

    def authenticator(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        told.append(data.password)
        return AuthResult(success=data.password == b"s3cret")

    def server(box: Mailbox, **fields: Any) -> MailServer:
        given = {"username": "dockbell", "password": "s3cret", "ca_file": str(ca_file), **fields}
        return MailServer("127.0.0.1", box.port, "starttls", SENDER, **given)

    async with a_mail_server(tls_context=context, authenticator=authenticator, auth_required=True) as box:
        post: dict[str, Any] = {"recipient": INTEGRATOR, "subject": "Hello", "body": "Hello"}
        await asyncio.to_thread(server(box).send, **post)
        assert [mail["Subject"] for mail in box.mails] == ["Hello"]
        with pytest.raises(NotMailed, match="certificate"):
            await asyncio.to_thread(server(box, ca_file=None).send, **post)
        assert told == [b"s3cret"]
        with pytest.raises(NotMailed) as refused:
            await asyncio.to_thread(server(box, password="wrong").send, **post)
        assert "wrong" not in str(refused.value) and not refused.value.for_good
    async with a_mail_server() as box:
        with pytest.raises(NotMailed):  # a server without STARTTLS gets nothing
            await asyncio.to_thread(server(box).send, **post)
        assert box.mails == []


async def test_a_mail_server_that_trickles_keeps_the_postman_for_the_deadline_and_no_longer(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(egress, "DEADLINE_S", 0.3)
    async with a_trickling_mail_server() as trickle, a_house(database, tmp_path, plain(trickle)) as house:
        webhook = house.node.make_webhook(email=INTEGRATOR).webhook["id"]
        await house.fails(webhook, since=house.clock.now() - HOUR)
        async with asyncio.timeout(8):
            await house.postman.round()
            await trickle.left.wait()
        [waiting] = house.node.rows("SELECT tries, due_at FROM mails")
        assert (waiting["tries"], waiting["due_at"]) == (1, house.clock.now() + MINUTE)


async def test_a_mail_that_was_taken_is_not_sent_again_for_a_bad_goodbye(database: Database, tmp_path: Path):
    async with a_mail_server() as box, a_house(database, tmp_path, plain(box)) as house:
        box.goodbye = "421 Too busy"
        webhook = house.node.make_webhook(email=INTEGRATOR).webhook["id"]
        await house.fails(webhook, since=house.clock.now() - HOUR)
        await house.postman.round()
        assert len(box.mails) == 1
        assert house.node.rows("SELECT id FROM mails") == []


async def test_a_stop_ends_the_conversation_with_a_mail_server_that_trickles(database: Database, tmp_path: Path):
    async with a_trickling_mail_server() as trickle, a_house(database, tmp_path, plain(trickle)) as house:
        webhook = house.node.make_webhook(email=INTEGRATOR).webhook["id"]
        await house.fails(webhook, since=house.clock.now() - HOUR)
        running = asyncio.create_task(house.postman.run())
        async with asyncio.timeout(8):
            await trickle.called.wait()
            running.cancel()
            await asyncio.wait({running})
            await trickle.left.wait()
        assert running.cancelled()


@pytest.mark.parametrize("security", ["tls", "starttls"])
async def test_the_deadline_ends_a_conversation_in_tls_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, security: egress.Security
):
    monkeypatch.setattr(egress, "DEADLINE_S", 1.0)
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    begun = a_trickling_mail_server(context) if security == "tls" else a_mail_server(tls_context=context)
    async with begun as server:
        if isinstance(server, Mailbox):
            server.silent = True
        mails = MailServer("127.0.0.1", server.port, security, SENDER, ca_file=str(tmp_path / "ca.pem"))
        async with asyncio.timeout(8):
            with pytest.raises(NotMailed, match="conversation was ended") as refused:
                await asyncio.to_thread(mails.send, recipient=INTEGRATOR, subject="Hello", body="Hello")
        assert not refused.value.for_good


@pytest.mark.parametrize(
    ("failed_for", "idle_for", "stage"),
    [
        (0, 14 * MINUTE, None),
        (0, 15 * MINUTE, "began"),
        (0, 30 * DAY, "began"),  # one failure long ago, and nothing since
        (4 * DAY - 1, 0, "began"),
        (4 * DAY, 0, "warning"),
        (5 * DAY - 1, 30 * DAY, "warning"),
        (5 * DAY, 0, "disabled"),
    ],
)
def test_u14_only_attempts_count_and_not_time_without_any(failed_for: int, idle_for: int, stage: str | None):
    now = ManualClock().now()
    tried_at = now - idle_for
    assert stage_of(tried_at - failed_for, tried_at, now=now, disable_after_days=5) == stage
