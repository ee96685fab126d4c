"""What a webhook's settings say about stored credentials, and what is left of both when it moves to another host."""

from collections.abc import Mapping
from typing import Any

from dockbell.domain.addresses import AddressPolicy
from dockbell.domain.target_url import parse_target_url, same_origin
from dockbell.errors import InvalidInput


def uses(authentication: Mapping[str, Any], name: str) -> bool:
    return bool(authentication["type"] == {"password": "basic", "token": "token"}[name])


def is_moved(before: Mapping[str, Any], after: Mapping[str, Any], addresses: AddressPolicy) -> bool:
    """Whether the URL leads to another scheme, host or port, or to none."""
    if before["targetUrl"] == after.get("targetUrl"):
        return False
    owners = None if before["goodsOwnerIds"] is None else frozenset(before["goodsOwnerIds"])
    try:
        old, new = (parse_target_url(url, addresses, owners) for url in (before["targetUrl"], after.get("targetUrl")))
    except InvalidInput:
        return True
    return not same_origin(old, new)


def without_credentials(secrets: Mapping[str, Any]) -> dict[str, Any]:
    """What stays when a webhook moves to another host: signing keys are never sent, so they may."""
    return {"signing": secrets["signing"], "headers": {}}


def needs_credentials(document: Mapping[str, Any], kept: Mapping[str, Any]) -> bool:
    """True if the document relies on a stored secret that was dropped."""
    authentication = document.get("authentication")
    lacks = isinstance(authentication, Mapping) and (
        (authentication.get("type") == "basic" and authentication.get("password") is None)
        or (authentication.get("type") == "token" and authentication.get("token") is None)
    )
    return lacks or any(_is_emptied(header, kept) for header in _listed(document.get("headers")))


def without_dropped(document: Mapping[str, Any], kept: Mapping[str, Any]) -> dict[str, Any]:
    """The document without what relied on dropped secrets."""
    authentication = document.get("authentication")
    secret = {"basic": "password", "token": "token"}.get(_type_of(authentication), "")
    gone = bool(secret) and authentication.get(secret) is None  # type: ignore[union-attr]
    return {
        **document,
        "authentication": {"type": "none"} if gone else authentication,
        "headers": [header for header in _listed(document.get("headers")) if not _is_emptied(header, kept)],
    }


def _type_of(authentication: Any) -> str:
    found = authentication.get("type") if isinstance(authentication, Mapping) else None
    return found if isinstance(found, str) else ""


def _is_emptied(header: Any, kept: Mapping[str, Any]) -> bool:
    return (
        isinstance(header, Mapping)
        and bool(header.get("secret"))
        and header.get("value") is None
        and header.get("name") not in kept["headers"]
    )


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
