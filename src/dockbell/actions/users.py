"""Users, as an administrator sees them: invite, change, deactivate, links for new passwords."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from dockbell.actions import audit, sessions
from dockbell.actions.sign_in import INVITATION_VALID, PASSWORD_LINK_VALID, new_link, problems_with_name
from dockbell.clock import Moment, to_text
from dockbell.domain.credentials import problems_with_email
from dockbell.domain.permissions import SCOPES_OF_ROLE, Actor, no_such_goods_owner
from dockbell.errors import Conflict, InvalidInput, NotFound, Problem
from dockbell.store import counters, people, users
from dockbell.store.database import Row, Transaction


def everyone(tx: Transaction, actor: Actor, *, now: Moment) -> list[dict[str, Any]]:
    actor.need_everyone()
    return [view(tx, row, now=now) for row in users.everyone(tx)]


def get(tx: Transaction, actor: Actor, user_id: int, *, now: Moment) -> dict[str, Any]:
    actor.need_everyone()
    return view(tx, _must_find(tx, user_id), now=now)


def invite(
    tx: Transaction, actor: Actor, *, email: str, name: str, role: str, goods_owners: Sequence[int], now: Moment
) -> tuple[int, str]:
    """A user without a password, and the link to send to that person."""
    actor.need_everyone()
    email = email.strip().lower()
    problems = [*problems_with_email(email), *problems_with_name(name), *_problems_with_role(tx, role, goods_owners)]
    if not problems and users.find_by_email(tx, email) is not None:
        problems = [Problem("email", "email_taken", f"There is a user {email} already.")]
    if problems:
        raise InvalidInput(problems)
    owners = sorted(set(goods_owners)) if role == "goods-owner" else None
    user_id = _insert(tx, actor, email, name.strip(), role, owners, now=now)
    return user_id, new_link(tx, "invitation", user_id, expires_at=now + INVITATION_VALID)


def change_user(
    tx: Transaction, actor: Actor, user_id: int, *, name: str, role: str, goods_owners: Sequence[int], now: Moment
) -> None:
    """Another name or role; the user's sessions go on with it."""
    actor.need_everyone()
    row = _must_find(tx, user_id, for_update=True)
    if problems := [*problems_with_name(name), *_problems_with_role(tx, role, goods_owners)]:
        raise InvalidInput(problems)
    if row["role"] == "administrator" and role != "administrator":
        _need_another_administrator(tx, user_id)
    owners = json.dumps(sorted(set(goods_owners))) if role == "goods-owner" else None
    before = _noted(row)
    users.change(tx, user_id, {"name": name.strip(), "role": role, "goods_owners": owners})
    _note(tx, actor, "user.changed", user_id, now=now, before=before, after=_noted(_must_find(tx, user_id)))


def deactivate(tx: Transaction, actor: Actor, user_id: int, *, now: Moment) -> None:
    """The user can do nothing any more, from this moment on; links for a password are dead also after activation."""
    actor.need_everyone()
    row = _must_find(tx, user_id, for_update=True)
    if row["deactivated_at"] is not None:
        raise Conflict("The user is deactivated already.", code="deactivated")
    if row["role"] == "administrator":
        _need_another_administrator(tx, user_id)
    users.change(tx, user_id, {"deactivated_at": now})
    users.end_sessions_of(tx, user_id)
    users.forget_links_of(tx, user_id)
    _note(tx, actor, "user.deactivated", user_id, now=now)


def activate(tx: Transaction, actor: Actor, user_id: int, *, now: Moment) -> None:
    actor.need_everyone()
    _must_find(tx, user_id)
    users.change(tx, user_id, {"deactivated_at": None})
    _note(tx, actor, "user.activated", user_id, now=now)


