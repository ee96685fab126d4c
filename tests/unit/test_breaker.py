"""How an ailing receiver is tried: when it is left alone, how it is probed, and how it comes back."""

import itertools
import math
import random
from collections import Counter, deque
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockbell.delivery.gates import Gates
from dockbell.domain.breaker import NO_LIMIT, Breaker
from dockbell.domain.delivery import Answered, NotSent, Outcome, Unanswered

GOOD: Outcome = Answered(200)
DOWN: Outcome = Unanswered("connect_refused")
BUSY: Outcome = Answered(429)


def after(*outcomes: Outcome, cap: int = 8) -> Breaker:
    """One attempt a millisecond."""
    breaker = Breaker(0.0)
    for number, outcome in enumerate(outcomes):
        breaker.note(outcome, number / 1000, cap=cap)
    return breaker


def probe(breaker: Breaker, outcome: Outcome, *, cap: int = 8) -> float:
    """Make the next attempt as early as it may be; when that was."""
    held = breaker.held()
    assert held is not None and held.probe_at is not None
    at = held.probe_at
    assert breaker.room(math.nextafter(at, 0), 0) == 0
    assert (breaker.room(at, 0), breaker.room(at, 1)) == (1, 0)
    breaker.take()
    breaker.note(outcome, at, cap=cap)
    return at


def test_r5_ten_failures_in_a_row_open_it_for_half_a_minute_and_nine_do_not():
    assert after(*[DOWN] * 9).held() is None
    assert after(*[DOWN] * 9, GOOD, *[DOWN] * 9).held() is None
    breaker = after(*[DOWN] * 10)
    held = breaker.held()
    assert held is not None
    assert (held.state, held.reason, held.code) == ("open", "in a row", "connect_refused")
    assert held.probe_at == pytest.approx(30.009)
    assert breaker.room(30, 0) == 0


def test_r5_half_of_the_last_fifty_open_it_though_never_ten_in_a_row():
    assert after(*[DOWN, GOOD, GOOD] * 20).held() is None
    assert after(*[DOWN, GOOD] * 24).held() is None
    held = after(*[DOWN, GOOD] * 25, DOWN).held()
    assert held is not None and held.reason == "half"


def test_r5_what_a_living_receiver_refuses_counts_in_the_row_and_not_in_the_half():
    assert after(*[Answered(422), GOOD] * 50).held() is None
    assert after(*[Answered(404)] * 10).held() is not None


@pytest.mark.parametrize(
    "ours", [NotSent("egress_denied_address"), Unanswered("interrupted"), Unanswered("internal_error")]
)
def test_r5_what_we_did_not_send_says_nothing_about_the_receiver(ours: Outcome):
    assert after(*[ours] * 100).held() is None


def test_r5_each_probe_that_fails_doubles_the_wait_up_to_ten_minutes():
    breaker = after(*[DOWN] * 10)
    probes = [probe(breaker, DOWN) for _ in range(8)]
    waits = [round(later - earlier) for earlier, later in itertools.pairwise(probes)]
    assert waits == [60, 120, 240, 480, 600, 600, 600]
    held = breaker.held()
    assert held is not None and held.since == pytest.approx(0.009)  # it is one illness


def test_r6_a_receiver_that_is_back_gets_one_then_two_then_four_up_to_its_cap():
    breaker = after(*[DOWN] * 10, cap=8)
    at = probe(breaker, GOOD, cap=8)
    rooms = []
    for _ in range(20):
        held = breaker.held()
        if held is None:
            break
        assert held.state == "ramping"
        rooms.append(breaker.room(at, 0))
        for _ in range(rooms[-1]):
            breaker.note(GOOD, at, cap=8)
    assert rooms == [2, 4]
    assert breaker.room(at, 100) == NO_LIMIT


def test_r6_a_failure_while_it_comes_back_opens_it_again_for_longer():
    breaker = after(*[DOWN] * 10)
    at = probe(breaker, GOOD)
    breaker.note(DOWN, at + 1, cap=8)
    held = breaker.held()
    assert held is not None and held.state == "ramping", "one of two"
    breaker.note(DOWN, at + 1, cap=8)
    held = breaker.held()
    assert held is not None and held.state == "open" and held.probe_at == pytest.approx(at + 1 + 60)


