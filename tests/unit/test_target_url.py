import re
import string
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dockbell.domain import target_url
from dockbell.domain.addresses import AddressPolicy, judge_address, parse_allow_rules
from dockbell.domain.target_url import TargetUrl, masked, parse_target_url, same_origin, warnings_for
from dockbell.errors import InvalidInput
from tests.support.bad_inputs import cases

STRICT = AddressPolicy()


def parse(
    text: object, policy: AddressPolicy = STRICT, owners: frozenset[int] | None = None, allow_http: bool = True
) -> TargetUrl:
    return parse_target_url(text, policy, owners, allow_http=allow_http)


def code_of(text: object, policy: AddressPolicy = STRICT, allow_http: bool = True) -> str:
    try:
        parse(text, policy, allow_http=allow_http)
    except InvalidInput as refused:
        [problem] = refused.problems
        return problem.code if problem.field == "targetUrl" else f"{problem.code} at {problem.field}"
    return "ok"


@pytest.mark.parametrize("case", cases("url"), ids=str)
def test_every_listed_url_gets_its_verdict_by_its_rule(case):
    assert code_of(case.input) == case.code, case.why
    assert (case.code == "ok") == case.is_accepted


@pytest.mark.parametrize("case", cases("url"), ids=str)
def test_a_message_never_repeats_a_password_and_stays_short(case):
    if not case.is_accepted:
        with pytest.raises(InvalidInput) as refused:
            parse(case.input)
        assert "user:secret" not in refused.value.message
        assert len(refused.value.message) < 400
        assert refused.value.message.isascii()


def test_the_parts_are_those_of_the_text():
    url = parse("HTTPS://Hooks.EXAMPLE.com:8443/A/b?x=%2f&y")
    assert url == TargetUrl(
        "HTTPS://Hooks.EXAMPLE.com:8443/A/b?x=%2f&y", "https", "hooks.example.com", 8443, "/A/b?x=%2f&y", False
    )


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("https://example.com", "/"),
        ("https://example.com?a=1", "/?a=1"),
        ("https://example.com/?", "/?"),
        ("https://example.com//a/../b/./c", "//a/../b/./c"),
        ("https://example.com/a;b?c?d", "/a;b?c?d"),
    ],
)
def test_the_target_is_what_will_stand_on_the_request_line(text, target):
    assert parse(text).target == target


def test_ports_come_from_the_scheme_when_not_written():
    assert parse("http://example.com/").port == 80
    assert parse("https://example.com/").port == 443


def test_an_address_literal_is_marked_and_loses_its_brackets():
    assert parse("https://[2606:4700:4700::1111]/").host == "2606:4700:4700::1111"
    assert parse("https://[2606:4700:4700::1111]:8443/").port == 8443
    assert parse("https://[2606:4700:4700::1111]/").is_literal
    assert parse("https://8.8.8.8/").is_literal
    assert not parse("https://8.8.8.8.example.com/").is_literal


def test_https_can_be_demanded():
    assert code_of("http://example.com/", allow_http=False) == "url_scheme"
    assert code_of("https://example.com/", allow_http=False) == "ok"


def test_loopback_is_reachable_by_number_and_name_only_under_the_test_setting():
    local = AddressPolicy(allow_loopback=True)
    for text in ("http://127.0.0.1:8080/x", "http://localhost:8080/x", "http://LOCALHOST/", "http://[::1]:8080/"):
        assert code_of(text, local) == "ok"
        assert code_of(text) in ("egress_denied_address", "url_host_reserved")
    assert code_of("http://foo.localhost/", local) == "url_host_reserved"
    assert code_of("http://localhost./", local) == "url_host_trailing_dot"
    assert code_of("http://127.1/", local) == "url_host_numeric"
    assert code_of("http://10.0.0.1/", local) == "egress_denied_address"
    assert code_of("http://127.0.0.1:22/", local) == "url_port_denied"


def test_a_private_literal_is_judged_at_save_by_the_rules_of_its_goods_owners():
    policy = AddressPolicy(parse_allow_rules(["114 10.1.0.0/16:8443"]))
    assert parse("https://10.1.2.3:8443/", policy, frozenset({114})).host == "10.1.2.3"
    for text, owners in (
        ("https://10.1.2.3:8443/", frozenset({115})),
        ("https://10.1.2.3/", frozenset({114})),
        ("https://10.1.2.3:8443/", None),
    ):
        with pytest.raises(InvalidInput) as refused:
            parse(text, policy, owners)
        assert refused.value.code == "egress_denied_address"


def test_names_of_a_private_network_need_their_setting_and_not_only_a_rule():
    only_rules = AddressPolicy(parse_allow_rules(["* 10.1.0.0/16"]))
    named = AddressPolicy(private_names=True)
    for text in ("http://wms-db/", "http://printer.local/", "http://erp.intranet/", "http://a.internal/"):
        assert code_of(text, only_rules) in ("url_host_single_label", "url_host_reserved")
        assert code_of(text, named) == "ok"
    for text in ("http://localhost/", "http://a.localdomain/", "http://x.onion/", "http://x.invalid/"):
        assert code_of(text, named) == "url_host_reserved"
    assert code_of("http://127.1/", named) == "url_host_numeric"


