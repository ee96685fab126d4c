"""When a delivery is tried again, and when not: days pass in milliseconds."""

from pathlib import Path
from typing import Any

import pytest

from dockbell.clock import DAY, HOUR, MINUTE, SECOND
from dockbell.domain.delivery import Answered, NotSent, Outcome, Unanswered
from dockbell.domain.request import OutgoingRequest
from dockbell.store.database import Database
from dockbell.testing.clock import ManualClock
from tests.support.node import Node, a_node, an_event

ONE_DAY = [0, 1, 6, 21, 51, *range(171, 1372, 120)]


def headers_of(request: OutgoingRequest) -> dict[str, str]:
    lines = [line if isinstance(line, str) else line.decode() for line in request.headers]
    return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


async def attempts_in_minutes(node: Node, event_id: int, webhook_id: int, *, most: int = 30) -> list[float]:
    """Lets time pass until the delivery is at rest for good; when each attempt began, from the first."""
    for _ in range(most):
        if not await node.to_next_attempt():
            break
    else:
        raise AssertionError(f"more than {most} attempts")
    moments = [row["started_at"] for row in node.rows("SELECT started_at FROM attempts ORDER BY attempt_no")]
    assert len(moments) == len((await node.delivery(event_id, webhook_id))["attemptList"])
    return [(moment - moments[0]) / MINUTE for moment in moments]


async def test_a_receiver_that_is_down_for_a_day_gets_sixteen_attempts_and_then_it_is_over(
    database: Database, tmp_path: Path
):
    async with a_node(database, tmp_path, script=[Unanswered("connect_refused", "Connection refused")]) as node:
        webhook = node.make_webhook(retryPolicy={"name": "one-day"}).webhook["id"]
        event = (await node.publish(attributes={"transporter": "DHL"})).event_id
        assert await attempts_in_minutes(node, event, webhook) == ONE_DAY
        assert len(ONE_DAY) == 16
        sent = [headers_of(request) for request in node.sender.requests]
        assert {one["webhook-id"] for one in sent} == {f"{event}-{webhook}"}
        assert len({request.body for request in node.sender.requests}) == 1
        assert len({one["webhook-timestamp"] for one in sent}) == 16
        assert len({one["webhook-signature"] for one in sent}) == 16
        shown = await node.delivery(event, webhook)
        assert (shown["status"], shown["lastCode"], shown["attempts"]) == ("failed", "connect_refused", 16)
        assert shown["attemptList"][0]["nextAttemptAt"] == shown["attemptList"][1]["startedAt"]
        assert shown["attemptList"][-1]["nextAttemptAt"] is None


async def test_a_receiver_that_comes_back_gets_the_event_once_more_and_no_more(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path, script=[Answered(500), Answered(503), Answered(200)]) as node:
        webhook = node.make_webhook(retryPolicy={"name": "one-day"}).webhook["id"]
        event = (await node.publish()).event_id
        assert await attempts_in_minutes(node, event, webhook) == [0, 1, 6]
        shown = await node.delivery(event, webhook)
        assert shown["status"] == "delivered"
        assert [attempt["code"] for attempt in shown["attemptList"]] == ["http_500", "http_503", "delivered"]


@pytest.mark.parametrize(
    ("policy", "minutes"),
    [
        ({"name": "none"}, [0]),
        ({"name": "standard"}, [0, 5 / 60, 5 + 5 / 60, 35 + 5 / 60, 155 + 5 / 60, 455 + 5 / 60, 1055 + 5 / 60,
                                1895 + 5 / 60, 3095 + 5 / 60, 4535 + 5 / 60]),
        ({"name": "own", "stepsInSeconds": [60, 120, 60]}, [0, 1, 3, 4]),
    ],
    ids=["none", "standard", "own"],
)  # fmt: skip
async def test_each_policy_keeps_its_waits(
    database: Database, tmp_path: Path, policy: dict[str, Any], minutes: list[float]
):
    async with a_node(database, tmp_path, script=[Answered(500)]) as node:
        webhook = node.make_webhook(retryPolicy=policy).webhook["id"]
        event = (await node.publish()).event_id
        assert await attempts_in_minutes(node, event, webhook) == pytest.approx(minutes)
        assert await node.status(event, webhook) == "failed"


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_any_2xx_is_a_delivery(database: Database, tmp_path: Path, status: int):
    async with a_node(database, tmp_path, script=[Answered(status)]) as node:
        webhook = node.make_webhook().webhook["id"]
        event = (await node.publish()).event_id
        await node.rest()
        shown = await node.delivery(event, webhook)
        assert (shown["status"], shown["attemptList"][0]["statusCode"]) == ("delivered", status)
        assert not await node.to_next_attempt()


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (Answered(301, retry_after=None), "http_redirect"),
        (Answered(400), "http_400"),
        (Answered(404), "http_404"),
        (Answered(500), "http_500"),
        (Unanswered("total_timeout"), "total_timeout"),
    ],
)
async def test_anything_else_is_tried_again(database: Database, tmp_path: Path, outcome: Outcome, code: str):
    async with a_node(database, tmp_path, script=[outcome, Answered(200)]) as node:
        webhook = node.make_webhook().webhook["id"]
        event = (await node.publish()).event_id
        await node.rest()
        shown = await node.delivery(event, webhook)
        assert (shown["status"], shown["lastCode"]) == ("pending", code)
        assert await node.to_next_attempt()
        assert await node.status(event, webhook) == "delivered"


