"""How an ailing receiver is tried: when it is left alone, how it is probed, and how it comes back."""

import itertools
import math
from collections import Counter, deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


def test_r5_half_of_the_last_twenty_open_it_though_never_ten_in_a_row():
    assert after(*[DOWN, GOOD, GOOD] * 20).held() is None
    held = after(*[DOWN, GOOD] * 10, DOWN).held()
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
    assert held is not None and held.state == "open" and held.probe_at == pytest.approx(at + 1 + 60)


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


def _begin(breaker: Breaker, now: float) -> int:
    if not breaker.room(now, 0):
        return 0
    breaker.take()
    return 1


def test_r6_a_receiver_with_a_limit_is_met_at_its_limit():
    """Fifty a second, 429 above: after a minute hardly one in ten is refused, and most of what it takes is used."""
    breaker = Breaker(0.0)
    window: list[float] = []
    good = refused = 0
    for tick in range(1, 240_000):
        now = tick / 1000
        if not _begin(breaker, now):
            continue
        window = [at for at in window if at > now - 1]
        taken = len(window) < 50
        if taken:
            window.append(now)
        breaker.note(GOOD if taken else BUSY, now, cap=64)
        if now > 60:
            good, refused = good + taken, refused + (not taken)
    assert refused < 0.1 * (good + refused)
    assert good > 0.6 * 50 * 180


def test_r6_a_herd_that_waited_for_a_receiver_does_not_trample_it():
    """Down with 503 for a minute; then it takes fifty a second, and answers each within a hundredth of one."""
    breaker, cap, down_until = Breaker(0.0), 16, 60.0
    tokens, answers = 50.0, deque[tuple[float, bool]]()
    offered = Counter[int]()
    good = refused = 0
    for tick in range(24_000):
        now = tick / 100
        tokens = min(50.0, tokens + 0.5)
        while answers and answers[0][0] <= now:
            well = answers.popleft()[1]
            breaker.note(GOOD if well else BUSY if now > down_until else Answered(503), now, cap=cap)
        for _ in range(min(cap - len(answers), breaker.room(now, len(answers)))):
            breaker.take()
            well = now > down_until and tokens >= 1
            tokens -= well
            answers.append((now + 0.01, well))
            if now > 120:
                offered[int(now)] += 1
                good, refused = good + well, refused + (not well)
    assert max(offered.values()) <= 1.5 * 50
    assert refused < 0.1 * (good + refused)
    assert good > 0.6 * 50 * 120


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


def test_r5_twenty_good_attempts_and_it_knows_no_more_than_a_new_one():
    assert not after(DOWN, *[GOOD] * 19).is_forgotten()
    assert after(DOWN, *[GOOD] * 20).is_forgotten()


def test_r5_what_ramps_and_has_nothing_more_to_send_is_forgotten_after_five_minutes():
    breaker = after(*[DOWN] * 10)
    at = probe(breaker, GOOD)
    breaker.settle(at + 299)
    assert breaker.held() is not None
    breaker.settle(at + 300)
    assert breaker.held() is None
    assert breaker.room(at + 300, 7) == NO_LIMIT
