"""The audit trail: one row for each change, written in the transaction that makes it."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from dockbell.clock import Moment, to_text
from dockbell.domain import audit_chain
from dockbell.domain.audit_chain import Verdict
from dockbell.domain.permissions import Actor
from dockbell.store import audit
from dockbell.store.database import Transaction

NEWEST = 2**62


def note(
    tx: Transaction,
    actor: Actor,
    action: str,
    about: str,
    *,
    now: Moment,
    goods_owners: Iterable[int] | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Write down who did what to which object (`webhook/12`), with views of it that hold no secrets.

    `goods_owners` says whose users may read the row; None: administrators alone.
    """
    audit.add(
        tx,
        at=now,
        actor=actor.id,
        actor_label=actor.label,
        address=actor.address,
        action=action,
        about=about,
        goods_owners=None if goods_owners is None else "," + ",".join(map(str, sorted(goods_owners))) + ",",
        before=None if before is None else json.dumps(before, ensure_ascii=False),
        after=None if after is None else json.dumps(after, ensure_ascii=False),
    )


def verify(tx: Transaction, actor: Actor, *, kept: str | None = None) -> Verdict:
    """Follow the whole chain; `kept` is a hash written down earlier that must be in it."""
    actor.need_everyone()
    after, first, newest = audit.chained_after(tx), audit.first_chained(tx), audit.newest(tx)
    return audit_chain.verify(audit.chain(tx, after=after), after=after, first=first, newest=newest, kept=kept)


def page(
    tx: Transaction,
    actor: Actor,
    *,
    about: str | None = None,
    action: str | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[dict[str, Any]]:
    """The newest first."""
    actor.need("read")
    rows = audit.page(
        tx,
        goods_owners=actor.goods_owners,
        about=about,
        action=action,
        before_id=NEWEST if before is None else before,
        limit=limit,
    )
    return [
        {
            "id": row["id"],
            "at": to_text(row["at"]),
            "actor": row["actor"],
            "actorLabel": row["actor_label"],
            "address": row["address"],
            "action": row["action"],
            "object": row["object"],
            "before": None if row["before"] is None else json.loads(row["before"]),
            "after": None if row["after"] is None else json.loads(row["after"]),
        }
        for row in rows
    ]
