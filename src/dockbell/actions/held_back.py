"""Why a webhook's deliveries are held back by its receiver's ailing, as people read it (`dockbell.domain.breaker`)."""

from typing import Any

from dockbell.clock import to_text
from dockbell.store import breakers
from dockbell.store.database import Transaction

REASONS = {
    "in a row": "The receiver failed ten times in a row.",
    "half": "The receiver failed half of the last fifty attempts.",
    "slow down": "The receiver asked for fewer requests at a time.",
}
STATES = {
    "open": "Nothing is sent before the next probe; no retry is spent on waiting.",
    "ramping": "A probe was answered well; attempts grow in number: 1, 2, 4 and so on at once.",
    "slowed": "Attempts are made at half the rate, which grows again by itself.",
}


def of_webhook(tx: Transaction, webhook_id: int) -> dict[str, Any] | None:
    """As the node sees it that holds back most; None if nothing is held back."""
    rows = breakers.of_webhooks(tx, [webhook_id])
    if not rows:
        return None
    row = rows[0]
    return {
        "state": row["state"],
        "since": to_text(row["since"]),
        "reason": REASONS[row["reason"]],
        "meaning": STATES[row["state"]],
        "lastCode": row["code"],
        "nextProbeAt": None if row["probe_at"] is None else to_text(row["probe_at"]),
        "nodes": len(rows),
    }
