"""Whose a webhook is: who sees it, and who may manage it. For anybody else it does not exist."""

import json
from collections.abc import Mapping
from typing import Any

from dockbell.domain.permissions import Actor
from dockbell.errors import NotFound
from dockbell.store import webhooks
from dockbell.store.database import Row, Transaction


def managed(tx: Transaction, actor: Actor, webhook_id: int, *, for_update: bool = False) -> Row:
    """The webhook's row, for who may manage it: an automation webhook is the operator's. Raises NotFound or NotAllowed."""
    actor.need("manage")
    row = visible(tx, actor, webhook_id, for_update=for_update)
    if row["kind"] == "automation":
        actor.need_everyone()
    return row


def visible(tx: Transaction, actor: Actor, webhook_id: int, *, for_update: bool = False) -> Row:
    """The webhook's row, if it is not deleted and all its goods owners are the actor's; raises NotFound."""
    row = webhooks.find(tx, webhook_id, for_update=for_update)
    if row is None or row["deleted_at"] is not None or not may_see(actor, json.loads(row["settings"])):
        raise NotFound(f"There is no webhook {webhook_id}.", hint="GET /api/v1/webhooks lists yours.")
    return row


def may_see(actor: Actor, settings: Mapping[str, Any]) -> bool:
    owners = settings["goodsOwnerIds"]
    if actor.goods_owners is None:
        return True
    return owners is not None and actor.goods_owners.issuperset(owners)
