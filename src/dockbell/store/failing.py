"""Webhooks that only fail, what was told of them, and the mails on their way."""

from collections.abc import Sequence

from dockbell.clock import Moment
from dockbell.store import counters
from dockbell.store.database import Row, Transaction

MAIL_ID = "mail"
LOOKED_AT = "failing looked at"


def turn_to_look(tx: Transaction, *, now: Moment, every: Moment) -> bool:
    """Whether nobody has looked for so long; until the commit no other node looks."""
    row = tx.one("SELECT value FROM counters WHERE name = :name /*pg FOR UPDATE */", name=LOOKED_AT)
    assert row is not None
    if 0 <= now - int(row["value"]) < every:
        return False
    tx.run("UPDATE counters SET value = :now WHERE name = :name", name=LOOKED_AT, now=now)
    return True


def failing(tx: Transaction) -> list[Row]:
    """Enabled webhooks whose last attempts all failed, with what was told of them."""
    return tx.all(
        """
        SELECT h.webhook_id, h.failing_since, h.tried_at, w.name, w.settings, t.stage, t.told_at,
               t.failing_since AS told_since
          FROM webhook_health h JOIN webhooks w ON w.id = h.webhook_id
          LEFT JOIN failing_told t ON t.webhook_id = h.webhook_id
         WHERE h.failing_since IS NOT NULL AND w.enabled = 1 AND w.deleted_at IS NULL ORDER BY h.webhook_id
        """
    )


def failed_since(tx: Transaction, webhook_id: int, since: Moment) -> int:
    """How many attempts of the webhook failed since that hour."""
    row = tx.one(
        "SELECT sum(failed) AS n FROM webhook_hours WHERE webhook_id = :webhook_id AND hour_at > :since - 3600000000",
        webhook_id=webhook_id,
        since=since,
    )
    return int(row["n"] or 0) if row is not None else 0


def forget_failing(tx: Transaction, webhook_id: int) -> None:
    """It begins anew: a webhook that is enabled again has not failed yet."""
    tx.run("UPDATE webhook_health SET failing_since = NULL WHERE webhook_id = :webhook_id", webhook_id=webhook_id)


def tell(tx: Transaction, webhook_id: int, *, failing_since: Moment, stage: str, told_at: Moment) -> None:
    tx.run(
        """
        INSERT INTO failing_told (webhook_id, failing_since, stage, told_at)
        VALUES (:webhook_id, :failing_since, :stage, :told_at)
        ON CONFLICT (webhook_id) DO UPDATE SET failing_since = excluded.failing_since, stage = excluded.stage,
          told_at = excluded.told_at
        """,
        webhook_id=webhook_id,
        failing_since=failing_since,
        stage=stage,
        told_at=told_at,
    )


def put_mail(
    tx: Transaction, *, webhook_id: int, recipient: str, subject: str, body: str, now: Moment, due_at: Moment
) -> Moment:
    """A mail to send; when it is due. It takes the place of one about the same webhook that nobody has begun to send."""
    replaced = tx.all(
        "DELETE FROM mails WHERE webhook_id = :webhook_id AND tries = 0 RETURNING due_at", webhook_id=webhook_id
    )
    due_at = min((int(row["due_at"]) for row in replaced), default=due_at)
    tx.run(
        """
        INSERT INTO mails (id, webhook_id, recipient, subject, body, made_at, due_at)
        VALUES (:id, :webhook_id, :recipient, :subject, :body, :now, :due_at)
        """,
        id=counters.grow(tx, MAIL_ID),
        webhook_id=webhook_id,
        recipient=recipient,
        subject=subject,
        body=body,
        now=now,
        due_at=due_at,
    )
    return due_at


def claim_mails(tx: Transaction, *, now: Moment, lease_until: Moment, limit: int) -> list[Row]:
    """Mails that are due, for whoever asks, until the lease ends."""
    return tx.all(
        """
        WITH picked AS MATERIALIZED (
          SELECT m.id FROM mails m WHERE m.due_at <= :now AND m.lease_until <= :now
           ORDER BY m.due_at LIMIT :limit /*pg FOR UPDATE SKIP LOCKED */)
        UPDATE mails SET tries = tries + 1, lease_until = :lease_until FROM picked WHERE mails.id = picked.id
        RETURNING mails.id, mails.recipient, mails.subject, mails.body, mails.made_at, mails.tries
        """,
        now=now,
        lease_until=lease_until,
        limit=limit,
    )


def unsent_mails(tx: Transaction) -> Row:
    """How many were tried and not taken so far, and when the oldest was made."""
    row = tx.one("SELECT count(*) AS n, min(made_at) AS oldest FROM mails WHERE tries > 0 AND lease_until = 0")
    assert row is not None
    return row


def end_mails(tx: Transaction, done: Sequence[int], again: Sequence[tuple[int, Moment]]) -> None:
    """Remove those that went out, or never will; the others are due again."""
    for mail_id in done:
        tx.run("DELETE FROM mails WHERE id = :id", id=mail_id)
    for mail_id, due_at in again:
        tx.run("UPDATE mails SET due_at = :due_at, lease_until = 0 WHERE id = :id", id=mail_id, due_at=due_at)
