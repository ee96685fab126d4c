"""Where Dockbell may connect: the table of refused addresses, and the rules that open private networks.

The table is spelled out here instead of asking `ipaddress.is_global`, whose answer differs between Python
releases and lets NAT64, 6to4, multicast and cloud-internal addresses through. Promise: an address is allowed only
if it is plain public unicast, or private and opened by an administrator's rule for exactly these goods owners.
Sources: the IANA special-purpose registries for IPv4 and IPv6 (RFC 6890), RFC 6052 (NAT64), RFC 5214 (ISATAP).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Literal, NamedTuple

from dockbell.errors import ConfigError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class _Denied(NamedTuple):
    """One row of the table. Only `private` can be opened by a rule, only `loopback` by the test setting."""

    first: int
    last: int
    network: str
    what: str
    kind: Literal["private", "loopback", "never"]


def _row(network: str, what: str, kind: Literal["private", "loopback", "never"] = "never") -> _Denied:
    parsed = ip_network(network)
    return _Denied(int(parsed.network_address), int(parsed.broadcast_address), network, what, kind)


# The first row that fits gives the reason, so single addresses stand before the networks around them.
_DENIED_V4 = (
    _row("100.100.100.200/32", "a cloud metadata service"),
    _row("168.63.129.16/32", "a cloud's internal service"),
    _row("0.0.0.0/8", "this host or network"),
    _row("10.0.0.0/8", "a private network", "private"),
    _row("100.64.0.0/10", "carrier-grade NAT", "private"),
    _row("127.0.0.0/8", "loopback", "loopback"),
    _row("169.254.0.0/16", "link-local or a cloud metadata service"),
    _row("172.16.0.0/12", "a private network", "private"),
    _row("192.0.0.0/24", "reserved for protocols"),
    _row("192.0.2.0/24", "a documentation network"),
    _row("192.31.196.0/24", "the AS112 service"),
    _row("192.52.193.0/24", "the AMT relay service"),
    _row("192.88.99.0/24", "the 6to4 relay service"),
    _row("192.168.0.0/16", "a private network", "private"),
    _row("192.175.48.0/24", "the AS112 service"),
    _row("198.18.0.0/15", "a benchmarking network"),
    _row("198.51.100.0/24", "a documentation network"),
    _row("203.0.113.0/24", "a documentation network"),
    _row("224.0.0.0/4", "multicast"),
    _row("240.0.0.0/4", "reserved or broadcast"),
)
_DENIED_V6 = (
    # Inside 2000::/3: what has been set aside there.
    _row("2001::/23", "reserved for protocols (Teredo, ORCHID, benchmarking)"),
    _row("2001:db8::/32", "a documentation network"),
    _row("2002::/16", "a 6to4 address"),
    _row("2620:4f:8000::/48", "the AS112 service"),
    _row("3fff::/20", "a documentation network"),
    # Outside 2000::/3 everything is refused; these rows only give the reason its name, and say what may be opened.
    _row("fd00:ec2::/32", "a cloud metadata service"),
    _row("fd20:ce::/32", "a cloud metadata service"),
    _row("::1/128", "loopback", "loopback"),
    _row("fc00::/7", "a private network", "private"),
    _row("fe80::/10", "link-local"),
    _row("fec0::/10", "site-local"),
    _row("ff00::/8", "multicast"),
    _row("64:ff9b::/96", "a NAT64 address whose prefix is not declared in egress.nat64_prefixes"),
    _row("64:ff9b:1::/48", "a NAT64 address whose prefix is not declared in egress.nat64_prefixes"),
    _row("::/3", "not public unicast"),
    _row("4000::/2", "not public unicast"),
    _row("8000::/1", "not public unicast"),
)
_OPENABLE = tuple(ip_network(row.network) for row in _DENIED_V4 + _DENIED_V6 if row.kind == "private")

# RFC 6052, section 2.2: the lengths a NAT64 prefix may have.
_NAT64_LENGTHS = (32, 40, 48, 56, 64, 96)
_NAT64_HOMES = tuple(IPv6Network(text) for text in ("2000::/3", "64:ff9b::/96", "64:ff9b:1::/48", "fc00::/7"))


def judge_address(address: str | Address, nat64_prefixes: Sequence[IPv6Network] = ()) -> str | None:
    """None if anyone may connect to this address, otherwise the reason in words.

    A mapped address (`::ffff:a.b.c.d`) is judged as the IPv4 address it reaches, and so is one below a declared
    NAT64 prefix. Text that is not exactly one address is refused too.
    """
    parsed = _parse(address)
    if isinstance(parsed, str):
        return parsed
    row = _refusal(parsed, nat64_prefixes)
    return None if row is None else _reason(parsed, row)


def plainly(address: str) -> str:
    """The one spelling of an address that was judged; of a mapped one, that of the IPv4 address it reaches."""
    return str(_parse(address))


def _parse(address: str | Address) -> Address | str:
    """The address that would really be reached, or the reason why there is none."""
    try:
        parsed = ip_address(address) if isinstance(address, str) else address
    except ValueError:
        return f"{str(address)[:60]!r} is not an IP address"
    if isinstance(parsed, IPv6Address):
        if parsed.scope_id is not None:
            return f"{str(parsed)[:60]!r} has a zone id, which belongs to link-local addresses"
        return parsed.ipv4_mapped or parsed
    return parsed


_ISATAP = 0x00005EFE
"""RFC 5214, section 6.1: an interface id of 0000:5efe or 0200:5efe carries an IPv4 address to be reached."""


def _refusal(address: Address, nat64_prefixes: Sequence[IPv6Network]) -> _Denied | None:
    number = int(address)
    if isinstance(address, IPv4Address):
        return next((row for row in _DENIED_V4 if row.first <= number <= row.last), None)
    for prefix in nat64_prefixes:
        if address in prefix:
            return _refusal_behind_nat64(number, prefix)
    for row in _DENIED_V6:
        if row.first <= number <= row.last:
            return row
    if (number >> 32) & 0xFCFFFFFF == _ISATAP:
        inner = _refusal(IPv4Address(number & 0xFFFFFFFF), ())
        if inner is not None:
            return inner._replace(what=f"an ISATAP address for {inner.what}", kind="never")
    return None


def _refusal_behind_nat64(number: int, prefix: IPv6Network) -> _Denied | None:
    """The verdict on the IPv4 address carried behind a declared prefix (RFC 6052, section 2.2).

    It is never opened by a rule: a rule names what this machine reaches itself, not what a translator reaches.
    """
    inner, rest = _behind_nat64(number, prefix)
    if rest:
        return _row(str(prefix), "not a proper NAT64 address")
    found = _refusal(IPv4Address(inner), ())
    return None if found is None else found._replace(what=f"a NAT64 address for {found.what}", kind="never")


def _behind_nat64(number: int, prefix: IPv6Network) -> tuple[int, int]:
    """The IPv4 address, and what must be zero."""
    if prefix.prefixlen == 96:
        return number & 0xFFFFFFFF, 0
    # Bits 64 to 71 are skipped and must be zero, as must everything after the address.
    low = number & ((1 << (128 - prefix.prefixlen)) - 1)
    above = 64 - prefix.prefixlen
    skipped = (low >> 56) & 0xFF
    bits = ((low >> 64) << 56) | (low & ((1 << 56) - 1))
    return bits >> (24 + above), (bits & ((1 << (24 + above)) - 1)) | skipped


def _reached_by(address: Address, nat64_prefixes: Sequence[IPv6Network]) -> set[Address]:
    """The address, and the IPv4 address that a translator or a tunnel makes of it."""
    reached: set[Address] = {address}
    if isinstance(address, IPv6Address):
        number = int(address)
        reached |= {IPv4Address(_behind_nat64(number, prefix)[0]) for prefix in nat64_prefixes if address in prefix}
        if (number >> 32) & 0xFCFFFFFF == _ISATAP:
            reached.add(IPv4Address(number & 0xFFFFFFFF))
    return reached


def _reason(address: Address, row: _Denied) -> str:
    return f"{address} is {row.what} ({row.network})"


@dataclass(frozen=True, slots=True)
class AllowRule:
    """An administrator's permission to reach a private network.

    `goods_owner_id` None means every goods owner; `ports` None means every port.
    """

    goods_owner_id: int | None
    network: Network
    ports: frozenset[int] | None = None

    def covers(self, address: Address, port: int) -> bool:
        return address in self.network and (self.ports is None or port in self.ports)


class AddressPolicy:
    """Which addresses this installation may connect to, and for whom.

    `allow_loopback` lets 127.0.0.0/8 and ::1 through for everybody (demo and tests). Link-local addresses and cloud
    metadata stay refused whatever is set, and so do `own_addresses` (this machine's interfaces; whoever reads them sets
    them anew) and `own_ports` on them and on loopback. `private_names` says whether a target URL may use a name that only a
    private network can resolve: `wms-db`, `printer.local`.
    """

    def __init__(
        self,
        rules: Sequence[AllowRule] = (),
        allow_loopback: bool = False,
        nat64_prefixes: Sequence[str | IPv6Network] = (),
        *,
        private_names: bool = False,
        own_ports: Iterable[int] = (),
    ) -> None:
        self.own_addresses: frozenset[Address] = frozenset()
        self.own_ports = frozenset(own_ports)
        self.rules = tuple(rules)
        self.allow_loopback = allow_loopback
        self.nat64_prefixes = parse_nat64_prefixes(nat64_prefixes)
        self.private_names = private_names

    def judge(self, address: str | Address, port: int, goods_owners: frozenset[int] | None) -> str | None:
        """None if a webhook of these goods owners may connect there, otherwise the reason in words.

        `goods_owners` None means a webhook of all of them; then only a rule for `*` opens a private network.
        The reason names the address: show it to whoever entered that address, not to who only named a host.
        """
        parsed = _parse(address)
        if isinstance(parsed, str):
            return parsed
        is_ours = not self.own_addresses.isdisjoint(_reached_by(parsed, self.nat64_prefixes))
        if port in self.own_ports and (parsed.is_loopback or is_ours):
            return f"{parsed} with port {port} is Dockbell itself"
        row = _refusal(parsed, self.nat64_prefixes)
        if row is None:
            # Through its public address a machine reaches what the firewall before it keeps the world from.
            return f"{parsed} is an address of this very machine" if is_ours else None
        if row.kind == "loopback" and self.allow_loopback:
            return None
        if row.kind == "private":
            if self._is_opened(parsed, port, goods_owners):
                return None
            return f"{_reason(parsed, row)} that no rule in egress.allow opens; {_to_open(parsed, port, goods_owners)}"
        return _reason(parsed, row)

    def _is_opened(self, address: Address, port: int, goods_owners: frozenset[int] | None) -> bool:
        covered = {rule.goods_owner_id for rule in self.rules if rule.covers(address, port)}
        # An empty set of goods owners is a subset of anything; it must not open a network.
        return None in covered or (bool(goods_owners) and covered.issuperset(goods_owners or ()))


def _to_open(address: Address, port: int, goods_owners: frozenset[int] | None) -> str:
    rule = f"{min(goods_owners) if goods_owners else '*'} {address}/{address.max_prefixlen}:{port}"
    if goods_owners and len(goods_owners) > 1:
        return f'the operator can add "{rule}", and one for each of its {len(goods_owners)} goods owners'
    return f'the operator can add "{rule}"'


_RULE = re.compile(
    r"(?P<owner>\*|[1-9][0-9]{0,14}) +(?P<network>[0-9A-Fa-f:.]+/[0-9]{1,3})(?::(?P<ports>[0-9]{1,5}(?:,[0-9]{1,5})*))?"
)
_WIDEST = {4: 16, 6: 48}


def parse_allow_rules(texts: Iterable[str], *, allow_wide: bool = False) -> tuple[AllowRule, ...]:
    """Rules as an administrator writes them: `114 10.1.0.0/16:8443,9443`, `* 192.168.4.0/24`, `* fd12:3456::/48`.

    Raises ConfigError naming every wrong entry. Networks wider than /16 (IPv4) or /48 (IPv6) need `allow_wide`.
    """
    rules: list[AllowRule] = []
    wrong: list[str] = []
    for number, text in enumerate(texts):
        rule = _parse_rule(text, allow_wide=allow_wide)
        if isinstance(rule, AllowRule):
            rules.append(rule)
        else:
            wrong.append(f"egress.allow[{number}] {text[:80]!r}: {rule}")
    if wrong:
        raise ConfigError(
            "; ".join(wrong),
            hint='Write "<goods owner id or *> <network>[:<port>,<port>]", for example "114 10.1.0.0/16:8443".',
        )
    return tuple(rules)


def _parse_rule(text: str, *, allow_wide: bool) -> AllowRule | str:
    match = _RULE.fullmatch(text.strip(" \t"))
    if match is None:
        return "is not a goods owner id or *, a blank, a network with its length, and perhaps ports"
    try:
        network = ip_network(match["network"])
    except ValueError as error:
        return f"is not a network: {error}"
    ports = frozenset(int(port) for port in match["ports"].split(",")) if match["ports"] else None
    if ports is not None and not all(1 <= port <= 65535 for port in ports):
        return "has a port outside 1 to 65535"
    if not any(network.version == home.version and network.overlaps(home) for home in _OPENABLE):
        return f"opens nothing: a rule can only open private networks ({', '.join(map(str, _OPENABLE))})"
    if network.prefixlen < _WIDEST[network.version] and not allow_wide:
        return f"is wider than /{_WIDEST[network.version]}; narrow it, or confirm with egress.allow_wide = true"
    return AllowRule(None if match["owner"] == "*" else int(match["owner"]), network, ports)


def parse_nat64_prefixes(prefixes: Iterable[str | IPv6Network]) -> tuple[IPv6Network, ...]:
    """The NAT64 prefixes of this network (RFC 6052); raises ConfigError naming every wrong one."""
    parsed: list[IPv6Network] = []
    wrong: list[str] = []
    for number, prefix in enumerate(prefixes):
        try:
            network = IPv6Network(prefix)
        except ValueError as error:
            wrong.append(f"egress.nat64_prefixes[{number}] is not an IPv6 network: {error}")
            continue
        if network.prefixlen not in _NAT64_LENGTHS:
            wrong.append(f"egress.nat64_prefixes[{number}] {network} must have the length 32, 40, 48, 56, 64 or 96")
        elif not any(network.subnet_of(home) for home in _NAT64_HOMES):
            wrong.append(f"egress.nat64_prefixes[{number}] {network} must lie in {', '.join(map(str, _NAT64_HOMES))}")
        parsed.append(network)
    if wrong:
        hint = "Ask who runs the network for its NAT64 prefix, or look up ipv4only.arpa (RFC 7050)."
        raise ConfigError("; ".join(wrong), hint=hint)
    return tuple(parsed)
