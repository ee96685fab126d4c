"""Signing in, lock-out, one-time links, and what users do with their own account."""

import hmac
import secrets
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

from dockbell.actions import audit, passwords, sessions
from dockbell.clock import DAY, FURTHEST_AHEAD, MINUTE, SECOND, Moment, to_text
from dockbell.domain.credentials import problems_with_email
from dockbell.domain.permissions import SYSTEM, Actor
from dockbell.errors import Conflict, InvalidInput, NotFound, NotSignedIn, Problem, TooMuch
from dockbell.store import counters, users
from dockbell.store.database import Database, Row, Transaction

FIRST_LINK_VALID = 30 * MINUTE
INVITATION_VALID = 7 * DAY
PASSWORD_LINK_VALID = DAY
WATCHED = 15 * MINUTE
MOST_FAILURES, MOST_FAILURES_OF_ADDRESS = 5, 50
FIRST_LOCK_S, LONGEST_LOCK_S = 30, 900


# Signing in.


async def sign_in(database: Database, email: str, password: str, *, address: str, browser: str, now: Moment) -> str:
    """A session for the user, as its browser shall hold it.

    Raises NotSignedIn, the same for an unknown user, a wrong password and one who was deactivated, TooMuch after too
    many failures (5 of one account from one address, 50 of one address, in a quarter of an hour), and Unavailable when
    too many sign in at once.
    """
    with passwords.trying(address):
        tried, row = await database.write(lambda tx: _book(tx, email, address, now))
        known = None if row is None or row["deactivated_at"] is not None else row["password_hash"]
        fits = await passwords.fits(known, password)
        if not fits or row is None:
            await database.write(lambda tx: _note_failure(tx, tried, row, now))
            raise _wrong()
        fresh = await passwords.hashed(password) if passwords.is_outdated(row["password_hash"]) else None

    def begin(tx: Transaction) -> str:
        current = users.find(tx, row["id"], for_update=True)
        if current is None or current["deactivated_at"] is not None or current["password_hash"] != known:
            raise _wrong()  # while the password was being judged, an administrator or the user was quicker
        _forgive(tx, tried, now)
        if fresh is not None:
            users.change(tx, row["id"], {"password_hash": fresh})
        actor = sessions.actor_of({**current, "user_id": row["id"]}, address)
        audit.note(tx, actor, "user.signed-in", f"user/{row['id']}", now=now)
        return sessions.begin(tx, row["id"], address=address, browser=browser, now=now)

    return await database.write(begin)


def _wrong() -> NotSignedIn:
    return NotSignedIn("E-mail address or password is wrong.")


@dataclass(frozen=True, slots=True)
class _Try:
    """A password being tried. It counts as a failure from before it is judged, so that tries at once all count."""

    account: str
    address: str
    at: Moment
    client: str
    """Where it came from."""


def _book(tx: Transaction, email: str, address: str, now: Moment) -> tuple[_Try, Row | None]:
    """Count the try, and find the user; raises TooMuch, counting nothing, where there were too many."""
    email = email.strip().lower()
    place = _place(address)
    counters.locked(tx, counters.USER_ID)  # on PostgreSQL tries run side by side: each must see those before it
    # Of one address no two tries have the same moment: each can be taken back by itself.
    at = max(now, _failures(tx, f"address {place}", now)[1] + 1)
    tried = _Try(f"account {email[:300]} {place}", f"address {place}", at, address)
    _unless_locked(tx, tried, now)
    users.failed_sign_in(tx, [tried.account, tried.address], now=tried.at)
    return tried, users.find_by_email(tx, email)