def test_a_text_that_python_reads_otherwise_is_refused(monkeypatch):
    def reads_otherwise(text):
        return urlsplit(text.replace("example.com", "127.0.0.1"))

    def cannot_read(text):
        raise ValueError(text)

    for reader in (reads_otherwise, cannot_read):
        monkeypatch.setattr(target_url, "urlsplit", reader)
        assert code_of("https://example.com/") == "url_syntax"


# What a random text is made of: pieces that matter to some reader of URLs.
PIECES = st.sampled_from(
    [
        "http://",
        "https://",
        "HTTP:",
        "//",
        "/",
        "\\",
        "@",
        ":",
        "?",
        "#",
        "%",
        "%2f",
        "[",
        "]",
        ".",
        "-",
        "_",
        "*",
        "..",
        "example.com",
        "127.0.0.1",
        "127.1",
        "8.8.8.8",
        "0x7f",
        "::1",
        "80",
        "8443",
        "22",
        "2606:4700::1",
        "::ffff:127.0.0.1",
        "localhost",
        "local",
        "user",
        "a",
        "b=c",
        "&",
        ";",
        "0",
        "01",
        "+",
        "\t",
        "\n",
        "\x00",
        "。",
        "１",
        "①",
    ]
)
URLS = st.one_of(
    st.lists(PIECES, max_size=9).map("".join),
    st.lists(PIECES, max_size=7).map(lambda parts: "http://" + "".join(parts)),
    st.lists(PIECES, max_size=7).map(lambda parts: "https://example.com/" + "".join(parts)),
    st.text(max_size=40),
    st.text(alphabet=string.printable, max_size=40).map(lambda rest: "https://" + rest),
    st.builds("http://{}/".format, st.ip_addresses()),
    st.builds("http://[{}]:8080/x?y".format, st.ip_addresses(v=6)),
)


@given(URLS)
@example("https://example.com/\x7f")
def test_whatever_is_entered_the_answer_is_a_verdict_and_an_accepted_url_keeps_every_promise(text):
    try:
        url = parse(text)
    except InvalidInput:
        return
    assert url.text == text
    assert re.fullmatch(r"[\x21-\x7E]{1,2048}", text)
    assert url.target.startswith("/")
    assert url.text.partition("://")[2].endswith(url.target.removeprefix("/"))
    assert re.fullmatch(r"[a-z0-9._:-]+", url.host)
    assert 1 <= url.port <= 65535
    if url.is_literal:
        assert judge_address(url.host) is None
    else:
        assert "not an IP address" in (judge_address(url.host) or "")


def test_plain_http_is_warned_of_and_more_so_with_credentials():
    url = parse("http://example.com/")
    assert ["credentials" in warning for warning in warnings_for(url, True)] == [True]
    assert ["credentials" in warning for warning in warnings_for(url, False)] == [False]
    assert warnings_for(parse("https://example.com/?order=1&monkey=2&tokenised=3"), True) == []


@pytest.mark.parametrize(
    "query",
    [
        "token=x",
        "access_token=x",
        "accessToken=x",
        "API-KEY=x",
        "apikey=x",
        "a=1&sig=x",
        "client_secret",
        "X-Amz-Signature=x",
    ],
)
def test_a_secret_in_the_query_is_warned_of_by_its_key_and_never_by_its_value(query):
    [warning] = warnings_for(parse(f"https://example.com/?{query}"), False)
    assert "secret" in warning
    assert "=x" not in warning


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ("https://example.com:443/other?x", True),
        ("HTTPS://EXAMPLE.COM/hook", True),
        ("http://example.com/hook", False),
        ("http://example.com:443/hook", False),
        ("https://example.com:8443/hook", False),
        ("https://hooks.example.com/hook", False),
    ],
)
def test_credentials_may_stay_only_while_scheme_host_and_port_stay(other, same):
    assert same_origin(parse("https://example.com/hook"), parse(other)) is same


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://example.com/a", "https://example.com/a"),
        ("https://example.com/?a=1&b=&c", "https://example.com/?a=***&b=***&***"),
        ("https://example.com/?", "https://example.com/?"),
        ("https://example.com/?a=b=c", "https://example.com/?a=***"),
        ("https://user:pw@example.com/?x=1#tok", "https://***@example.com/?x=***#***"),
        ("https://user:p@w@example.com/", "https://***@example.com/"),
        ("not a url ? x", "not a url ?***"),
        ("", ""),
    ],
)
def test_a_masked_url_shows_keys_and_never_values(text, shown):
    assert masked(text) == shown
