"""Which of the last events would a webhook have fired for? Answered while its filter is edited; nothing is stored."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from dockbell.actions import events
from dockbell.actions.deliveries import NEWEST
from dockbell.actions.webhook_input import FiltersInput
from dockbell.domain.filters import Facts
from dockbell.domain.permissions import Actor
from dockbell.domain.webhook import filter_from
from dockbell.store import events as stored
from dockbell.store.database import Transaction

LOOKED_AT = 50


@dataclass(frozen=True, slots=True)
class Looked:
    """One past event: `objection` says in words why the filter does not want it, None that it does."""

    event: Mapping[str, Any]
    objection: str | None


def last_events(
    tx: Transaction,
    actor: Actor,
    *,
    event_type: str,
    goods_owners: list[int] | None,
    filters: Mapping[str, Any],
) -> list[Looked] | None:
    """The newest events of this type and these goods owners, judged by `filters`; None when those are no filters yet."""
    actor.need("read")
    try:
        wanted = filter_from(FiltersInput.model_validate(filters).model_dump(by_alias=True))
    except ValidationError:
        return None
    owners = None if goods_owners is None else frozenset(goods_owners)
    if actor.goods_owners is not None:
        owners = actor.goods_owners if owners is None else owners & actor.goods_owners
    rows = stored.page(tx, goods_owners=owners, event_type=event_type, before=NEWEST, limit=LOOKED_AT)
    return [
        Looked(events.view(row), wanted.objection(Facts(json.loads(row["data"]), json.loads(row["attributes"]))))
        for row in rows
        if row["test_of"] is None
    ]
