"""What follows from an attempt, for outcomes and policies of every kind."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockbell.clock import DAY, HOUR, MINUTE, SECOND, Moment
from dockbell.domain.delivery import Answered, Done, NotSent, Outcome, TryAgain, Unanswered, code_of, decide
from dockbell.domain.retry_policy import MOST_JITTER, NAMED, NONE, ONE_DAY, STANDARD, RetryPolicy, own_steps

NOW: Moment = 1_795_500_000 * SECOND
MOST_ATTEMPTS = 200

retry_afters = st.one_of(
    st.none(),
    st.integers(0, 10**12).map(str),
    st.sampled_from(["", "soon", "-5", "1e3", "Tue, 24 Nov 2026 23:00:00 GMT", "9" * 5000]),
)
answers = st.builds(Answered, st.integers(100, 599), retry_after=retry_afters)
reasons = st.sampled_from(["connect_refused", "total_timeout", "dns_not_found", "tls_untrusted"])
outcomes = st.one_of(answers, st.builds(Unanswered, reasons), st.builds(NotSent, reasons))
policies = st.one_of(
    st.sampled_from([*NAMED.values()]),
    st.lists(st.integers(1, 86_400), max_size=20).map(lambda steps: own_steps(tuple(steps))),
)


def decided(
    outcome: Outcome, policy: RetryPolicy = ONE_DAY, *, failures: int = 1, age: int = 0, jitter: float = 0.0
) -> object:
    return decide(outcome, policy, failures=failures, first_attempt_at=NOW - age, now=NOW, jitter=jitter)


@given(status=st.integers(200, 299), policy=policies, failures=st.integers(0, 50), age=st.integers(0, 9 * DAY))
def test_any_2xx_ends_the_delivery_whatever_came_before(status: int, policy: RetryPolicy, failures: int, age: int):
    assert decided(Answered(status), policy, failures=failures, age=age) == Done("delivered")


@given(policy=policies, failures=st.integers(1, 50), age=st.integers(0, 9 * DAY))
def test_410_ends_the_delivery_and_the_webhook(policy: RetryPolicy, failures: int, age: int):
    assert decided(Answered(410), policy, failures=failures, age=age) == Done("failed", deactivate_webhook=True)


@given(reason=reasons, policy=policies)
def test_what_was_not_sent_is_not_tried_again(reason: str, policy: RetryPolicy):
    assert decided(NotSent(reason), policy) == Done("failed")


@pytest.mark.parametrize("reason", ["egress_denied_address", "url_refused"])
@given(policy=policies, failures=st.integers(1, 50), age=st.integers(0, 9 * DAY), jitter=st.floats(0, 1))
def test_a_denied_address_is_tried_again_as_one_that_does_not_answer_is(
    reason: str, policy: RetryPolicy, failures: int, age: int, jitter: float
):
    denied, silent = (
        decided(outcome, policy, failures=failures, age=age, jitter=jitter)
        for outcome in (NotSent(reason), Unanswered("connect_timeout"))
    )
    assert denied == silent


@pytest.mark.parametrize("reason", ["interrupted", "connection_ended"])
@given(policy=policies, failures=st.integers(0, 50), age=st.integers(0, 9 * DAY), jitter=st.floats(0, 1))
def test_an_attempt_of_which_nobody_knows_what_the_receiver_saw_is_made_again_at_once(
    reason: str, policy: RetryPolicy, failures: int, age: int, jitter: float
):
    assert decided(Unanswered(reason), policy, failures=failures, age=age, jitter=jitter) == TryAgain(NOW)


def play(policy: RetryPolicy, each: list[Outcome], jitters: list[float], took: list[int]) -> list[Moment]:
    """Attempts one after the other until a decision ends them: when each began."""
    first = now = NOW
    began = []
    for number in range(1, MOST_ATTEMPTS):
        began.append(now)
        now += took[number % len(took)]
        outcome = each[number % len(each)]
        decision = decide(
            outcome, policy, failures=number, first_attempt_at=first, now=now, jitter=jitters[number % len(jitters)]
        )
        if isinstance(decision, Done):
            return began
        assert decision.at >= now
        now = decision.at
    raise AssertionError("it never ends")


@given(
    policy=policies,
    each=st.lists(outcomes, min_size=1, max_size=5),
    jitters=st.lists(st.floats(0, 1), min_size=1, max_size=5),
    took=st.lists(st.integers(0, 30 * SECOND), min_size=1, max_size=5),
)
def test_every_delivery_comes_to_an_end(
    policy: RetryPolicy, each: list[Outcome], jitters: list[float], took: list[int]
):
    began = play(policy, each, jitters, took)
    if policy is NONE:
        assert len(began) == 1
    if policy is ONE_DAY:
        assert began[-1] - began[0] <= DAY + 2 * HOUR
    if policy is STANDARD:
        assert began[-1] - began[0] <= 4 * DAY + 2 * HOUR


@given(
    jitters=st.lists(st.floats(0, 1), min_size=1, max_size=16),
    took=st.lists(st.integers(0, 1 * SECOND), min_size=1, max_size=16),
)
def test_one_day_always_has_its_sixteen_attempts(jitters: list[float], took: list[int]):
    """Jitter only adds, and never so much that the last attempt falls out of the day."""
    began = play(ONE_DAY, [Answered(500)], jitters, took)
    assert len(began) == 16
    assert began[-1] - began[0] <= DAY


@given(wait=st.integers(0, 9 * DAY), share=st.floats(0, 1))
def test_jitter_only_adds_at_most_a_tenth_and_five_minutes(wait: int, share: float):
    assert 0 <= ONE_DAY.jitter_of(wait, share) <= min(wait / 10, MOST_JITTER)


def test_the_waits_of_one_day_are_as_promised():
    moments = play(ONE_DAY, [Answered(500)], [0.0], [0])
    assert [(moment - NOW) // MINUTE for moment in moments] == [0, 1, 6, 21, 51, *range(171, 1372, 120)]


@pytest.mark.parametrize("status", [429, 502, 503, 504])
@pytest.mark.parametrize(
    ("header", "wait"),
    [("600", 10 * MINUTE), ("5", MINUTE), ("7201", 2 * HOUR), (None, MINUTE), ("x", MINUTE), ("", MINUTE)],
)
def test_retry_after_is_heeded_up_to_two_hours_and_never_shortens(status: int, header: str | None, wait: int):
    assert decided(Answered(status, retry_after=header)) == TryAgain(NOW + wait)


@pytest.mark.parametrize("status", [500, 400, 403, 404, 301])
def test_others_may_not_ask_for_patience(status: int):
    assert decided(Answered(status, retry_after="600")) == TryAgain(NOW + MINUTE)


def test_retry_after_does_not_lengthen_the_last_wait():
    assert decided(Answered(503, retry_after="600"), NONE) == Done("failed")
    assert decided(Answered(503, retry_after="600"), age=DAY, failures=16) == Done("failed")


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (Answered(204), "delivered"),
        (Answered(301), "http_redirect"),
        (Answered(399), "http_redirect"),
        (Answered(404), "http_404"),
        (Answered(503), "http_503"),
        (Answered(100), "http_100"),
        (Unanswered("total_timeout"), "total_timeout"),
        (NotSent("egress_denied_address"), "egress_denied_address"),
    ],
)
def test_each_outcome_is_listed_under_one_word(outcome: Outcome, code: str):
    assert code_of(outcome) == code


def test_own_steps_are_used_once_each():
    began = play(own_steps((60, 1, 3600)), [Answered(500)], [0.0], [0])
    assert [(moment - NOW) // SECOND for moment in began] == [0, 60, 61, 3661]


def test_own_steps_keep_their_number_with_slow_answers_and_full_jitter():
    for steps in ((1,), (86_400,) * 3, (60,) * 20):
        assert len(play(own_steps(steps), [Answered(500)], [1.0], [30 * SECOND])) == len(steps) + 1


def test_jitter_never_carries_an_attempt_beyond_the_policys_last_moment():
    age = DAY - 2 * HOUR - MINUTE
    assert decided(Answered(500), failures=8, age=age, jitter=1.0) == TryAgain(NOW - age + DAY)