def password_link(tx: Transaction, actor: Actor, user_id: int, *, now: Moment) -> str:
    """A link for a new password, to send to the person; it works until a password was chosen in whichever way."""
    actor.need_everyone()
    row = _must_find(tx, user_id, for_update=True)
    if row["deactivated_at"] is not None:
        raise Conflict("The user is deactivated; activate them first.", code="deactivated")
    _note(tx, actor, "user.password-link", user_id, now=now)
    if row["password_hash"] is None:
        return new_link(tx, "invitation", user_id, expires_at=now + INVITATION_VALID)
    return new_link(tx, "password", user_id, expires_at=now + PASSWORD_LINK_VALID)


def link_by_email(tx: Transaction, actor: Actor, email: str, *, now: Moment) -> str:
    row = users.find_by_email(tx, email.strip().lower())
    if row is None:
        raise NotFound(f"There is no user {email.strip()[:100]!r}.")
    return password_link(tx, actor, row["id"], now=now)


def end_sessions(tx: Transaction, actor: Actor, user_id: int, *, now: Moment) -> int:
    actor.need_everyone()
    _must_find(tx, user_id)
    _note(tx, actor, "user.sessions-ended", user_id, now=now)
    return users.end_sessions_of(tx, user_id)


def view(tx: Transaction, row: Row, *, now: Moment) -> dict[str, Any]:
    live = [each for each in users.sessions_of(tx, row["id"]) if sessions.is_live(each, now)]
    return {
        "id": row["id"],
        **_noted(row),
        "createdAt": to_text(row["created_at"]),
        "deactivatedAt": None if row["deactivated_at"] is None else to_text(row["deactivated_at"]),
        "invited": row["password_hash"] is None,
        "sessions": len(live),
        "lastSeenAt": max((to_text(each["used_at"]) for each in live), default=None),
    }


def _insert(
    tx: Transaction, actor: Actor, email: str, name: str, role: str, owners: list[int] | None, *, now: Moment
) -> int:
    user_id = users.insert(
        tx, email=email, name=name, role=role, goods_owners=None if owners is None else json.dumps(owners),
        password_hash=None, now=now,
    )  # fmt: skip
    _note(tx, actor, "user.invited", user_id, now=now, after=_noted(_must_find(tx, user_id)))
    return user_id


def _noted(row: Row) -> dict[str, Any]:
    return {
        "email": row["email"],
        "name": row["name"],
        "role": row["role"],
        "goodsOwnerIds": None if row["goods_owners"] is None else json.loads(row["goods_owners"]),
    }


def _note(
    tx: Transaction,
    actor: Actor,
    action: str,
    user_id: int,
    *,
    now: Moment,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    audit.note(tx, actor, action, f"user/{user_id}", now=now, before=before, after=after)


def _must_find(tx: Transaction, user_id: int, *, for_update: bool = False) -> Row:
    row = users.find(tx, user_id, for_update=for_update)
    if row is None:
        raise NotFound(f"There is no user {user_id}.")
    return row


def _need_another_administrator(tx: Transaction, user_id: int) -> None:
    counters.locked(tx, counters.USER_ID)  # two administrators may deactivate each other at once
    others = [
        row
        for row in users.everyone(tx)
        if row["role"] == "administrator" and row["id"] != user_id and row["deactivated_at"] is None
        and row["password_hash"] is not None
    ]  # fmt: skip
    if not others:
        raise Conflict(
            "This is the last administrator who can sign in.",
            code="last_administrator",
            hint="Make another one first.",
        )


def _problems_with_role(tx: Transaction, role: str, goods_owners: Sequence[int]) -> list[Problem]:
    if role not in SCOPES_OF_ROLE:
        return [Problem("role", "role", f"Choose one of {', '.join(SCOPES_OF_ROLE)}.")]
    if role != "goods-owner":
        return []
    if not goods_owners:
        return [Problem("goodsOwnerIds", "goods_owners", "Choose at least one goods owner.")]
    return [
        Problem("goodsOwnerIds", "goods_owner", no_such_goods_owner(owner).message)
        for owner in goods_owners
        if people.goods_owner(tx, owner) is None
    ]