def test_r6_five_failures_in_a_row_open_it_again_however_many_may_be_under_way():
    breaker = after(*[DOWN] * 10, cap=64)
    at = probe(breaker, GOOD, cap=64)
    for _ in range(2 + 4 + 8):
        breaker.note(GOOD, at, cap=64)
    for _ in range(5):
        held = breaker.held()
        assert held is not None and held.state == "ramping"
        breaker.note(DOWN, at, cap=64)
    held = breaker.held()
    assert held is not None and held.state == "open"


def test_r6_the_next_illness_begins_with_half_a_minute_again():
    breaker = after(*[DOWN] * 10, cap=1)
    at = probe(breaker, GOOD, cap=1)
    assert breaker.held() is None
    for _ in range(10):
        breaker.note(DOWN, at, cap=1)
    held = breaker.held()
    assert held is not None and held.probe_at == pytest.approx(at + 30)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_r6_who_asks_for_patience_gets_half_the_rate_once_a_second_at_most(status: int):
    breaker = Breaker(0.0)
    for number in range(100):  # a hundred a second
        breaker.note(GOOD, number / 100, cap=64)
    for _ in range(5):
        breaker.note(Answered(status), 1.0, cap=64)
    began = sum(_begin(breaker, 1.0 + tick / 100) for tick in range(1, 101))
    assert 45 <= began <= 55
    held = breaker.held()
    assert held is not None and (held.state, held.probe_at) == ("slowed", None)


def test_r6_what_a_slowed_receiver_was_not_sent_meanwhile_does_not_come_at_once():
    breaker = Breaker(0.0)
    for number in range(100):
        breaker.note(GOOD, number / 100, cap=64)
    breaker.note(BUSY, 1.0, cap=64)  # fifty a second from now on
    assert breaker.next_in_s(1.0) == pytest.approx(0.02)
    assert 5 <= breaker.room(2.0, 0) <= 6
    assert breaker.next_in_s(2.0) == math.inf


def _begin(breaker: Breaker, now: float) -> int:
    if not breaker.room(now, 0):
        return 0
    breaker.take()
    return 1


class Gate:
    """One webhook's, as the worker uses it; the time is told."""

    def __init__(self, cap: int) -> None:
        self.now = 0.0
        self.webhook: Any = SimpleNamespace(id=12, version=1, max_concurrency=cap)
        clock: Any = SimpleNamespace(monotonic=lambda: self.now, now=lambda: int(self.now * 1_000_000))
        self._gates = Gates(clock, node=1)

    def begin(self, busy: int, at_most: int) -> int:
        """How many attempts begin now."""
        begun = min(at_most, self._gates.room(self.webhook, busy))
        for _ in range(begun):
            self._gates.take(self.webhook.id)
        return begun

    def note(self, outcome: Outcome) -> None:
        self._gates.note(self.webhook, outcome)


class Limited:
    """A receiver that answers each request within a hundredth of a second: so many a second well, the rest 429."""

    def __init__(self, a_s: float, cap: int) -> None:
        self.a_s, self.gate, self.cap = a_s, Gate(cap), cap
        self.tokens = a_s
        self.answers = deque[tuple[float, Outcome]]()
        self.offered = Counter[int]()
        self.good = 0
        self.refused = 0

    def go_on(self, seconds: float, *, instead: Outcome | None = None, count: bool = True) -> None:
        """With as much to send as there is room for; `instead` is what it answers while it is down."""
        until = self.gate.now + seconds
        while self.gate.now < until:
            self.gate.now += 0.01
            self.tokens = min(self.a_s, self.tokens + self.a_s / 100)
            while self.answers and self.answers[0][0] <= self.gate.now:
                self.gate.note(self.answers.popleft()[1])
            for _ in range(self.gate.begin(len(self.answers), self.cap - len(self.answers))):
                well = instead is None and self.tokens >= 1
                self.tokens -= well
                self.answers.append((self.gate.now + 0.01, GOOD if well else instead or BUSY))
                if count:
                    self.offered[int(self.gate.now)] += 1
                    self.good, self.refused = self.good + well, self.refused + (not well)