def _place(address: str) -> str:
    """Who has one IPv6 address has all of its /64."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    whole = parsed.version == 4 or parsed.ipv4_mapped is not None
    return address if whole else str(ip_network((address, 64), strict=False))


def _forgive(tx: Transaction, tried: _Try, now: Moment) -> None:
    """The password was right: the account's failures are forgotten, and of the address's this try alone."""
    users.forget_failed_sign_ins(tx, who=tried.account, before=now - WATCHED)
    users.forget_failed_sign_in(tx, tried.address, at=tried.at)


def _note_failure(tx: Transaction, tried: _Try, row: Row | None, now: Moment) -> None:
    """For administrators. What was typed is not kept: of a user nobody knows it may be a password in the wrong field."""
    about = "user/unknown" if row is None else f"user/{row['id']}"
    stranger = Actor("stranger", "not signed in", frozenset(), frozenset(), "user", tried.client)
    audit.note(tx, stranger, "user.sign-in-failed", about, now=now)
    if _failures(tx, tried.account, now)[0] >= MOST_FAILURES:
        audit.note(tx, stranger, "user.locked", about, now=now)


def _failures(tx: Transaction, who: str, now: Moment) -> tuple[int, Moment]:
    """How many there were lately, and when the last was."""
    return users.failed_sign_ins(tx, who, since=now - WATCHED, until=now + FURTHEST_AHEAD)


def _unless_locked(tx: Transaction, tried: _Try, now: Moment) -> None:
    failures, last = _failures(tx, tried.account, now)
    if failures < MOST_FAILURES:
        of_address, last = _failures(tx, tried.address, now)
        if of_address < MOST_FAILURES_OF_ADDRESS:
            return
    lock_s = min(LONGEST_LOCK_S, FIRST_LOCK_S * 2 ** max(0, failures - MOST_FAILURES))
    left_s = (last + lock_s * SECOND - now) // SECOND + 1
    if left_s > 0:
        raise TooMuch(
            f"Too many tries. Try again in {left_s} seconds.",
            retry_after_s=left_s,
            code="locked",
            hint="An administrator can make a link for a new password.",
        )


# One-time links. Whoever has one may choose a password; the database knows only its SHA-256.


def first_link(tx: Transaction, *, now: Moment) -> str | None:
    """A link for the first administrator; None when there is one already. Earlier ones stop working."""
    counters.locked(tx, counters.USER_ID)  # two who begin at once must not both become the first
    if any(
        row["role"] == "administrator" and row["password_hash"] is not None and row["deactivated_at"] is None
        for row in users.everyone(tx)
    ):
        return None
    return new_link(tx, "first", None, expires_at=now + FIRST_LINK_VALID)


def new_link(tx: Transaction, purpose: str, user_id: int | None, *, expires_at: Moment) -> str:
    """A link that works once; an earlier one for the same stops working."""
    users.forget_links(tx, purpose=purpose, user_id=user_id)
    told = secrets.token_urlsafe(32)
    users.insert_link(tx, digest=sessions.digest(told), purpose=purpose, user_id=user_id, expires_at=expires_at)
    return told


@dataclass(frozen=True, slots=True)
class Link:
    """What a one-time link is for; `email` and `name` are empty for the first administrator."""

    purpose: str
    user_id: int | None
    email: str
    name: str


def link_of(tx: Transaction, told: str, *, now: Moment) -> Link:
    row = users.link(tx, sessions.digest(told), now=now)
    user = None if row is None or row["user_id"] is None else users.find(tx, row["user_id"])
    if row is None or (user is not None and user["deactivated_at"] is not None):
        raise NotFound(
            "This link has been used, has run out, or never was.",
            code="link",
            hint="Ask an administrator for another; the first administrator's is printed by `dockbell users first-link`.",
        )
    if user is None:
        return Link(row["purpose"], None, "", "")
    return Link(row["purpose"], user["id"], user["email"], user["name"])


async def use_link(
    database: Database, told: str, *, name: str, email: str, password: str, address: str, browser: str, now: Moment
) -> str:
    """Choose the password that the link is for; a session. `name` and `email` count for the first administrator."""
    link = await database.read(lambda tx: link_of(tx, told, now=now))
    first = link.user_id is None
    address_of_user = email.strip().lower() if first else link.email
    problems = passwords.problems_with(password, address_of_user)
    if first:
        problems = [*problems_with_name(name), *problems_with_email(address_of_user), *problems]
    if problems:
        raise InvalidInput(problems)
    with passwords.trying(address):
        password_hash = await passwords.hashed(password)

    def choose(tx: Transaction) -> str:
        if link.user_id is not None:
            users.find(tx, link.user_id, for_update=True)  # nobody deactivates them between this look and the commit
        link_of(tx, told, now=now)
        if not users.use_link(tx, sessions.digest(told)):
            raise Conflict("Somebody has used this link in this moment.", code="link")
        user_id = link.user_id
        if user_id is None:
            if first_link(tx, now=now) is None:
                raise Conflict("There is an administrator already.", code="first_taken")
            users.forget_links(tx, purpose="first", user_id=None)
            user_id = users.insert(
                tx, email=address_of_user, name=name.strip(), role="administrator", goods_owners=None,
                password_hash=None, now=now,
            )  # fmt: skip
            audit.note(tx, SYSTEM, "user.first", f"user/{user_id}", now=now, after={"email": address_of_user})
        _take_over(tx, user_id, password_hash)
        row = users.find(tx, user_id)
        assert row is not None
        actor = sessions.actor_of({**row, "user_id": user_id}, address)
        audit.note(tx, actor, "user.password-changed", f"user/{user_id}", now=now)
        return sessions.begin(tx, user_id, address=address, browser=browser, now=now)

    return await database.write(choose)


def _take_over(tx: Transaction, user_id: int, password_hash: str) -> None:
    """A new password ends what anyone may hold of the account: its sessions, and links for yet another password."""
    users.change(tx, user_id, {"password_hash": password_hash})
    users.end_sessions_of(tx, user_id)
    users.forget_links_of(tx, user_id)


# One's own account.


async def change_password(
    database: Database, who: sessions.SignedIn, *, old: str, new: str, address: str, browser: str, now: Moment
) -> str:
    """A new session; all others of the user end. Guesses of the old password are counted as those of signing in."""
    problems = passwords.problems_with(new, who.email, "newPassword")
    with passwords.trying(address):
        tried, row = await database.write(lambda tx: _book(tx, who.email, address, now))
        if row is None or not await passwords.fits(row["password_hash"], old):
            await database.write(lambda tx: _note_failure(tx, tried, row, now))
            raise InvalidInput([Problem("oldPassword", "password_wrong", "This is not your password."), *problems])
        await database.write(lambda tx: _forgive(tx, tried, now))
        if problems:
            raise InvalidInput(problems)
        password_hash = await passwords.hashed(new)

    def change(tx: Transaction) -> str:
        _need_active(tx, who)
        _take_over(tx, who.user_id, password_hash)
        audit.note(tx, who.actor, "user.password-changed", f"user/{who.user_id}", now=now)
        return sessions.begin(tx, who.user_id, address=address, browser=browser, now=now)

    return await database.write(change)


def change_account(tx: Transaction, who: sessions.SignedIn, *, name: str, language: str | None, now: Moment) -> None:
    if problems := problems_with_name(name):
        raise InvalidInput(problems)
    _need_active(tx, who)
    users.change(tx, who.user_id, {"name": name.strip(), "language": language})
    before = {"name": who.name, "language": who.language}
    after = {"name": name.strip(), "language": language}
    if before != after:
        about = f"user/{who.user_id}"
        audit.note(tx, who.actor, "user.account-changed", about, now=now, before=before, after=after)


def sign_out(tx: Transaction, who: sessions.SignedIn, *, now: Moment) -> None:
    users.end_session(tx, who.digest)
    audit.note(tx, who.actor, "user.signed-out", f"user/{who.user_id}", now=now)


def _need_active(tx: Transaction, who: sessions.SignedIn) -> None:
    """Raises NotSignedIn if the user was deactivated since the page was asked for; until the commit nobody can."""
    row = users.find(tx, who.user_id, for_update=True)
    if row is None or row["deactivated_at"] is not None:
        raise NotSignedIn("Sign in first.")


def own_sessions(tx: Transaction, who: sessions.SignedIn, *, now: Moment) -> list[dict[str, Any]]:
    return [
        _session_view(row, current=hmac.compare_digest(row["digest"], who.digest))
        for row in users.sessions_of(tx, who.user_id)
        if sessions.is_live(row, now)
    ]


def end_own_session(tx: Transaction, who: sessions.SignedIn, name: str, *, now: Moment) -> None:
    """End one of the user's sessions, named as `own_sessions` names it."""
    for row in users.sessions_of(tx, who.user_id):
        if row["digest"].startswith(name) and len(name) == len(_session_view(row, current=False)["id"]):
            users.end_session(tx, row["digest"])
            audit.note(tx, who.actor, "user.sessions-ended", f"user/{who.user_id}", now=now)
            return
    raise NotFound("There is no such session of yours.")


def problems_with_name(name: str) -> list[Problem]:
    if 1 <= len(name.strip()) <= 200 and name.strip().isprintable():
        return []
    return [Problem("name", "name", "The name must be 1 to 200 printable characters.")]


def _session_view(row: Row, *, current: bool) -> dict[str, Any]:
    return {
        "id": row["digest"][:16],
        "address": row["address"],
        "browser": row["browser"],
        "createdAt": to_text(row["created_at"]),
        "usedAt": to_text(row["used_at"]),
        "current": current,
    }
