"""A state machine over a node and a model of it in a hundred lines: after each step the log must be what the model says.

The node is the real one on a real database, in this process, with a clock that moves when told and receivers that answer as told
(tests/support/node.py). The machine is hypothesis's: a walk that fails is printed as steps; tests/faults/walk.py lets it walk.
"""

import asyncio
import contextlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from dockbell.domain.delivery import Answered
from dockbell.domain.ids import EventIds
from dockbell.domain.request import OutgoingRequest
from dockbell.store import events
from dockbell.store.database import open_database
from dockbell.store.deliveries import rescue
from dockbell.testing.clock import START, ManualClock
from tests.support.node import FJORD, TEA, Node, a_node

SECOND = 1_000_000
STEPS_S = (5, 60, 600)
"""Waits of each webhook's retry policy; the model knows them by itself."""
LAST_AGE_S = 2 * sum(STEPS_S) + 3_600
MOST_WEBHOOKS = 4
Addresses = Callable[[], contextlib.AbstractContextManager[str]]
"""Gives each walk an empty database."""


# --- the model -----------------------------------------------------------------------------------------------------


@dataclass
class Duty:
    """A delivery as it should be."""

    status: str = "pending"
    attempts: int = 0
    failures: int = 0
    due: int = 0
    first: int | None = None


@dataclass
class Hook:
    owner: int
    url: str
    enabled: bool = True
    deleted: bool = False
    answers: int = 200


@dataclass
class Model:
    now: int = START
    hooks: dict[int, Hook] = field(default_factory=dict)
    duties: dict[tuple[int, int], Duty] = field(default_factory=dict)
    events: list[tuple[int, int]] = field(default_factory=list)
    """Each with its goods owner."""

    def wanting(self, owner: int) -> list[int]:
        return [w for w, hook in self.hooks.items() if hook.owner == owner and hook.enabled and not hook.deleted]

    def publish(self, event: int, owner: int) -> None:
        self.accept(event, owner)
        self.settle()

    def accept(self, event: int, owner: int) -> None:
        self.events.append((event, owner))
        for webhook in self.wanting(owner):
            self.duties[event, webhook] = Duty(due=self.now)

    def send_missed(self, webhook: int) -> None:
        hook = self.hooks[webhook]
        for event, owner in self.events:
            if owner == hook.owner and (event, webhook) not in self.duties:
                self.duties[event, webhook] = Duty("pending" if hook.enabled else "held", due=self.now)
        self.settle()

    def settle(self) -> None:
        """Attempt whatever is due, now and at once."""
        for (_, webhook), duty in self.duties.items():
            while duty.status == "pending" and duty.due <= self.now:
                self._attempt(self.hooks[webhook], duty)

    def _attempt(self, hook: Hook, duty: Duty) -> None:
        duty.attempts += 1
        duty.first = self.now if duty.first is None else duty.first
        if hook.answers == 200:
            duty.status = "delivered"
            return
        duty.failures += 1
        age_s = (self.now - duty.first) // SECOND
        wait_s = STEPS_S[duty.failures - 1] if duty.failures <= len(STEPS_S) else None
        if wait_s is None or age_s + wait_s > LAST_AGE_S:
            duty.status = "failed"
        else:
            duty.due = self.now + wait_s * SECOND

    def crash(self, under_way: list[tuple[int, int]]) -> None:
        """Attempts under way are written off, count as no failure, and are made again at once."""
        for key in under_way:
            duty = self.duties[key]
            duty.attempts += 1
            duty.first = self.now if duty.first is None else duty.first
            duty.due = self.now
        self.settle()

    def of(self, webhook: int, *statuses: str) -> list[Duty]:
        return [duty for (_, w), duty in self.duties.items() if w == webhook and duty.status in statuses]


# --- the machine ---------------------------------------------------------------------------------------------------


