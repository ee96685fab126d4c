"""What the system page and `dockbell doctor` say of a running installation."""

from typing import Any

from dockbell.clock import Moment, to_text
from dockbell.domain.permissions import Actor
from dockbell.store import people, system
from dockbell.store.database import Transaction


def facts(tx: Transaction, actor: Actor, *, now: Moment, dialect: str) -> dict[str, Any]:
    actor.need_everyone()
    due, oldest = system.due(tx, now=now)
    return {
        "queue": {
            "due": due,
            "due_is_more": due == system.MOST_COUNTED,
            "oldest": None if oldest is None else to_text(oldest),
            "sending": system.sending(tx),
            "disabled": system.disabled_webhooks(tx),
        },
        "store": {
            "kind": "PostgreSQL" if dialect == "postgres" else "SQLite",
            "bytes": int(system.size(tx, dialect)["bytes"]),
            "schema": system.schema(tx),
        },
        "nodes": [
            {
                "number": row["number"],
                "name": row["name"],
                "startedAt": to_text(row["started_at"]),
                "seenAt": None if not row["seen_at"] else to_text(row["seen_at"]),
                "alive": row["seen_at"] > now - people.NODE_GONE_AFTER,
            }
            for row in people.nodes(tx)
        ],
    }
