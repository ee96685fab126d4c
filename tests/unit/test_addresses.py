from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dockbell.domain.addresses import AddressPolicy, AllowRule, judge_address, parse_allow_rules, parse_nat64_prefixes
from dockbell.errors import ConfigError
from tests.support.bad_inputs import cases

OWN = frozenset({114})


def rules(*texts: str, allow_wide: bool = False) -> AddressPolicy:
    return AddressPolicy(parse_allow_rules(texts, allow_wide=allow_wide))


@pytest.mark.parametrize("case", cases("dns_addresses"), ids=str)
def test_every_listed_address_gets_its_verdict_without_any_rule(case):
    reason = judge_address(case.input)
    assert (reason is None) == case.is_accepted, (case.why, reason)
    assert (AddressPolicy().judge(case.input, 443, OWN) is None) == case.is_accepted


def test_the_list_is_as_long_as_promised():
    listed = cases("dns_addresses")
    assert sum(not case.is_accepted for case in listed) >= 62
    assert sum(case.is_accepted for case in listed) >= 13


def test_an_address_object_is_judged_like_its_text():
    assert judge_address(IPv4Address("8.8.8.8")) is None
    assert "loopback" in (judge_address(IPv6Address("::ffff:127.0.0.1")) or "")
    assert "zone id" in (judge_address(IPv6Address("2600::1%2")) or "")


def test_a_reason_names_the_address_and_the_network():
    assert judge_address("10.1.4.7") == "10.1.4.7 is a private network (10.0.0.0/8)"


@given(st.ip_addresses())
def test_both_ways_of_asking_agree_and_never_raise(address):
    assert (judge_address(address) is None) == (AddressPolicy().judge(str(address), 443, None) is None)


@given(st.ip_addresses(v=6))
@example(IPv6Address("64:ff9b::8.8.8.8"))
def test_no_ipv6_address_outside_2000_slash_3_is_allowed_unless_mapped(address):
    if address not in IPv6Network("2000::/3") and address.ipv4_mapped is None:
        assert judge_address(address) is not None


@given(st.ip_addresses(v=4))
def test_a_mapped_address_is_judged_as_the_ipv4_address_it_reaches(address):
    assert (judge_address(f"::ffff:{address}") is None) == (judge_address(address) is None)


@given(st.ip_addresses())
def test_what_python_calls_loopback_link_local_multicast_or_unspecified_is_refused(address):
    if address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified:
        assert judge_address(address) is not None


@given(st.text(max_size=30))
def test_text_is_judged_without_an_exception(text):
    judge_address(text)


# Behind NAT64. The examples with 192.0.2.33 are the table of RFC 6052, section 2.4.
@pytest.mark.parametrize(
    ("prefix", "address", "inner"),
    [
        ("2a00:db8::/32", "2a00:db8:c000:221::", "192.0.2.33"),
        ("2a00:db8:100::/40", "2a00:db8:1c0:2:21::", "192.0.2.33"),
        ("2a00:db8:122::/48", "2a00:db8:122:c000:2:2100::", "192.0.2.33"),
        ("2a00:db8:122:300::/56", "2a00:db8:122:3c0:0:221::", "192.0.2.33"),
        ("2a00:db8:122:344::/64", "2a00:db8:122:344:c0:2:2100::", "192.0.2.33"),
        ("2a00:db8:122:344::/96", "2a00:db8:122:344::192.0.2.33", "192.0.2.33"),
        ("64:ff9b::/96", "64:ff9b::7f00:1", "127.0.0.1"),
        ("64:ff9b:1::/48", "64:ff9b:1:a9fe:a9:fe00::", "169.254.169.254"),
    ],
)
def test_behind_a_declared_nat64_prefix_the_inner_address_is_judged(prefix, address, inner):
    networks = parse_nat64_prefixes([prefix])
    reason = judge_address(address, networks)
    found = (judge_address(inner) or "").partition(" is ")[2]
    assert reason is not None
    assert reason.endswith(f"a NAT64 address for {found}")


@pytest.mark.parametrize(
    ("prefix", "address"),
    [
        ("64:ff9b::/96", "64:ff9b::808:808"),
        ("2a00:db8::/32", "2a00:db8:808:808::"),
        ("2a00:db8:100::/40", "2a00:db8:108:808:8::"),
        ("2a00:db8:122::/48", "2a00:db8:122:808:8:800::"),
        ("2a00:db8:122:300::/56", "2a00:db8:122:308:8:808::"),
        ("fd00:64::/64", "fd00:64::8:808:800:0"),
    ],
)
def test_a_public_address_behind_a_declared_nat64_prefix_is_allowed(prefix, address):
    assert judge_address(address, parse_nat64_prefixes([prefix])) is None
    assert AddressPolicy(nat64_prefixes=[prefix]).judge(address, 443, None) is None


