import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockbell.clock import HOUR, SECOND
from dockbell.domain.delivery import Answered, TryAgain, decide
from dockbell.domain.limits import parse_moment
from dockbell.domain.retry_after import parse_retry_after
from dockbell.domain.retry_policy import own_steps
from tests.support.bad_inputs import cases

NOW = parse_moment("2026-11-24T12:00:00Z")


@pytest.mark.parametrize("status", [429, 502, 503, 504])
@pytest.mark.parametrize("case", cases("retry_after"), ids=str)
def test_the_next_attempt_waits_for_the_policy_or_for_what_was_asked_up_to_the_cap(case, status):
    now = parse_moment(case.more["now"])
    step_s = case.more["step_s"]
    decision = decide(
        Answered(status=status, retry_after=case.input),
        own_steps((step_s,)),
        failures=1,
        first_attempt_at=now,
        now=now,
        jitter=0.0,
    )
    assert isinstance(decision, TryAgain)
    assert (decision.at - now) / SECOND == case.verdict, case.why


@pytest.mark.parametrize(
    ("header", "asked_s"),
    [
        ("0", 0),
        ("600", 600),
        ("999999999", 999_999_999),
        ("Tue, 24 Nov 2026 13:00:00 GMT", 3600),
        ("Tuesday, 24-Nov-26 13:00:00 GMT", 3600),
        ("Tue Nov 24 13:00:00 2026", 3600),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
    ],
)
def test_seconds_and_all_three_date_forms_are_read(header, asked_s):
    assert parse_retry_after(header, now=NOW) == asked_s * SECOND


def test_a_two_digit_year_far_ahead_means_the_past_century():
    assert parse_retry_after("Friday, 24-Nov-76 12:00:00 GMT", now=NOW) > 49 * 365 * 24 * HOUR
    assert parse_retry_after("Thursday, 24-Nov-77 12:00:00 GMT", now=NOW) == 0


@given(st.text() | st.from_regex(r"Tue, [0-9]{2} Nov [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT", fullmatch=True))
def test_any_text_gives_a_wait_and_never_a_negative_one(header):
    assert parse_retry_after(header, now=NOW) >= 0
