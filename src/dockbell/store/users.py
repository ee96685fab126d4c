"""Users, their sessions and one-time links, and what went wrong when somebody signed in."""

from collections.abc import Mapping
from typing import Any

from dockbell.clock import Moment
from dockbell.store import counters
from dockbell.store.database import Row, Transaction


def insert(
    tx: Transaction,
    *,
    email: str,
    name: str,
    role: str,
    goods_owners: str | None,
    password_hash: str | None,
    now: Moment,
) -> int:
    user_id = counters.grow(tx, counters.USER_ID)
    tx.run(
        """
        INSERT INTO users (id, email, name, role, goods_owners, password_hash, created_at)
        VALUES (:id, :email, :name, :role, :goods_owners, :password_hash, :now)
        """,
        id=user_id,
        email=email,
        name=name,
        role=role,
        goods_owners=goods_owners,
        password_hash=password_hash,
        now=now,
    )
    return user_id


def change(tx: Transaction, user_id: int, values: Mapping[str, Any]) -> None:
    """Write `values` over the user's name, role, goods_owners, language, password_hash and deactivated_at.

    What is not given stays as the last commit left it: the row is locked before it is read.
    """
    row = find(tx, user_id, for_update=True)
    assert row is not None
    tx.run(
        """
        UPDATE users
           SET name = :name, role = :role, goods_owners = :goods_owners, language = :language,
               password_hash = :password_hash, deactivated_at = :deactivated_at
         WHERE id = :id
        """,
        id=user_id,
        **{
            name: values.get(name, row[name])
            for name in ("name", "role", "goods_owners", "language", "password_hash", "deactivated_at")
        },
    )


def find(tx: Transaction, user_id: int, *, for_update: bool = False) -> Row | None:
    lock = "/*pg FOR UPDATE */" if for_update else ""
    return tx.one(f"SELECT * FROM users WHERE id = :id {lock}", id=user_id)  # noqa: S608 - a constant


def find_by_email(tx: Transaction, email: str) -> Row | None:
    return tx.one("SELECT * FROM users WHERE email = :email", email=email)


def everyone(tx: Transaction) -> list[Row]:
    return tx.all("SELECT * FROM users ORDER BY id")


def insert_session(tx: Transaction, *, digest: str, user_id: int, address: str, browser: str, now: Moment) -> None:
    tx.run(
        """
        INSERT INTO sessions (digest, user_id, address, browser, created_at, used_at)
        VALUES (:digest, :user_id, :address, :browser, :now, :now)
        """,
        digest=digest,
        user_id=user_id,
        address=address,
        browser=browser,
        now=now,
    )


def session(tx: Transaction, digest: str) -> Row | None:
    """The session with its user's columns."""
    return tx.one(
        """
        SELECT s.digest, s.user_id, s.created_at, s.used_at,
               u.email, u.name, u.role, u.goods_owners, u.language, u.deactivated_at
          FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.digest = :digest
        """,
        digest=digest,
    )


def sessions_of(tx: Transaction, user_id: int) -> list[Row]:
    return tx.all("SELECT * FROM sessions WHERE user_id = :user_id ORDER BY used_at DESC", user_id=user_id)


def use_session(tx: Transaction, digest: str, *, now: Moment) -> None:
    tx.run("UPDATE sessions SET used_at = :now WHERE digest = :digest", digest=digest, now=now)


def end_session(tx: Transaction, digest: str) -> None:
    tx.run("DELETE FROM sessions WHERE digest = :digest", digest=digest)


def end_sessions_of(tx: Transaction, user_id: int, *, but: str = "") -> int:
    return tx.run("DELETE FROM sessions WHERE user_id = :user_id AND digest <> :but", user_id=user_id, but=but)


def forget_old_sessions(tx: Transaction, *, used_before: Moment, begun_before: Moment, ahead_of: Moment) -> None:
    tx.run(
        """
        DELETE FROM sessions
         WHERE used_at < :used_before OR created_at < :begun_before OR used_at > :ahead_of OR created_at > :ahead_of
        """,
        used_before=used_before,
        begun_before=begun_before,
        ahead_of=ahead_of,
    )


def insert_link(tx: Transaction, *, digest: str, purpose: str, user_id: int | None, expires_at: Moment) -> None:
    tx.run(
        "INSERT INTO links (digest, purpose, user_id, expires_at) VALUES (:digest, :purpose, :user_id, :expires_at)",
        digest=digest,
        purpose=purpose,
        user_id=user_id,
        expires_at=expires_at,
    )


def link(tx: Transaction, digest: str, *, now: Moment) -> Row | None:
    return tx.one("SELECT * FROM links WHERE digest = :digest AND expires_at > :now", digest=digest, now=now)


def use_link(tx: Transaction, digest: str) -> bool:
    """Take the link away; False if somebody else has used it meanwhile."""
    return tx.run("DELETE FROM links WHERE digest = :digest", digest=digest) == 1


def forget_links(tx: Transaction, *, purpose: str, user_id: int | None) -> None:
    """Earlier links for the same purpose stop working."""
    tx.run(
        "DELETE FROM links WHERE purpose = :purpose AND coalesce(user_id, 0) = :user_id",
        purpose=purpose,
        user_id=user_id or 0,
    )


def forget_links_of(tx: Transaction, user_id: int) -> None:
    """No link that the user was ever sent works any more."""
    tx.run("DELETE FROM links WHERE user_id = :user_id", user_id=user_id)


def failed_sign_in(tx: Transaction, counted: list[str], *, now: Moment) -> None:
    tx.run(
        "INSERT INTO failed_sign_ins (who, at) SELECT r.who, r.at FROM :rows(who TEXT, at BIGINT) r",
        rows=[(who, now) for who in counted],
    )


def failed_sign_ins(tx: Transaction, who: str, *, since: Moment, until: Moment) -> tuple[int, Moment]:
    """How many there were after `since`, and when the last of them was."""
    row = tx.one(
        "SELECT count(*) AS n, max(at) AS last FROM failed_sign_ins WHERE who = :who AND at > :since AND at <= :until",
        who=who,
        since=since,
        until=until,
    )
    assert row is not None
    return int(row["n"]), int(row["last"] or 0)


def forget_failed_sign_ins(tx: Transaction, *, who: str = "", before: Moment = 0) -> None:
    tx.run("DELETE FROM failed_sign_ins WHERE who = :who OR at < :before", who=who, before=before)


def forget_failed_sign_in(tx: Transaction, who: str, *, at: Moment) -> None:
    tx.run("DELETE FROM failed_sign_ins WHERE who = :who AND at = :at", who=who, at=at)
