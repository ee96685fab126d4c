"""A webhook: which event type, whose goods, where to, how to authenticate, which filters, which retry policy.

`Webhook` is the compiled form that matching and sending use: everything that is the same for each
attempt is worked out once, here. Settings are the camelCase document that the API speaks and the
store keeps; secrets are a document of their own, sealed in the store.
"""

import base64
import html
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote, quote_plus

from dockbell.clock import Moment
from dockbell.domain.addresses import AddressPolicy
from dockbell.domain.credentials import decode_signing_secret
from dockbell.domain.filters import Condition, Filter, StatusChange
from dockbell.domain.retry_policy import NAMED, RetryPolicy, own_steps
from dockbell.domain.target_url import TargetUrl, parse_target_url
from dockbell.errors import InvalidInput

Kind = Literal["regular", "automation"]
MASK = "***"
SHORTEST_MASKED = 6


@dataclass(frozen=True, slots=True)
class SigningSecret:
    """Signs until `until`; the newest one has no end."""

    key: bytes = field(repr=False)
    until: Moment | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    id: int
    version: int
    kind: Kind
    name: str
    event_type: str
    goods_owners: frozenset[int] | None
    """None: every goods owner, only for automation webhooks."""
    enabled: bool
    deleted: bool
    filter: Filter
    retry_policy: RetryPolicy
    timeout_s: float
    max_concurrency: int
    keeps_order: bool
    """Of what is about one object the next is sent only when the one before has ended."""
    url: TargetUrl | None
    """None when the stored URL is refused by today's rules; `url_problem` says why."""
    url_problem: str
    own_headers: tuple[str, ...] = field(repr=False)
    """Authentication and additional headers as complete lines."""
    masked_headers: tuple[str, ...]
    """The same lines as they may be shown."""
    signing_secrets: tuple[SigningSecret, ...] = field(repr=False)
    secret_texts: tuple[str, ...] = field(default=(), repr=False)
    """What must not show in a stored response, the longest first: a receiver may send back what it got."""

    def serves(self, goods_owner_id: int) -> bool:
        return self.goods_owners is None or goods_owner_id in self.goods_owners


def compile_webhook(
    *,
    webhook_id: int,
    version: int,
    enabled: bool,
    deleted: bool,
    settings: Mapping[str, Any],
    secrets: Mapping[str, Any],
    addresses: AddressPolicy,
    fingerprint: Callable[[str], str],
) -> Webhook:
    """Settings and opened secrets, ready for use. `fingerprint` names a secret without telling it."""
    if deleted:  # it stays for good, so that what it did can be explained; what it sent with would stay along
        settings = {**settings, "filters": {}, "headers": [], "authentication": {"type": "none"}}
    owners = settings["goodsOwnerIds"]
    goods_owners = None if owners is None else frozenset(owners)
    url, url_problem = None, ""
    try:
        url = parse_target_url(settings["targetUrl"], addresses, goods_owners)
    except InvalidInput as refused:
        url_problem = refused.message
    lines, masked = header_lines(settings, secrets, fingerprint)
    return Webhook(
        id=webhook_id,
        version=version,
        kind=settings["kind"],
        name=settings["name"],
        event_type=settings["eventType"],
        goods_owners=goods_owners,
        enabled=enabled,
        deleted=deleted,
        filter=filter_from(settings["filters"]),
        retry_policy=retry_policy_from(settings["retryPolicy"]),
        timeout_s=settings["timeoutInSeconds"],
        max_concurrency=settings["maxConcurrency"],
        keeps_order=settings.get("keepOrder", False),
        url=url,
        url_problem=url_problem,
        own_headers=lines,
        masked_headers=masked,
        signing_secrets=tuple(
            SigningSecret(decode_signing_secret(entry["secret"]), entry.get("until"))
            for entry in secrets.get("signing", [])
        ),
        secret_texts=secret_texts(settings, secrets),
    )


def header_lines(
    settings: Mapping[str, Any],
    secrets: Mapping[str, Any],
    fingerprint: Callable[[str], str],
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The webhook's own header lines, and the same with secrets masked."""
    lines: list[str] = []
    masked: list[str] = []

    def add(name: str, value: str, shown: str) -> None:
        lines.append(f"{name}: {value}" if value else f"{name}:")
        masked.append(f"{name}: {shown}" if shown else f"{name}:")

    authentication = settings["authentication"]
    if authentication["type"] == "basic":
        pair = f"{authentication['username']}:{secrets.get('password', '')}"
        encoded = base64.b64encode(pair.encode()).decode()
        add("Authorization", f"Basic {encoded}", f"Basic {MASK} ({fingerprint(pair)})")
    elif authentication["type"] == "token":
        token = secrets.get("token", "")
        add("X-Auth-Token", token, f"{MASK} ({fingerprint(token)})")
    for header in settings["headers"]:
        name = header["name"]
        if header.get("secret"):
            value = secrets.get("headers", {}).get(name, "")
            add(name, value, f"{MASK} ({fingerprint(value)})")
        else:
            add(name, header["value"], header["value"])
    return tuple(lines), tuple(masked)


def secret_texts(settings: Mapping[str, Any], secrets: Mapping[str, Any]) -> tuple[str, ...]:
    """Each secret that is sent, in the forms it is sent in and those a receiver may write it down in: JSON, URL, hex, base64.

    Those under six characters are left out: masking "1234" would blot out half of a response and tell where it stood.
    """
    found = {str(secrets.get("token", "")), str(secrets.get("password", "")), *secrets.get("headers", {}).values()}
    if settings["authentication"]["type"] == "basic":
        pair = f"{settings['authentication']['username']}:{secrets.get('password', '')}"
        found |= {pair, base64.b64encode(pair.encode()).decode()}
    found |= {entry["secret"] for entry in secrets.get("signing", [])}
    written = {form for text in found if len(text) >= SHORTEST_MASKED for form in _written(text)}
    return tuple(sorted(written, key=len, reverse=True))


def _written(secret: str) -> tuple[str, ...]:
    plain, as_json = secret.encode(), json.dumps(secret)[1:-1]
    return (
        secret,
        as_json,
        as_json.replace("/", "\\/"),  # PHP
        "".join(f"\\u{ord(each):04x}" if each in "+&'<>`" else each for each in as_json),  # .NET
        html.escape(secret),
        html.escape(secret).replace("&#x27;", "&#39;"),
        json.dumps(secret, ensure_ascii=False)[1:-1],
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        plain.hex(),
        base64.b64encode(plain).decode().rstrip("="),
        base64.urlsafe_b64encode(plain).decode().rstrip("="),
    )


def filter_from(document: Mapping[str, Any]) -> Filter:
    return Filter(
        transporters=tuple(document.get("transporters", ())),
        order_types=tuple(document.get("orderTypes", ())),
        statuses=tuple(StatusChange(entry["to"], entry.get("from")) for entry in document.get("statuses", ())),
        with_purchase_order=bool(document.get("fireWhenPurchaseOrderIsCreated", False)),
        conditions=tuple(
            Condition(entry["field"], entry["operator"], entry.get("value")) for entry in document.get("conditions", ())
        ),
    )


def retry_policy_from(document: Mapping[str, Any]) -> RetryPolicy:
    if document["name"] == "own":
        return own_steps(tuple(document["stepsInSeconds"]))
    return NAMED[document["name"]]