class Machine(RuleBasedStateMachine):
    address: Addresses
    steps = 0

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self._stack = contextlib.ExitStack()
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self._runner = self._stack.enter_context(asyncio.Runner())
        self._address = self._stack.enter_context(type(self).address())
        self._clock = ManualClock()
        self._database = open_database(self._address)
        self._start()
        for owner in (TEA, FJORD):
            self._make(owner)

    def teardown(self) -> None:
        self._stop()
        self._database.close()
        self._stack.close()

    # Steps.

    @rule(owner=st.sampled_from([TEA, FJORD]))
    def publish(self, owner: int) -> None:
        accepted = self._do(self.node.publish(goodsOwnerId=owner))
        self.model.publish(accepted.event_id, owner)
        self._agree()

    @rule(seconds=st.sampled_from([1, 5, 60, 600, 4_000]))
    def time_passes(self, seconds: int) -> None:
        self.model.now += seconds * SECOND
        self.model.settle()
        self._do(self.node.advance(seconds * SECOND))
        self._agree()

    @rule(choose=st.integers(0, 999), answers=st.sampled_from([200, 500]))
    def receiver_changes(self, choose: int, answers: int) -> None:
        self._hook(choose)[1].answers = answers

    @rule(choose=st.integers(0, 999))
    def switch(self, choose: int) -> None:
        webhook, hook = self._hook(choose)
        hook.enabled = not hook.enabled
        self._do(self.node.change_webhook(webhook, enabled=hook.enabled))
        for duty in self.model.of(webhook, "held" if hook.enabled else "pending"):
            duty.status, duty.due = ("pending", self.model.now) if hook.enabled else ("held", duty.due)
        self.model.settle()
        self._agree()

    @rule(choose=st.integers(0, 999))
    def move(self, choose: int) -> None:
        webhook, hook = self._hook(choose)
        hook.url = f"http://127.0.0.1:{20_000 + choose % 1_000}/hook"
        self._do(self.node.change_webhook(webhook, targetUrl=hook.url))
        hook.enabled = bool(
            self._do(self.node.webhook(webhook))["enabled"]
        )  # one that moves may ask for its secrets again
        self._agree()

    @precondition(lambda self: sum(not hook.deleted for hook in self.model.hooks.values()) > 1)
    @rule(choose=st.integers(0, 999))
    def delete(self, choose: int) -> None:
        webhook, hook = self._hook(choose)
        self._do(self.node.delete_webhook(webhook))
        hook.deleted, hook.enabled = True, False
        for duty in self.model.of(webhook, "pending", "held"):
            duty.status = "cancelled"
        self._agree()

    @precondition(lambda self: sum(not hook.deleted for hook in self.model.hooks.values()) < MOST_WEBHOOKS)
    @rule(owner=st.sampled_from([TEA, FJORD]))
    def make(self, owner: int) -> None:
        self._make(owner)

    @precondition(lambda self: self.model.duties)
    @rule(choose=st.integers(0, 999))
    def resend(self, choose: int) -> None:
        key, duty = self._duty(choose)
        hook = self.model.hooks[key[1]]
        if hook.deleted:
            return
        self._do(self.node.resend(*key))
        duty.status, duty.due = "pending" if hook.enabled else "held", self.model.now
        duty.failures, duty.first = 0, None
        self.model.settle()
        self._agree()

    @rule(choose=st.integers(0, 999))
    def send_missed(self, choose: int) -> None:
        webhook, _ = self._hook(choose)
        self._do(self.node.send_missed(webhook))
        self.model.send_missed(webhook)
        self._agree()

    @precondition(lambda self: self.model.duties)
    @rule(choose=st.integers(0, 999))
    def cancel(self, choose: int) -> None:
        key, duty = self._duty(choose)
        if duty.status not in ("pending", "held"):
            return
        self._do(self.node.cancel(*key))
        duty.status = "cancelled"
        self._agree()

    @rule(owner=st.sampled_from([TEA, FJORD]), hangs_up=st.sampled_from([True, False, False, False]))
    def crash_with_attempts_under_way(self, owner: int, hangs_up: bool) -> None:
        """With its connections to the database, or, as new ones cost more than the rest of a crash, mostly without."""
        wanting = self.model.wanting(owner)
        self.node.sender.hold()
        accepted = self._do(self.node.publish(goodsOwnerId=owner))
        self._do(self.node.until(lambda: self.node.sender.held() == len(wanting), what="attempts under way"))
        self._stop()
        if hangs_up:
            self._database.close()
            self._database = open_database(self._address)
        self._start()
        self.model.accept(accepted.event_id, owner)
        self.model.crash([(accepted.event_id, webhook) for webhook in wanting])
        self._agree()

    # What they are made of.

    def _do(self, work: Any) -> Any:
        # Not Runner.run: it prepares for Ctrl-C each time, which costs more than many a step.
        return self._runner.get_loop().run_until_complete(work)

    def _start(self) -> None:
        """A new node on the same database: what others left under way is its own to write off, as at a start."""
        self._opened = a_node(self._database, self._folder, clock=self._clock)

        async def begin() -> Node:
            node = await self._opened.__aenter__()
            node.sender._deliver = lambda batch: node.worker.outcomes(
                [(token, self._answer(token)) for token, _ in batch]
            )
            now = self._clock.now()
            await self._database.write(lambda tx: rescue(tx, now=now, leased_until=2**62))
            newest = await self._database.read(events.newest_id)
            node.publisher.use_ids(EventIds(0, newest=newest))
            return node

        self.node: Node = self._do(begin())

    def _stop(self) -> None:
        self._do(self._opened.__aexit__(None, None, None))

    def _answer(self, token: Any) -> Answered:
        return Answered(self.model.hooks[token[1]].answers)

    def _make(self, owner: int) -> None:
        url = "http://127.0.0.1:8999/hook"
        policy = {"name": "own", "stepsInSeconds": list(STEPS_S)}
        saved = self.node.make_webhook(goodsOwnerIds=[owner], targetUrl=url, retryPolicy=policy)
        self._do(self.node.index.refresh(self._database))
        self.model.hooks[int(saved.webhook["id"])] = Hook(owner, url)

    def _hook(self, choose: int) -> tuple[int, Hook]:
        living = [(webhook, hook) for webhook, hook in self.model.hooks.items() if not hook.deleted]
        return living[choose % len(living)]

    def _duty(self, choose: int) -> tuple[tuple[int, int], Duty]:
        return sorted(self.model.duties.items(), key=lambda one: one[0])[choose % len(self.model.duties)]

    def _agree(self) -> None:
        """The log is what the model says, and nobody sent to where a webhook no longer points."""
        type(self).steps += 1
        self._do(self.node.rest())
        rows = self.node.rows("SELECT event_id, webhook_id, status, attempts, failures, due_at FROM deliveries")
        found = {
            (row["event_id"], row["webhook_id"]): (
                row["status"],
                row["attempts"],
                row["due_at"] if row["status"] == "pending" else None,
            )
            for row in rows
        }
        wanted = {
            key: (duty.status, duty.attempts, duty.due if duty.status == "pending" else None)
            for key, duty in self.model.duties.items()
        }
        differing = {
            key: (found.get(key), wanted.get(key))
            for key in found.keys() | wanted.keys()
            if found.get(key) != wanted.get(key)
        }
        assert not differing, f"the node has, the model says: {differing}"
        for request in self.node.sender.requests:
            self._judge(request)
        self.node.sender.requests.clear()

    def _judge(self, request: OutgoingRequest) -> None:
        webhook, owner = request.pool
        hook = self.model.hooks[webhook]
        assert owner == hook.owner, f"goods of owner {owner} for {hook}"
        assert request.url.port == urlsplit(hook.url).port, f"sent to {request.url}, and the webhook is {hook}"
