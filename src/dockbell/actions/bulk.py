"""Resend or cancel many deliveries: chosen once, then done in batches, each delivery at most once.

A run is a row that says what was chosen and how far it is; a batch is one transaction that holds that row. So it goes
on wherever someone asks for the next batch: in the process that began it, or, after a restart, in one where its page
is looked at. Deliveries accepted after it began are no part of it.
"""

import json
import secrets
from collections.abc import Sequence
from typing import Any, Literal

from dockbell.actions import audit, deliveries
from dockbell.clock import Moment, to_text
from dockbell.domain.ids import first_id_at
from dockbell.domain.permissions import Actor
from dockbell.errors import InvalidInput, NotFound, Problem
from dockbell.store import delivery_log
from dockbell.store.database import Row, Transaction

A_BATCH = 200
MOST_TICKED = 1_000
Do = Literal["resend", "cancel"]
_DONE = {"resend": "deliveries.resent", "cancel": "deliveries.cancelled"}


def begin(
    tx: Transaction,
    actor: Actor,
    do: str,
    *,
    now: Moment,
    ticked: Sequence[str] | None = None,
    **filters: Any,
) -> dict[str, Any]:
    """A run over the deliveries of `ticked`, or over all that fit the filters of `deliveries.page`."""
    actor.need("manage")
    if do not in _DONE:
        raise InvalidInput([Problem("do", "do", f"There is no action {do[:40]!r}. Actions: resend, cancel.")])
    chosen, before = deliveries.search_of(actor, **filters)
    before = min(before, (first_id_at(now + 1000), 0))
    shown: dict[str, Any] = {name: value for name, value in filters.items() if value is not None}
    if ticked is not None:
        if not 0 < len(ticked) <= MOST_TICKED:
            raise InvalidInput([Problem("ids", "count", f"Choose 1 to {MOST_TICKED:,} deliveries, not {len(ticked)}.")])
        keys = sorted({deliveries.parse_delivery_id(each) for each in ticked}, reverse=True)
        for each in ticked:
            deliveries.get_plain(tx, actor, each)
        chosen, before, shown = {"keys": keys}, (deliveries.NEWEST, 0), {"ids": list(ticked)}
        count = len(keys)
    else:
        count = delivery_log.count(tx, **chosen, before=before, most=deliveries.MOST_COUNTED + 1)
    number = secrets.token_hex(8)
    tx.run(
        """
        INSERT INTO bulk_runs (id, action, actor, actor_label, chosen, position_event, position_webhook, started_at)
        VALUES (:id, :action, :actor, :actor_label, :chosen, :event, :webhook, :now)
        """,
        id=number,
        action=do,
        actor=actor.id,
        actor_label=actor.label,
        chosen=json.dumps(chosen),
        event=before[0],
        webhook=before[1],
        now=now,
    )
    audit.note(
        tx, actor, _DONE[do], f"bulk-run/{number}", now=now, goods_owners=actor.goods_owners,
        after={"filter": shown, "count": count if count <= deliveries.MOST_COUNTED else "more than 10,000"},
    )  # fmt: skip
    return get(tx, actor, number)


def get(tx: Transaction, actor: Actor, number: str) -> dict[str, Any]:
    """How far a run is; its own actor and administrators for all goods owners may know."""
    actor.need("read")
    row = _find(tx, number)
    if row is None or (row["actor"] != actor.id and not (actor.may("admin") and actor.goods_owners is None)):
        raise NotFound(f"There is no bulk run {number[:40]!r}.")
    return {
        "id": row["id"],
        "action": row["action"],
        "by": row["actor_label"],
        "state": "running" if row["ended_at"] is None else "done",
        "changed": row["changed"],
        "leftOut": row["left_out"],
        "startedAt": to_text(row["started_at"]),
        "endedAt": None if row["ended_at"] is None else to_text(row["ended_at"]),
    }


def next_batch(tx: Transaction, number: str, *, now: Moment, batch: int = A_BATCH) -> bool:
    """Do a batch; False when nothing is left to do."""
    run = _find(tx, number, lock="/*pg FOR UPDATE */")
    if run is None or run["ended_at"] is not None:
        return False
    position = (run["position_event"], run["position_webhook"])
    chosen = json.loads(run["chosen"])
    if "keys" in chosen:
        keys = [(event, webhook) for event, webhook in chosen["keys"] if (event, webhook) < position][:batch]
    else:
        found = delivery_log.page(tx, **chosen, before=position, limit=batch)
        keys = [(row["event_id"], row["webhook_id"]) for row in found]
    many = delivery_log.resend_many if run["action"] == "resend" else delivery_log.cancel_many
    changed = many(tx, keys, now=now) if keys else 0
    ended = len(keys) < batch
    last = keys[-1] if keys else position
    tx.run(
        """
        UPDATE bulk_runs SET position_event = :event, position_webhook = :webhook, changed = changed + :changed,
               left_out = left_out + :left_out, ended_at = :ended_at
         WHERE id = :id
        """,
        id=number,
        event=last[0],
        webhook=last[1],
        changed=changed,
        left_out=len(keys) - changed,
        ended_at=now if ended else None,
    )
    return not ended


def _find(tx: Transaction, number: str, lock: str = "") -> Row | None:
    return tx.one(f"SELECT r.* FROM bulk_runs r WHERE r.id = :id {lock}", id=number)  # noqa: S608 - a constant
