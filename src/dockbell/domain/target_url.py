"""Target URLs: what an administrator may enter as the place a webhook sends to.

One strict expression of our own decides, and `urllib.parse` must read the same parts out of the text, because the
gap between two readers of a URL is where forged targets live. An accepted text is kept and sent byte for byte.
The same function judges at save, at import and again before each send.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import NoReturn
from urllib.parse import urlsplit

from dockbell.domain.addresses import AddressPolicy
from dockbell.errors import InvalidInput, Problem

LONGEST_URL = 2048

# RFC 3986 leaves these out of every URL; several readers turn a backslash into a slash.
_FORBIDDEN = re.compile(r'[^\x21-\x7E]|[\\<>"^`{|}]')
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^?#]*)(\?[^#]*)?(#.*)?")
_AUTHORITY = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::([0-9]{1,5}))?")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
# The WHATWG URL standard calls such a last label a number; inet_aton() would take the host for an IPv4 address.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_QUAD = re.compile(r"(?:(?:0|[1-9][0-9]{0,2})\.){3}(?:0|[1-9][0-9]{0,2})")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")

# Names that mean this machine or nothing at all, and names that only a private network resolves.
_NEVER_NAMES = ("localhost", "localdomain", "onion", "invalid")
_PRIVATE_NAMES = ("local", "internal", "intranet", "lan", "home.arpa")

# The ports browsers refuse (WHATWG Fetch, "bad port"), because other protocols there can be fooled by an HTTP
# request, and the usual ports of file servers, container engines, databases and caches.
_DENIED_PORTS = frozenset(
    {1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109}
    | {110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530}
    | {531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045}
    | {4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080}
    | {2375, 2379, 3306, 5432, 6379, 9200, 11211, 27017}
)
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class TargetUrl:
    """An accepted target URL and its parts."""

    text: str
    """As entered, byte for byte."""
    scheme: str
    host: str
    """Lower-case, an IPv6 address without its brackets."""
    port: int
    target: str
    """Path and query exactly as they stand on the request line; at least `/`."""
    is_literal: bool
    """The host is an address, so there is no name to resolve."""


def parse_target_url(
    text: object,
    policy: AddressPolicy,
    goods_owners: frozenset[int] | None,
    *,
    allow_http: bool = True,
    field: str = "targetUrl",
) -> TargetUrl:
    """The parts of an acceptable target URL; raises InvalidInput with the one rule that was broken first.

    `goods_owners` are those of the webhook, None for all. An address in place of a name is judged at once; a name
    is only judged by its form, since what it resolves to can change until the moment of sending.
    """
    if not isinstance(text, str) or not text:
        _refuse(field, "url_type", "The URL must be text such as https://hooks.example.com/dockbell, and not empty.")
    if len(text) > LONGEST_URL:
        _refuse(field, "url_too_long", f"The URL has {len(text):,} characters; at most {LONGEST_URL:,} are allowed.")
    if (bad := _FORBIDDEN.search(text)) is not None:
        _refuse(
            field,
            "url_charset",
            f"The URL has {_character(bad[0])} at character {bad.start() + 1}. Only visible ASCII without "
            '\\ < > " ^ ` { | } '
            "is allowed: escape it as %XX in the path, write an international host name in its xn-- form.",
        )
    parts = _URL.fullmatch(text)
    if parts is None:
        _refuse(field, "url_syntax", f"{_shown(text)} does not begin with https:// or http:// and a host.")
    scheme, authority, path, query, fragment = (part or "" for part in parts.groups())
    scheme = scheme.lower()
    allowed_schemes = ("https", "http") if allow_http else ("https",)
    if scheme not in allowed_schemes:
        allowed = " or ".join(allowed_schemes)
        _refuse(field, "url_scheme", f"The URL begins with {scheme[:20]}://; allowed is {allowed}.")
    if "@" in authority:
        _refuse(
            field,
            "url_userinfo",
            "The URL has a user name before the host. Enter user name and password under authentication, "
            "where they are kept encrypted.",
        )
    if fragment:
        _refuse(field, "url_fragment", "The URL has a # part, which is never sent. Remove it, or write # as %23.")
    host, port, literal = _host_and_port(authority, scheme, policy, field)
    if literal:
        reason = policy.judge(host, port, goods_owners)
        if reason is not None:
            _refuse(field, "egress_denied_address", f"{reason}. Use a public address or name.")
    if port in _DENIED_PORTS:
        _refuse(field, "url_port_denied", f"The URL uses port {port}, which belongs to another protocol than HTTP.")
    if (bad := _BAD_ESCAPE.search(path + query)) is not None:
        _refuse(field, "url_escape", f"The URL has {(path + query)[bad.start() :][:3]!r}; write % itself as %25.")
    url = TargetUrl(text, scheme, host, port, (path or "/") + query, literal)
    if not _python_agrees(url, path, query):
        _refuse(field, "url_syntax", f"{_shown(text)} can be read in two ways; write it more simply.")
    return url


def _character(text: str) -> str:
    """As one reads it; what is no ASCII by its name, since letters of several scripts look alike."""
    if text.isascii() and text.isprintable():
        return "a blank" if text == " " else f'"{text}"' if text != '"' else f"'{text}'"
    return f"{unicodedata.name(text, 'a character')} (U+{ord(text):04X})"


def _host_and_port(authority: str, scheme: str, policy: AddressPolicy, field: str) -> tuple[str, int, bool]:
    """Host (lower-case, no brackets), port, and whether the host is an address."""
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        _refuse(
            field,
            "url_host",
            f"The URL has {authority[:80]!r} where a host name, an IPv4 address or an [IPv6 address] without zone id "
            "must stand, followed at most by a colon and a port."
            if authority
            else "The URL has no host: write it behind the two slashes, as in https://hooks.example.com/dockbell.",
        )
    in_brackets, name, port_text = match.groups()
    if in_brackets is not None:
        host, literal = in_brackets.lower(), True
        try:
            IPv6Address(host)
        except ValueError as error:
            _refuse(field, "url_host", f"The URL has a host that is not an IPv6 address: {error}.")
    else:
        host = name.lower()
        literal = _is_quad_or_name(host, policy, field)
    if port_text is None:
        return host, _DEFAULT_PORTS[scheme], literal
    # Not port_text.lstrip("0"): 080 has more than one reading, and the Host header must show what was entered.
    if port_text.startswith("0") or int(port_text) > 65535:
        _refuse(field, "url_port", f"The URL has the port {port_text}; allowed is 1 to 65535 without leading zeros.")
    return host, int(port_text), literal


def _is_quad_or_name(host: str, policy: AddressPolicy, field: str) -> bool:
    """True for a canonical dotted quad, False for an acceptable name; everything else is refused."""
    if host.endswith("."):
        _refuse(field, "url_host_trailing_dot", f"The URL has the host {host[:80]!r}; remove the dot at its end.")
    labels = host.split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        _refuse(
            field,
            "url_host",
            f"The URL has the host {host[:80]!r}; allowed are labels of 1 to 63 letters, digits, - and _ (no - at "
            "either end), separated by dots, 253 characters in all.",
        )
    if _NUMBER.fullmatch(labels[-1]):
        if _QUAD.fullmatch(host) and all(int(label) <= 255 for label in labels):
            return True
        _refuse(
            field,
            "url_host_numeric",
            f"The URL has the host {host[:80]!r}, which some programs take for an IPv4 address. "
            "Write four decimal numbers from 0 to 255 without leading zeros, or a name.",
        )
    if host == "localhost" and policy.allow_loopback:
        return False
    reserved = _NEVER_NAMES if policy.private_names else _NEVER_NAMES + _PRIVATE_NAMES
    ending = next((name for name in reserved if host == name or host.endswith("." + name)), None)
    if ending in _PRIVATE_NAMES:
        _refuse(
            field,
            "url_host_reserved",
            f"The URL has the host {host[:80]!r}; names ending in {ending} do not exist on the public network. "
            "The operator can allow those of your own network: egress.private_names.",
        )
    if ending is not None:
        _refuse(
            field,
            "url_host_reserved",
            f"The URL has the host {host[:80]!r}; names ending in {ending} do not exist on the public network.",
        )
    if len(labels) == 1 and not policy.private_names:
        _refuse(
            field,
            "url_host_single_label",
            f"The URL has the host {host[:80]!r}; write the full name, such as {host[:63]}.example.com. "
            "The operator can allow names of your own network: egress.private_names.",
        )
    return False


def _python_agrees(url: TargetUrl, path: str, query: str) -> bool:
    try:
        read = urlsplit(url.text)
        port = read.port or _DEFAULT_PORTS[url.scheme]
    except ValueError:
        return False
    return (
        (read.scheme, read.hostname, port) == (url.scheme, url.host, url.port)
        and (read.path, read.query) == (path, query.removeprefix("?"))
        and read.username is None
        and read.password is None
        and not read.fragment
        and url.is_literal == _is_address(read.hostname or "")
    )


def _is_address(host: str) -> bool:
    try:
        (IPv6Address if ":" in host else IPv4Address)(host)
    except ValueError:
        return False
    return True


def _refuse(field: str, code: str, message: str) -> NoReturn:
    raise InvalidInput([Problem(field, code, message)])


def _shown(text: str) -> str:
    masked_text = masked(text)
    return repr(masked_text if len(masked_text) <= 100 else masked_text[:100] + "...")


_TELLING = frozenset(
    {"key", "apikey", "token", "accesstoken", "authtoken", "jwt", "bearer", "auth", "authorization", "code", "sas"}
    | {"secret", "clientsecret", "password", "passwd", "passphrase", "pwd", "pass", "credential", "credentials"}
    | {"sig", "signature", "hmac", "session", "sessionid"}
)


def warnings_for(url: TargetUrl, has_credentials: bool) -> list[str]:
    """What is allowed but unwise about this URL, in sentences for the person who entered it."""
    warnings = []
    if url.scheme == "http":
        carried = "the credentials and the event's data" if has_credentials else "the event's data"
        warnings.append(f"{url.host} is reached over plain HTTP: anyone on the way can read {carried}. Use https.")
    telling = [key for key in _query_keys(url.target) if _is_telling(key)]
    if telling:
        shown = ", ".join(telling[:5])
        warnings.append(
            f"The query looks as if it held a secret ({shown}). A URL is shown in lists and logs of both sides; "
            "use the webhook's authentication instead, which is kept encrypted."
        )
    return warnings


def _query_keys(target: str) -> Iterable[str]:
    _, _, query = target.partition("?")
    return (pair.partition("=")[0] for pair in query.split("&"))


def _is_telling(key: str) -> bool:
    words = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", key)
    words_of = [word for word in re.split(r"[^A-Za-z0-9]+", words.lower()) if word]
    return not _TELLING.isdisjoint(words_of) or "".join(words_of) in _TELLING


def same_origin(a: TargetUrl, b: TargetUrl) -> bool:
    """Scheme, host and port agree; if not, stored credentials must not follow the webhook to its new target."""
    return (a.scheme, a.host, a.port) == (b.scheme, b.host, b.port)


def masked(url_text: str) -> str:
    """The URL as logs may show it: query values, a user name's password and a # part replaced by `***`.

    Works on any text, since refused URLs are logged as well.
    """
    text, hash_sign, _ = url_text.partition("#")
    base, question_mark, query = text.partition("?")
    base = re.sub(r"//[^/]*@", "//***@", base)
    pairs = (key + "=***" if equals else "***" for key, equals, _ in (pair.partition("=") for pair in query.split("&")))
    shown_query = question_mark + "&".join(pairs) if query else question_mark
    return base + shown_query + (hash_sign and "#***")
