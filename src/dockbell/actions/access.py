"""API keys: making, revoking, and telling from a request's credentials who is acting.

A key is `whk_<8 characters>_<43 characters>`; only its SHA-256 is kept. It is shown once.
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from dockbell.actions import audit
from dockbell.clock import Moment, to_text
from dockbell.domain.permissions import SCOPES, Actor, no_such_goods_owner
from dockbell.errors import Malformed, NotFound, NotSignedIn, Problem, Problems
from dockbell.store import people
from dockbell.store.database import Database, Row, Transaction

_KEY = re.compile(r"whk_([A-Za-z0-9]{8})_[A-Za-z0-9_-]{43}")
_ID_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghjkmnpqrstuvwxyz23456789"
LONGEST_HEADER = 4_096


@dataclass(frozen=True, slots=True)
class NewKey:
    key_id: str
    key: str
    """The whole key; nobody can read it again."""


def create_key(
    tx: Transaction,
    actor: Actor,
    *,
    label: str,
    scopes: Iterable[str],
    goods_owners: Iterable[int] | None,
    expires_at: Moment | None,
    now: Moment,
    also: Sequence[Problem] = (),
) -> NewKey:
    """Raises InvalidInput with everything that is wrong, and with what the caller found wrong `also`."""
    actor.need_everyone()
    wanted = sorted(set(scopes))
    problems = Problems(also)
    if not (1 <= len(label.strip()) <= 100 and label.isprintable()):
        problems.append(Problem("label", "label", "The label must be 1 to 100 printable characters."))
    problems += [
        Problem("scopes", "scope", f"{scope[:40]!r} is no scope. Scopes: {', '.join(SCOPES)}.")
        for scope in wanted
        if scope not in SCOPES
    ]
    if not wanted:
        problems.append(Problem("scopes", "scope", f"Choose at least one of {', '.join(SCOPES)}."))
    if expires_at is not None and expires_at <= now:
        problems.append(Problem("expiresAt", "expired", f"{to_text(expires_at)} is in the past."))
    owners = None if goods_owners is None else sorted(set(goods_owners))
    if owners == []:
        problems.append(Problem("goodsOwnerIds", "goods_owners", "Choose at least one goods owner, or null for all."))
    problems += [
        Problem("goodsOwnerIds", "goods_owner", no_such_goods_owner(owner).message)
        for owner in owners or ()
        if people.goods_owner(tx, owner) is None
    ]
    problems.refuse()
    key_id = "".join(secrets.choice(_ID_ALPHABET) for _ in range(8))
    key = f"whk_{key_id}_{secrets.token_urlsafe(32)}"
    people.insert_key(
        tx,
        key_id=key_id,
        label=label,
        digest=_digest(key),
        scopes=json.dumps(wanted),
        goods_owners=None if owners is None else json.dumps(owners),
        expires_at=expires_at,
        now=now,
    )
    after = {"label": label, "scopes": wanted, "goodsOwnerIds": owners}
    audit.note(tx, actor, "key.created", f"key/{key_id}", now=now, after=after)
    return NewKey(key_id, key)


def revoke_key(tx: Transaction, actor: Actor, key_id: str, *, now: Moment) -> None:
    actor.need_everyone()
    if not people.revoke_key(tx, key_id, now=now):
        raise NotFound(f"There is no valid key {key_id[:80]!r}.")
    audit.note(tx, actor, "key.revoked", f"key/{key_id}", now=now)


def list_keys(tx: Transaction, actor: Actor) -> list[dict[str, Any]]:
    actor.need_everyone()
    return [
        {
            "id": row["id"],
            "label": row["label"],
            "scopes": json.loads(row["scopes"]),
            "goodsOwnerIds": None if row["goods_owners"] is None else json.loads(row["goods_owners"]),
            "createdAt": to_text(row["created_at"]),
            "expiresAt": None if row["expires_at"] is None else to_text(row["expires_at"]),
            "revokedAt": None if row["revoked_at"] is None else to_text(row["revoked_at"]),
        }
        for row in people.keys(tx)
    ]


class KeyEnded(NotSignedIn):
    """A key that was right once. Its holder is told no more than others; `why` is for who may read about keys."""

    def __init__(self, actor: Actor, why: str) -> None:
        told = _not_signed_in()
        super().__init__(told.message, hint=told.hint)
        self.actor = actor
        self.why = why


class Doorkeeper:
    """Tells who is acting. Keys that were seen are remembered until any key changes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, tuple[Actor, Moment | None]] = {}
        database.listen("keys", self.forget)

    def forget(self) -> None:
        self._known = {}

    def known(self, authorization: str, *, now: Moment) -> Actor | None:
        """The actor of a header whose key is remembered and valid; None for any other."""
        key = _key_in(authorization)
        actor, expires_at = self._known.get(key, (None, None)) if key is not None else (None, None)
        return actor if expires_at is None or expires_at > now else None

    async def actor_of(self, authorization: list[str], *, now: Moment) -> Actor:
        """The actor of a request's Authorization headers; raises NotSignedIn without saying what was wrong."""
        if len(authorization) > 1:
            raise Malformed("The request has more than one Authorization header.", code="authorization_twice")
        key = _key_in(authorization[0]) if authorization else None
        if key is None:
            raise _not_signed_in()
        known = self._known.get(key)
        if known is None:
            remembered = self._known
            row = await self._database.read(lambda tx: people.key(tx, key.split("_")[1]))
            known = _actor_from(row, key)
            if len(remembered) > 10_000:
                remembered.clear()
            remembered[key] = known
        actor, expires_at = known
        if expires_at is not None and expires_at <= now:
            raise KeyEnded(actor, f"The key expired at {to_text(expires_at)}; make another for whoever uses it.")
        return actor


@lru_cache(maxsize=256)
def _key_in(header: str) -> str | None:
    """The key of `Bearer <key>`, or of `Basic`: the key as password (or its part after the id, with the id as user)."""
    if len(header) > LONGEST_HEADER or not header.isascii():
        return None
    scheme, _, value = header.partition(" ")
    value = value.strip(" ")
    if scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        value = password if password.startswith("whk_") else f"whk_{user.removeprefix('whk_')}_{password}"
    elif scheme.lower() != "bearer":
        return None
    return value if _KEY.fullmatch(value) else None


def _actor_from(row: Row | None, key: str) -> tuple[Actor, Moment | None]:
    digest = row["digest"] if row is not None else ""
    fits = hmac.compare_digest(digest.encode(), _digest(key).encode())
    if row is None or not fits:
        raise _not_signed_in()
    owners = None if row["goods_owners"] is None else frozenset(json.loads(row["goods_owners"]))
    actor = Actor(row["id"], row["label"], frozenset(json.loads(row["scopes"])), owners)
    if row["revoked_at"] is not None:
        raise KeyEnded(actor, f"The key was revoked at {to_text(row['revoked_at'])}; make another for whoever uses it.")
    return actor, row["expires_at"]


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _not_signed_in() -> NotSignedIn:
    return NotSignedIn(
        "A valid API key is needed.", hint="Send it as “Authorization: Bearer whk_...”, or as HTTP Basic."
    )