@pytest.mark.parametrize(
    ("status", "header", "wait"),
    [
        (429, "600", 10 * MINUTE),
        (503, "600", 10 * MINUTE),
        (502, "600", 10 * MINUTE),
        (504, "600", 10 * MINUTE),
        (429, "5", MINUTE),  # sooner than the policy's own wait: the policy stays
        (429, "999999", 2 * HOUR),  # nobody may ask for more than two hours
        (429, "tomorrow", MINUTE),
        (429, "Tue, 24 Nov 2026 06:20:00 GMT", 20 * MINUTE),
        (500, "600", MINUTE),  # only those that ask for patience are heeded
    ],
)
async def test_a_receiver_that_asks_for_patience_gets_it(
    database: Database, tmp_path: Path, status: int, header: str, wait: int
):
    async with a_node(database, tmp_path, script=[Answered(status, retry_after=header), Answered(200)]) as node:
        node.make_webhook(retryPolicy={"name": "one-day"})
        began = node.clock.now()
        await node.publish()
        await node.rest()
        [row] = node.rows("SELECT due_at FROM deliveries")
        assert row["due_at"] - began == wait


async def test_410_switches_the_webhook_off_and_holds_what_waits(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path, script=[Answered(500), Answered(410)]) as node:
        webhook = node.make_webhook().webhook["id"]
        waiting = (await node.publish()).event_id
        await node.rest()
        gone = (await node.publish()).event_id
        await node.rest()
        assert await node.status(gone, webhook) == "failed"
        assert await node.status(waiting, webhook) == "held"
        shown = await node.webhook(webhook)
        assert shown["enabled"] is False
        assert "410" in shown["disabledReason"]
        await node.publish()
        await node.advance(3 * HOUR)
        assert len(node.sender.requests) == 2


async def test_410_from_where_a_webhook_pointed_before_leaves_it_on(database: Database, tmp_path: Path):
    """The answer was on its way when somebody moved the webhook, perhaps because of others like it."""
    async with a_node(database, tmp_path, script=[Answered(410), Answered(200)]) as node:
        webhook = node.make_webhook().webhook["id"]
        node.sender.hold()
        gone = (await node.publish()).event_id
        await node.until(lambda: node.sender.held() == 1)
        await node.change_webhook(webhook, targetUrl="http://127.0.0.1:8999/moved")
        node.sender.let_go()
        await node.rest()
        assert await node.status(gone, webhook) == "failed"
        shown = await node.webhook(webhook)
        assert (shown["enabled"], shown["disabledReason"]) == (True, None)
        moved = (await node.publish()).event_id
        await node.rest()
        assert await node.status(moved, webhook) == "delivered"


async def test_what_was_never_sent_is_not_tried_again(database: Database, tmp_path: Path):
    """Nobody mends this by waiting, and it must not go out late when the goods owner comes back for another reason."""
    async with a_node(database, tmp_path, script=[NotSent("goods_owner_removed", "of another")]) as node:
        webhook = node.make_webhook().webhook["id"]
        event = (await node.publish()).event_id
        await node.rest()
        shown = await node.delivery(event, webhook)
        assert (shown["status"], shown["lastCode"], shown["attempts"]) == ("failed", "goods_owner_removed", 1)
        assert shown["attemptList"][0]["detail"] == "of another"
        assert not await node.to_next_attempt()


async def test_a_name_that_meant_an_address_inside_for_a_while_gets_what_came_meanwhile(
    database: Database, tmp_path: Path
):
    denied = NotSent("egress_denied_address", "10.0.0.5 is a private address")
    async with a_node(database, tmp_path, script=[denied, denied, Answered(200)]) as node:
        webhook = node.make_webhook().webhook["id"]
        event = (await node.publish()).event_id
        await node.rest()
        for _ in range(2):
            assert await node.to_next_attempt()
        shown = await node.delivery(event, webhook)
        codes = [attempt["code"] for attempt in shown["attemptList"]]
        assert (shown["status"], codes) == (
            "delivered",
            ["egress_denied_address", "egress_denied_address", "delivered"],
        )


async def test_an_attempt_that_was_broken_off_is_made_again_even_without_retries(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path, script=[Unanswered("interrupted"), Answered(500)]) as node:
        webhook = node.make_webhook(retryPolicy={"name": "none"}).webhook["id"]
        event = (await node.publish()).event_id
        await node.rest()
        shown = await node.delivery(event, webhook)
        assert [attempt["code"] for attempt in shown["attemptList"]] == ["interrupted", "http_500"]
        assert shown["status"] == "failed"


async def test_retries_of_many_deliveries_are_spread_but_never_early(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path, script=[Answered(500)]) as node:
        node.worker._jitter = iter([0.0, 0.5, 1.0, 0.25]).__next__
        node.make_webhook()
        began = node.clock.now()
        await node.publish_many(*[an_event() for _ in range(4)])
        await node.rest()
        due = sorted(row["due_at"] - began for row in node.rows("SELECT due_at FROM deliveries"))
        assert due == [60 * SECOND, int(61.5 * SECOND), 63 * SECOND, 66 * SECOND]


async def test_r9_an_attempt_under_way_while_the_clock_is_set_a_day_ahead_is_tried_again(
    database: Database, tmp_path: Path
):
    async with a_node(database, tmp_path, clock=(clock := ManualClock())) as node:
        webhook = node.make_webhook(retryPolicy={"name": "one-day"}).webhook["id"]
        node.sender.answer_with(Answered(500))
        node.sender.hold()
        event = (await node.publish()).event_id
        await node.until(lambda: node.sender.held() == 1)
        clock.jump(2 * DAY)
        node.sender.let_go()
        await node.rest()
        shown = await node.delivery(event, webhook)
        assert (shown["status"], [attempt["code"] for attempt in shown["attemptList"]]) == ("pending", ["http_500"])
