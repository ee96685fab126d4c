"""The list of webhooks as people read it: how each one does, found by text and state, in any order."""

import json
from collections.abc import Callable, Mapping
from itertools import takewhile
from typing import Any
from urllib.parse import urlsplit

from dockbell.actions import audit, statistics
from dockbell.actions.statistics import Statistics
from dockbell.actions.webhook_input import settings_from
from dockbell.actions.webhooks import Webhooks
from dockbell.clock import Moment, to_text
from dockbell.domain.permissions import Actor
from dockbell.store import delivery_log, webhooks
from dockbell.store.database import Row, Transaction

STATES = ("healthy", "failing", "held", "disabled", "new")
MOST_WEBHOOKS = 10_000
WAITING = ("pending", "sending", "held")
_ORDERS: Mapping[str, Callable[[dict[str, Any]], Any]] = {
    "name": lambda one: one["name"].casefold(),
    "eventType": lambda one: one["eventTypeName"].casefold(),
    "goodsOwners": lambda one: one["goodsOwnerIds"] or [0],
    "host": lambda one: one["host"],
    "state": lambda one: STATES.index(one["state"]),
    "success": lambda one: -1.0 if one["statistics"].success_share is None else one["statistics"].success_share,
    "time": lambda one: one["statistics"].time_us(0.95) or 0,
    "last": lambda one: one["statistics"].health.tried_at if one["statistics"].health else 0,
    "waiting": lambda one: one["waiting"],
}
ORDERS = tuple(_ORDERS)


def page(
    tx: Transaction,
    actor: Actor,
    *,
    type_names: Mapping[str, str],
    now: Moment,
    event_type: str | None = None,
    goods_owner_id: int | None = None,
    kind: str | None = None,
    state: str | None = None,
    search: str = "",
    order: str = "name",
    descending: bool = False,
    start: int = 0,
    limit: int = 50,
) -> tuple[list[dict[str, Any]], int, int, bool]:
    """Part of what was found, where it starts, how many were found, and whether there were too many to look through all.

    Beyond the last page it is the last one: webhooks may have gone since somebody looked. `search` looks at name,
    number, host and path of the first MOST_WEBHOOKS that agree with event type, goods owner and kind.
    """
    actor.need("read")
    rows = webhooks.page(
        tx,
        goods_owners=actor.goods_owners,
        event_type=event_type,
        goods_owner_id=goods_owner_id,
        kind=kind,
        limit=MOST_WEBHOOKS + 1,
    )
    too_many, rows = len(rows) > MOST_WEBHOOKS, rows[:MOST_WEBHOOKS]
    ids = [row["id"] for row in rows]
    counts = delivery_log.counts(tx, ids, WAITING)
    # The hours of all of them are read only to put them in the order of those: they are many.
    by_hours = order in ("success", "time")
    figures = statistics.of_webhooks(tx, ids, now=now) if by_hours else _of_health(tx, ids, now)
    found = [_summary(row, counts.get(row["id"], {}), figures[row["id"]], type_names) for row in rows]
    words = search.casefold().split()
    found = [
        one
        for one in found
        if (state is None or one["state"] == state) and all(word in one["searched"] for word in words)
    ]
    found.sort(key=_ORDERS.get(order, _ORDERS["name"]), reverse=descending)
    last_page = max(0, len(found) - 1) // limit * limit
    start = min(start, last_page)
    shown = found[start : start + limit]
    if not by_hours:
        figures = statistics.of_webhooks(tx, [one["id"] for one in shown], now=now)
        shown = [{**one, "statistics": figures[one["id"]]} for one in shown]
    return shown, start, len(found), too_many


def _of_health(tx: Transaction, webhook_ids: list[int], now: Moment) -> dict[int, Statistics]:
    health = statistics.health_of(tx, webhook_ids, now=now)
    return {webhook_id: Statistics(health=health.get(webhook_id)) for webhook_id in webhook_ids}


