"""Sessions: what a browser holds, and which user's actor it stands for.

The browser holds 256 random bits; the database only their SHA-256. A session ends after half an hour without a
page, after twelve hours in any case, and when a clock that was ahead as it was used comes back.
"""

import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass

from dockbell.clock import FURTHEST_AHEAD, HOUR, MINUTE, Moment
from dockbell.domain.permissions import SCOPES_OF_ROLE, Actor, Role
from dockbell.store import users
from dockbell.store.database import Row, Transaction

IDLE = 30 * MINUTE
LONGEST = 12 * HOUR
NOTED_EVERY = MINUTE
"""How exactly the database knows when a session was last used: a page must not cost a write each time."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who is looking at a page."""

    user_id: int
    name: str
    email: str
    role: Role
    language: str | None
    """None: as the browser prefers."""
    actor: Actor
    digest: str
    """Names the session in the database."""
    csrf: str
    """What every form must carry back: nobody but this session's pages knows it."""
    is_due: bool
    """True when the database should be told that the session is in use."""


def begin(tx: Transaction, user_id: int, *, address: str, browser: str, now: Moment) -> str:
    """A new session; what the browser shall hold."""
    held = secrets.token_urlsafe(32)
    users.forget_old_sessions(tx, used_before=now - IDLE, begun_before=now - LONGEST, ahead_of=now + FURTHEST_AHEAD)
    users.insert_session(tx, digest=digest(held), user_id=user_id, address=address, browser=browser[:200], now=now)
    return held


def who_holds(tx: Transaction, held: str, *, address: str, now: Moment) -> SignedIn | None:
    """The user whose browser holds this; None when the session has ended or the user was deactivated."""
    row = users.session(tx, digest(held))
    if row is None or row["deactivated_at"] is not None:
        return None
    if not is_live(row, now):
        return None
    return SignedIn(
        user_id=row["user_id"],
        name=row["name"],
        email=row["email"],
        role=row["role"],
        language=row["language"],
        actor=actor_of(row, address),
        digest=row["digest"],
        csrf=hmac.digest(held.encode(), b"form", "sha256").hex(),
        is_due=now - row["used_at"] > NOTED_EVERY,
    )


def is_live(row: Row, now: Moment) -> bool:
    """Whether the session has not ended; it is forgotten only when somebody signs in."""
    return _lasts(row["used_at"], IDLE, now) and _lasts(row["created_at"], LONGEST, now)


def _lasts(since: Moment, span: int, now: Moment) -> bool:
    """Whether no more than `span` has passed. Of a time that is to come nobody knows how long ago it was."""
    return since - FURTHEST_AHEAD <= now <= since + span


def actor_of(row: Row, address: str) -> Actor:
    """What a user may do by role, for which goods owners. `row` has user_id, email, role and goods_owners."""
    owners = None if row["goods_owners"] is None else frozenset(json.loads(row["goods_owners"]))
    if row["role"] == "goods-owner" and owners is None:
        owners = frozenset()
    return Actor(f"user-{row['user_id']}", row["email"], SCOPES_OF_ROLE[row["role"]], owners, "user", address)


def digest(held: str) -> str:
    return hashlib.sha256(held.encode()).hexdigest()