@pytest.mark.parametrize("address", ["2a00:db8:808:808:100::", "2a00:db8:808:808::1"])
def test_a_nat64_address_with_bits_that_must_be_zero_is_refused(address):
    assert "not a proper NAT64" in (judge_address(address, parse_nat64_prefixes(["2a00:db8::/32"])) or "")


def test_a_rule_does_not_open_what_a_translator_reaches():
    policy = AddressPolicy(parse_allow_rules(["* 10.1.0.0/16"]), nat64_prefixes=["64:ff9b::/96"])
    assert policy.judge("10.1.0.1", 443, None) is None
    assert policy.judge("64:ff9b::10.1.0.1", 443, None) is not None


@pytest.mark.parametrize(
    "prefix", ["64:ff9b::/95", "::/96", "fe80::/64", "::ffff:0:0/96", "10.0.0.0/8", "x", "2a00::1/64"]
)
def test_an_impossible_nat64_prefix_stops_the_start(prefix):
    with pytest.raises(ConfigError, match=r"egress\.nat64_prefixes\[1\]"):
        AddressPolicy(nat64_prefixes=["64:ff9b::/96", prefix])


# Rules.


def test_a_rule_opens_its_network_for_its_goods_owner_on_its_ports_and_nothing_else():
    policy = rules("114 10.1.0.0/16:8443,9443")
    assert policy.judge("10.1.2.3", 8443, frozenset({114})) is None
    assert policy.judge("10.1.2.3", 9443, frozenset({114})) is None
    assert policy.judge("::ffff:10.1.2.3", 8443, frozenset({114})) is None
    assert policy.judge("10.1.2.3", 443, frozenset({114})) is not None
    assert policy.judge("10.2.2.3", 8443, frozenset({114})) is not None
    assert policy.judge("10.1.2.3", 8443, frozenset({115})) is not None
    assert policy.judge("10.1.2.3", 8443, None) is not None


def test_a_webhook_of_several_goods_owners_needs_a_rule_for_each_or_for_all():
    both = frozenset({114, 115})
    assert rules("114 10.1.0.0/16").judge("10.1.2.3", 443, both) is not None
    assert rules("114 10.1.0.0/16", "115 10.1.2.0/24").judge("10.1.2.3", 443, both) is None
    assert rules("114 10.1.0.0/16:80", "115 10.1.2.0/24").judge("10.1.2.3", 443, both) is not None
    assert rules("* 10.1.0.0/16").judge("10.1.2.3", 443, both) is None


def test_a_webhook_of_no_goods_owner_at_all_is_not_covered_by_every_rule():
    assert rules("114 10.1.0.0/16").judge("10.1.2.3", 443, frozenset()) is not None


def test_a_rule_opens_ipv6_and_carrier_grade_nat_too():
    policy = rules("* fd12:3456::/48:8443", "* 100.64.0.0/16")
    assert policy.judge("fd12:3456::9", 8443, None) is None
    assert policy.judge("fd12:3456::9", 443, None) is not None
    assert policy.judge("100.64.7.7", 443, None) is None


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "::1",
        "169.254.169.254",
        "fe80::1",
        "100.100.100.200",
        "fd00:ec2::254",
        "168.63.129.16",
        "224.0.0.1",
        "0.0.0.0",
        "192.0.0.192",
        "2002:a00:1::",
        "2600::5efe:a00:1",
        "::10.0.0.1",
        "203.0.113.1",
    ],
)
def test_no_rule_opens_loopback_link_local_metadata_or_unroutable_addresses(address):
    everything = (AllowRule(None, ip_network("0.0.0.0/0")), AllowRule(None, ip_network("::/0")))
    assert AddressPolicy(everything).judge(address, 443, None) is not None