def one(tx: Transaction, actor: Actor, store: Webhooks, webhook_id: int, *, now: Moment) -> dict[str, Any]:
    """One webhook with how it does."""
    shown = store.get(tx, actor, webhook_id)
    counts = delivery_log.counts(tx, [webhook_id], WAITING).get(webhook_id, {})
    figures = statistics.of_webhooks(tx, [webhook_id], now=now)[webhook_id]
    waiting = {status: counts.get(status, 0) for status in WAITING}
    return {
        **shown,
        "statistics": figures,
        "state": state_of(shown["enabled"], figures, waiting["held"]),
        "waiting": sum(waiting.values()),
        "held": waiting["held"],
    }


def named(tx: Transaction, actor: Actor, name: str) -> list[int]:
    """Those of the actor's webhooks with this name, whatever its case."""
    actor.need("read")
    found: list[int] = []
    after = 0
    while rows := webhooks.page(tx, goods_owners=actor.goods_owners, after=after, limit=MOST_WEBHOOKS):
        found += [row["id"] for row in rows if row["name"].casefold() == name.casefold()]
        after = rows[-1]["id"]
    return found


def state_of(enabled: bool, figures: Statistics, held: int) -> str:
    if not enabled:
        return "held" if held else "disabled"
    if figures.health is None:
        return "new"
    return "healthy" if figures.health.failing_since is None else "failing"


def history(
    tx: Transaction, actor: Actor, store: Webhooks, webhook_id: int, *, limit: int = 50
) -> list[dict[str, Any]]:
    """Its versions, the newest first: who made each, when, and which settings differ from the one before.

    From when on it was for nobody but goods owners that the actor sees: what it was before is others' business.
    """
    store.get(tx, actor, webhook_id)
    noted = {entry["at"]: entry for entry in audit.page(tx, actor, about=f"webhook/{webhook_id}", limit=2 * limit)}
    rows = list(takewhile(lambda row: _is_all_theirs(actor, row), webhooks.versions(tx, webhook_id, limit=limit + 1)))
    return [
        _version(row, rows[place + 1] if place + 1 < len(rows) else None, noted.get(to_text(row["since"])))
        for place, row in enumerate(rows[:limit])
    ]


def _is_all_theirs(actor: Actor, row: Row) -> bool:
    owners = json.loads(row["settings"])["goodsOwnerIds"]
    return actor.goods_owners is None or (owners is not None and all(map(actor.sees, owners)))


def _summary(row: Row, counts: Mapping[str, int], figures: Statistics, type_names: Mapping[str, str]) -> dict[str, Any]:
    settings = json.loads(row["settings"])
    address = urlsplit(settings["targetUrl"])
    held = counts.get("held", 0)
    return {
        "id": row["id"],
        "name": row["name"],
        "kind": row["kind"],
        "eventType": row["event_type"],
        "eventTypeName": type_names.get(row["event_type"], row["event_type"]),
        "goodsOwnerIds": settings["goodsOwnerIds"],
        "host": address.netloc,
        "enabled": bool(row["enabled"]),
        "disabledReason": row["disabled_reason"],
        "state": state_of(bool(row["enabled"]), figures, held),
        "statistics": figures,
        "waiting": sum(counts.get(status, 0) for status in WAITING),
        "held": held,
        "searched": f"{row['id']} {row['name']} {address.netloc}{address.path}".casefold(),
    }


def _version(row: Row, older: Row | None, noted: Mapping[str, Any] | None) -> dict[str, Any]:
    now, before = settings_from(row["settings"]), {} if older is None else settings_from(older["settings"])
    return {
        "version": row["version"],
        "since": to_text(row["since"]),
        "actor": row["actor"] if noted is None else noted["actorLabel"],
        "action": None if noted is None else noted["action"],
        "enabled": bool(row["enabled"]),
        "changes": [
            {"field": name, "before": before.get(name), "after": now.get(name)}
            for name in now
            if older is not None and before.get(name) != now.get(name)
        ],
    }
