"""R7: a delivery that nothing can be done with is parked for all to see, and everything else goes on."""

import asyncio
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from dockbell.actions.journal import CLOSINGS_A_COMMIT
from dockbell.actions.publish import Accepted
from dockbell.clock import MINUTE
from dockbell.delivery import attempt as attempt_module
from dockbell.delivery import worker as worker_module
from dockbell.domain.delivery import Done, NotSent, TryAgain, Unanswered, decide
from dockbell.domain.retry_policy import NAMED
from dockbell.errors import Unavailable
from dockbell.store import events
from dockbell.store.database import Database
from tests.support.node import Node, a_node, an_event


def poisoned(**fields: object) -> dict[str, object]:
    event = an_event(**fields)
    return {**event, "data": {"poison": 1, **event["data"]}}


async def published(node: Node, count: int, *, poison: int) -> list[int]:
    answers = await node.publish_many(*[poisoned() if n == poison else an_event() for n in range(count)])
    return [answer.event_id for answer in answers]  # type: ignore[union-attr]


async def until_parked(node: Node, event: int, webhook: int) -> dict[str, object]:
    for _ in range(10):
        if not await node.to_next_attempt():
            break
    return await node.delivery(event, webhook)


async def test_r7_a_request_that_cannot_be_built_is_parked_after_three_times_and_stops_no_one(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    build = attempt_module.request_for

    def request_for(job, state, now):
        if job.event.data.startswith('{"poison"'):
            raise KeyError("poison")
        return build(job, state, now)

    monkeypatch.setattr(worker_module, "request_for", request_for)
    async with a_node(database, tmp_path) as node:
        webhook = node.make_webhook(maxConcurrency=1, retryPolicy={"name": "none"}).webhook["id"]
        ids = await published(node, 5, poison=1)
        await node.rest()
        assert [await node.status(event, webhook) for event in ids] == ["delivered", "pending", *["delivered"] * 3]
        shown = await until_parked(node, ids[1], webhook)
        assert (shown["status"], shown["lastCode"], shown["attempts"]) == ("failed", "internal_error", 3)
        assert {attempt["detail"] for attempt in shown["attemptList"]} == {"'poison'"}  # type: ignore[attr-defined]
        event = (await node.publish()).event_id
        await node.rest()
        assert await node.status(event, webhook) == "delivered"


async def test_r7_an_outcome_that_cannot_be_decided_on_is_parked_after_three_times_and_stops_no_one(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    close = attempt_module.close_attempt

    def close_attempt(job, *given, **named):
        if job.event.data.startswith('{"poison"'):
            raise ValueError("a secret that came back")
        return close(job, *given, **named)

    monkeypatch.setattr(worker_module, "close_attempt", close_attempt)
    async with a_node(database, tmp_path) as node:
        webhook = node.make_webhook(maxConcurrency=2).webhook["id"]
        ids = await published(node, 5, poison=2)
        await node.rest()
        shown = await until_parked(node, ids[2], webhook)
        assert (shown["status"], shown["lastCode"], shown["attempts"]) == ("failed", "internal_error", 3)
        assert "a secret" not in str(shown)
        assert {await node.status(event, webhook) for event in ids} == {"delivered", "failed"}
        assert all(lane.places == lane.in_flight == 0 for lane in node.worker._lanes.values())


async def test_r7_an_outcome_that_the_store_refuses_stops_no_other_outcome_and_no_event(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """What became of the delivery is kept; only what the receiver sent is left out."""
    close = attempt_module.close_attempt

    def close_attempt(job, *given, **named):
        closing = close(job, *given, **named)
        if job.event.data.startswith('{"poison"'):
            return msgspec.structs.replace(closing, response_body="half a pair: \ud800")
        return closing

    monkeypatch.setattr(worker_module, "close_attempt", close_attempt)
    async with a_node(database, tmp_path) as node:
        webhook = node.make_webhook(maxConcurrency=64).webhook["id"]
        node.sender.hold()
        ids = await published(node, 40, poison=17)
        await node.until(lambda: node.sender.held() == 40)
        node.sender.let_go()
        done = "SELECT count(*) AS n FROM deliveries WHERE status = 'delivered'"
        await node.passing(lambda: node.rows(done)[0]["n"] == 40)
        await node.rest()
        assert len(node.sender.requests) == 40, "nothing was sent twice"
        shown = await node.delivery(ids[17], webhook)
        [attempt] = shown["attemptList"]
        assert (attempt["code"], attempt["statusCode"], attempt["responseBody"]) == ("delivered", 200, "")
        assert attempt["detail"].startswith("What came of this attempt could not be stored")
        event = (await node.publish()).event_id
        await node.rest()
        assert await node.status(event, webhook) == "delivered"


@pytest.mark.parametrize("ours", [NotSent("internal_error"), Unanswered("internal_error")])
@pytest.mark.parametrize("policy", ["none", "one-day", "standard"])
def test_r7_our_own_mistakes_are_tried_again_whatever_the_policy_and_three_times_at_most(ours, policy: str):
    for failures, decision in ((1, TryAgain(MINUTE)), (2, TryAgain(MINUTE)), (3, Done("failed")), (9, Done("failed"))):
        made = decide(ours, NAMED[policy], failures=failures, first_attempt_at=0, now=0, jitter=1.0)
        assert made == decision


async def test_r7_an_event_that_the_store_refuses_is_refused_alone(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    insert = events.insert

    def refusing(tx, rows):
        if any(row.data.startswith('{"poison"') for row in rows):
            raise ValueError("the store does not take this")
        return insert(tx, rows)

    monkeypatch.setattr(events, "insert", refusing)
    async with a_node(database, tmp_path) as node:
        webhook = node.make_webhook().webhook["id"]
        publishing = [node.publish_many(poisoned() if n == 7 else an_event()) for n in range(20)]
        answers = await asyncio.gather(*publishing, return_exceptions=True)
        assert [isinstance(answer, Unavailable) for answer in answers] == [n == 7 for n in range(20)]
        await node.rest()
        verdicts = [each for answer in answers if isinstance(answer, list) for each in answer]
        accepted = [each.event_id for each in verdicts if isinstance(each, Accepted)]
        assert {await node.status(event, webhook) for event in accepted} == {"delivered"}
        assert all(lane.places == lane.in_flight == 0 for lane in node.worker._lanes.values())


async def test_r7_while_it_is_looked_for_what_the_store_refuses_outcomes_and_events_go_apart(
    database: Database, tmp_path: Path
):
    """Together, a busy node would never find a bad event: its outcomes make each commit one of both."""
    async with a_node(database, tmp_path) as node:
        journal = node.journal
        journal._is_busy = True  # nothing is written but what is taken here

        def taken() -> tuple[int, int]:
            journal._requests, journal._closings = [SimpleNamespace(events=[1])] * 40, [SimpleNamespace()] * 40  # type: ignore[list-item]
            commit = journal._taken()
            counts = len(commit.requests), len(commit.closings)
            journal._commit, journal._requests, journal._closings, journal._queued = None, [], [], 0
            return counts

        assert taken() == (40, 40)
        journal._requests_a_commit = journal._closings_a_commit = 20
        assert taken() == (0, 20)
        journal._closings_a_commit = CLOSINGS_A_COMMIT
        assert taken() == (20, 0)
        journal._is_busy = False
