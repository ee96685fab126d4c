from datetime import timedelta, timezone

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dockbell.clock import to_moment, to_text
from dockbell.domain.limits import parse_limit, parse_moment, parse_range, problems_with_steps, problems_with_timeout
from dockbell.errors import InvalidInput
from tests.support.bad_inputs import Case, cases


def of_field(name: str) -> list[Case]:
    return [case for case in cases("number") if case.more["field"] == name]


@pytest.mark.parametrize("case", of_field("limit"), ids=str)
def test_every_listed_limit_gets_its_verdict(case):
    if case.is_accepted:
        assert parse_limit(case.input) == int(case.input)
    else:
        with pytest.raises(InvalidInput) as refused:
            parse_limit(case.input)
        assert (refused.value.code, refused.value.problems[0].field) == ("limit_range", "limit"), case.why


@pytest.mark.parametrize("case", of_field("timeout"), ids=str)
def test_every_listed_timeout_gets_its_verdict(case):
    assert (problems_with_timeout(case.input) == []) == case.is_accepted, case.why


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_timeout_that_is_no_number_of_seconds_is_refused(value):
    assert [problem.code for problem in problems_with_timeout(value)] == ["timeout_range"]


@pytest.mark.parametrize("case", of_field("steps"), ids=str)
def test_every_listed_list_of_own_steps_gets_its_verdict(case):
    assert (problems_with_steps(case.input) == []) == case.is_accepted, case.why


def test_each_wrong_step_is_named():
    found = problems_with_steps([60, 0, "60", 90000])
    assert [problem.field for problem in found] == [f"retryPolicy.stepsInSeconds[{n}]" for n in (1, 2, 3)]
    assert "86,400" in found[2].message


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists))
def test_any_json_value_gets_a_verdict_with_a_short_message(value):
    for problem in problems_with_steps(value)[:3] + problems_with_timeout(value):
        assert len(problem.message) < 300


@pytest.mark.parametrize("value", [object(), "\u2028", "x" * 1000, {"a": 1}, (1,), None, True, 10**30])
def test_a_message_shows_what_came_without_repeating_all_of_it(value):
    [problem] = problems_with_timeout(value)
    assert problem.message.isascii()
    assert len(problem.message) < 150


@pytest.mark.parametrize("case", cases("date"), ids=str)
def test_every_listed_moment_or_range_gets_its_verdict(case):
    def read():
        if isinstance(case.input, dict):
            return parse_range(case.input["from"], case.input["to"])
        return parse_moment(case.input)

    if case.is_accepted:
        read()
    else:
        with pytest.raises(InvalidInput):
            read()


def test_a_moment_is_microseconds_in_utc():
    assert parse_moment("1970-01-01T00:00:01Z") == 1_000_000
    assert parse_moment("2026-11-24T10:11:12+01:00") == parse_moment("2026-11-24T09:11:12Z")
    assert parse_moment("2026-11-24T10:11:12-05:30") == parse_moment("2026-11-24T15:41:12Z")
    assert to_text(parse_moment("2026-02-03T12:07:31.4412319Z")) == "2026-02-03T12:07:31.441231Z"
    assert to_text(parse_moment("2026-02-03T12:07:31.5Z")) == "2026-02-03T12:07:31.500000Z"


@given(
    st.datetimes(
        timezones=st.builds(timezone, st.integers(-1439, 1439).map(lambda minutes: timedelta(minutes=minutes)))
    )
)
def test_every_moment_inside_the_calendar_is_read_exactly(when):
    assume(2 <= when.year <= 9998)
    assert parse_moment(when.isoformat(timespec="microseconds")) == to_moment(when)


@given(st.text())
def test_any_text_is_read_or_refused(text):
    for read in (parse_moment, parse_limit):
        with pytest.raises(InvalidInput):
            read("!" + text)


def test_a_range_may_be_open_and_names_all_its_problems():
    assert parse_range(None, None) == (None, None)
    assert parse_range("1970-01-01T00:00:01Z", None) == (1_000_000, None)
    with pytest.raises(InvalidInput) as refused:
        parse_range("now", "later")
    assert [problem.field for problem in refused.value.problems] == ["from", "to"]
    with pytest.raises(InvalidInput) as refused:
        parse_range("2026-11-25T00:00:00Z", "2026-11-24T00:00:00Z", ("since", "until"))
    assert refused.value.code == "moment_order"
    assert refused.value.problems[0].field == "since"
