import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockbell.domain.headers import parse_header_lines, problems_with_headers
from dockbell.errors import InvalidInput
from tests.support.bad_inputs import cases


@pytest.mark.parametrize("case", cases("header"), ids=str)
def test_every_listed_set_of_headers_gets_its_verdict_by_its_rule(case):
    codes = [problem.code for problem in problems_with_headers([(name, value) for name, value in case.input])]
    assert codes == ([] if case.is_accepted else [case.code]), case.why


@pytest.mark.parametrize("case", cases("header_text"), ids=str)
def test_every_listed_pasted_text_gets_its_verdict_by_its_rule(case):
    try:
        codes = [problem.code for problem in problems_with_headers(parse_header_lines(case.input))]
    except InvalidInput as refused:
        codes = [problem.code for problem in refused.problems]
    assert codes == ([] if case.is_accepted else [case.code]), case.why


def test_all_problems_are_reported_at_once_each_with_its_place():
    found = problems_with_headers([("X A", "1"), ("X-B", "\n"), ("Host", "x "), ("X-B", "2")])
    assert [(problem.field, problem.code) for problem in found] == [
        ("headers[0].name", "header_name"),
        ("headers[1].value", "header_value"),
        ("headers[2].name", "header_reserved"),
        ("headers[2].value", "header_value"),
        ("headers[3].name", "header_duplicate"),
    ]


def test_the_caller_chooses_how_the_field_is_called():
    assert problems_with_headers([("", "")], field="webhook.headers")[0].field == "webhook.headers[0].name"


def test_a_message_never_repeats_a_value():
    [problem] = problems_with_headers([("X-Key", "s3cret\u00e9")])
    assert "s3cret" not in problem.message


def test_pasted_lines_become_pairs_with_blanks_around_the_value_dropped():
    text = "X-A:  1 \r\n\r\nX-B:2\n  \nX-C: a: b\t\n"
    assert parse_header_lines(text) == [("X-A", "1"), ("X-B", "2"), ("X-C", "a: b")]
    assert parse_header_lines("") == []


def test_every_line_without_a_colon_is_named():
    with pytest.raises(InvalidInput) as refused:
        parse_header_lines("X-A\nX-B: 1\nX-C")
    assert [problem.code for problem in refused.value.problems] == ["header_syntax", "header_syntax"]
    assert "Line 3" in refused.value.problems[1].message


HEADER = st.tuples(
    st.one_of(
        st.text(max_size=12),
        st.sampled_from(["Host", "webhook-id", "X-A", "X_Auth_Token", "tE", "X-A\n"]),
        st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,10}", fullmatch=True),
    ),
    st.one_of(st.text(max_size=12), st.from_regex(r"[ -~\t]{0,12}", fullmatch=True)),
)


@given(st.lists(HEADER, max_size=22))
def test_accepted_headers_are_whole_lines_that_cannot_be_taken_for_ours(headers):
    if problems_with_headers(headers):
        return
    for name, value in headers:
        line = f"{name}: {value}"
        assert re.fullmatch(r"[!-~]+: [\t -~]*", line)
        assert line.partition(":")[0] == name
        assert name.lower() not in ("host", "content-length", "transfer-encoding", "te", "x-auth-token")
        assert not name.lower().startswith(("webhook-", "proxy-", "accept-"))
    assert len({name.lower() for name, _ in headers}) == len(headers) <= 20


@given(st.text())
def test_pasted_text_of_any_kind_is_read_or_refused(text):
    try:
        headers = parse_header_lines(text)
    except InvalidInput:
        return
    assert len(headers) <= text.count("\n") + 1