def test_r6_a_receiver_with_a_limit_is_met_at_its_limit():
    """Fifty a second: after a minute hardly one in ten is refused, and most of what it takes is used."""
    receiver = Limited(50, cap=64)
    receiver.go_on(60, count=False)
    receiver.go_on(180)
    assert receiver.refused < 0.1 * (receiver.good + receiver.refused)
    assert receiver.good > 0.6 * 50 * 180


def test_r6_a_herd_that_waited_for_a_receiver_does_not_trample_it():
    """Down with 503 for a minute; then it takes fifty a second."""
    receiver = Limited(50, cap=16)
    receiver.go_on(60, instead=Answered(503), count=False)
    receiver.go_on(60, count=False)
    receiver.go_on(120)
    assert max(receiver.offered.values()) <= 1.5 * 50
    assert receiver.refused < 0.1 * (receiver.good + receiver.refused)
    assert receiver.good > 0.6 * 50 * 120


def test_r6_one_stray_request_for_patience_hardly_slows_a_quick_receiver():
    receiver = Limited(10_000, cap=16)
    receiver.go_on(10, count=False)
    receiver.gate.note(Answered(503))
    receiver.go_on(30)
    offered = [receiver.offered[second] for second in range(11, 40)]
    usual = 16 * 100
    assert min(offered) >= 0.4 * usual
    assert offered[-1] >= 0.9 * usual


@pytest.mark.parametrize("share", [0.05, 0.15, 0.25])
def test_r6_a_receiver_that_fails_now_and_then_gets_well_again(share: float):
    """Opened by bad luck, it must not stay shut: with 15 % of failures no 63 in a row are ever good."""
    chance = random.Random(4)
    breaker, now = after(*[DOWN] * 10, cap=64), 0.0
    well_at: list[float] = []
    while now < 100_000 and len(well_at) < 20:
        now += 0.01
        for _ in range(min(8, breaker.room(now, 0))):
            breaker.take()
            breaker.note(Answered(500) if chance.random() < share else GOOD, now, cap=64)
        if breaker.held() is None:
            well_at.append(now)
            for _ in range(10):
                breaker.note(DOWN, now, cap=64)
    assert len(well_at) == 20
    assert now / 20 < 300, f"{now / 20:.0f} s for each time"


def test_r6_what_is_not_used_for_minutes_is_at_full_rate_again():
    breaker = after(*[BUSY] * 3)
    breaker.settle(1.0)
    assert breaker.held() is not None
    breaker.settle(400.0)
    assert breaker.held() is None


@given(
    st.lists(
        st.tuples(st.sampled_from([GOOD, DOWN, BUSY, Answered(503), Answered(422)]), st.floats(0, 700)), max_size=80
    )
)
def test_r5_whatever_is_met_it_never_stays_shut_for_more_than_ten_minutes(steps: list[tuple[Outcome, float]]):
    breaker, now = Breaker(0.0), 0.0
    for outcome, passes in steps:
        now += passes
        if breaker.room(now, 0):
            breaker.take()
            breaker.note(outcome, now, cap=4)
    assert breaker.room(now + 611, 0) >= 1


def test_r5_fifty_good_attempts_and_it_knows_no_more_than_a_new_one():
    assert not after(DOWN, *[GOOD] * 49).is_forgotten()
    assert after(DOWN, *[GOOD] * 50).is_forgotten()


def test_r5_what_ramps_and_has_nothing_more_to_send_is_forgotten_after_five_minutes():
    breaker = after(*[DOWN] * 10)
    at = probe(breaker, GOOD)
    breaker.settle(at + 299)
    assert breaker.held() is not None
    breaker.settle(at + 300)
    assert breaker.held() is None
    assert breaker.room(at + 300, 7) == NO_LIMIT