@pytest.mark.parametrize("owners", [OWN, None, frozenset({1, 2})], ids=["one", "all", "two"])
@pytest.mark.parametrize("address", ["10.1.2.3", "fd12::7"])
def test_a_refused_private_address_says_which_rule_would_open_it(address: str, owners: frozenset[int] | None):
    refused = AddressPolicy().judge(address, 443, owners) or ""
    assert "no rule in egress.allow opens" in refused
    rule = refused.split('"')[1]
    rules = [rule, rule.replace("1 ", "2 ", 1)] if "one for each of its 2 goods owners" in refused else [rule]
    assert AddressPolicy(parse_allow_rules(rules)).judge(address, 443, owners) is None
    assert AddressPolicy(parse_allow_rules([rule])).judge(address, 444, owners) is not None


def test_the_test_setting_lets_loopback_through_and_nothing_else():
    policy = AddressPolicy(allow_loopback=True)
    for address in ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"):
        assert policy.judge(address, 8080, OWN) is None
    for address in ("10.0.0.1", "169.254.169.254", "0.0.0.0", "::", "fe80::1", "2600::5efe:7f00:1", "::1%lo"):
        assert policy.judge(address, 8080, OWN) is not None


@given(st.ip_addresses(), st.integers(1, 65535))
def test_rules_only_ever_add_private_addresses(address, port):
    with_rules = rules("* 10.0.0.0/8", "* 172.16.0.0/12", "* fc00::/7", allow_wide=True)
    if with_rules.judge(address, port, None) is None and AddressPolicy().judge(address, port, None) is not None:
        inner = address.ipv4_mapped or address if isinstance(address, IPv6Address) else address
        assert inner.is_private


def test_rules_are_read_as_administrators_write_them():
    assert parse_allow_rules(["114 10.1.0.0/16:8443,9443", " *   192.168.4.0/24 ", "7 fd12:3456::/48:80"]) == (
        AllowRule(114, ip_network("10.1.0.0/16"), frozenset({8443, 9443})),
        AllowRule(None, ip_network("192.168.4.0/24")),
        AllowRule(7, ip_network("fd12:3456::/48"), frozenset({80})),
    )
    assert parse_allow_rules([]) == ()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "10.1.0.0/16",
        "114",
        "0 10.1.0.0/16",
        "-1 10.1.0.0/16",
        "acme 10.1.0.0/16",
        "* 10.1.0.0",
        "* 10.1.2.3/16",
        "* 10.1.0.0/33",
        "* 10.1.0.0/16:",
        "* 10.1.0.0/16:0",
        "* 10.1.0.0/16:65536",
        "* 10.1.0.0/16:80,",
        "* host/24",
        "* 10.1.0.0/16:80;443",
        "* 10.1.0.0/16 80",
        "١ 10.1.0.0/16",
        "* 10.1.0.0/16\n",
        "* fd12::/48%1",
        "* 1.2/16",
        "* 127.0.0.0/16",
        "* ::1/128",
        "* 169.254.169.254/32",
        "* fe80::/64",
        "* 8.8.8.0/24",
        "* 224.0.0.0/16",
    ],
)
def test_a_rule_that_cannot_be_meant_stops_the_start(text):
    with pytest.raises(ConfigError, match=r"egress\.allow\[0\]"):
        parse_allow_rules([text])


@pytest.mark.parametrize("text", ["* 10.0.0.0/8", "* 10.0.0.0/15", "* fd00::/47", "* 0.0.0.0/0", "* ::/0"])
def test_a_wide_rule_needs_to_be_confirmed(text):
    with pytest.raises(ConfigError, match="allow_wide"):
        parse_allow_rules([text])
    assert len(parse_allow_rules([text], allow_wide=True)) == 1


def test_all_wrong_rules_are_named_at_once():
    with pytest.raises(ConfigError) as refused:
        parse_allow_rules(["x", "* 10.1.0.0/16", "y"])
    assert "egress.allow[0]" in refused.value.message
    assert "egress.allow[2]" in refused.value.message


def test_the_listed_neighbours_stand_on_both_sides_of_every_denied_ipv4_network():
    listed = {case.input for case in cases("dns_addresses") if case.is_accepted}
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16"):
        network = ip_network(text)
        assert str(ip_address(int(network.network_address) - 1)) in listed
        assert str(ip_address(int(network.broadcast_address) + 1)) in listed


@pytest.mark.parametrize("address", ["64:ff9b::808:808", "2600::5efe:808:808"])
def test_e5_a_translated_form_of_this_machines_address_is_refused_too(address: str):
    policy = AddressPolicy(nat64_prefixes=["64:ff9b::/96"])
    assert policy.judge(address, 443, None) is None
    policy.own_addresses = frozenset({ip_address("8.8.8.8")})
    assert "this very machine" in str(policy.judge(address, 443, None))
