"""Which of the last events would a webhook have fired for? Answered while its filter is edited; nothing is stored.

It is asked at every key that is pressed, so it has a second: what is not judged by then is not told of.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from dockbell.actions import events
from dockbell.actions.deliveries import NEWEST
from dockbell.actions.webhook_input import MOST_CONDITIONS, FiltersInput, names_a_field
from dockbell.clock import Clock
from dockbell.domain.filters import Facts
from dockbell.domain.permissions import Actor
from dockbell.domain.webhook import filter_from
from dockbell.store import events as stored
from dockbell.store.database import Transaction

LOOKED_AT = 50
LONGEST_S = 1.0


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
    clock: Clock,
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
    if len(wanted.conditions) > MOST_CONDITIONS or not all(names_a_field(each.field) for each in wanted.conditions):
        return None
    until = clock.monotonic() + LONGEST_S
    looked = []
    for row in stored.page(tx, goods_owners=owners, event_type=event_type, before=NEWEST, limit=LOOKED_AT):
        if clock.monotonic() >= until:
            break
        if row["test_of"] is None and row["erased_at"] is None:  # nothing is left of an erased one to judge by
            facts = Facts(json.loads(row["data"]), json.loads(row["attributes"]))
            looked.append(Looked(events.view(row), wanted.objection(facts)))
    return looked
