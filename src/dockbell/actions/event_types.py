"""The catalog over the API: reading every event type, making and changing the operator's own."""

import json
from collections.abc import Mapping
from typing import Any

from dockbell.actions import audit
from dockbell.actions.index import Index, State
from dockbell.clock import Moment
from dockbell.domain.catalog import Catalog, EventType, Field, event_type_from
from dockbell.domain.permissions import Actor
from dockbell.errors import Conflict, NotFound
from dockbell.store import counters, people, webhooks
from dockbell.store.database import Transaction


def page(actor: Actor, state: State) -> list[dict[str, Any]]:
    """Every type in the documented order, the operator's own last."""
    _need_any_right(actor)
    return [view(each) for each in state.catalog]


def get(actor: Actor, state: State, key: str) -> dict[str, Any]:
    _need_any_right(actor)
    return view(_known(state, key))


def create(tx: Transaction, actor: Actor, index: Index, document: Mapping[str, Any], *, now: Moment) -> dict[str, Any]:
    actor.need_everyone()
    made = event_type_from(document)
    if _catalog(tx, index).get(made.key) is not None:
        raise Conflict(
            f"There is an event type {made.key!r} already.",
            code="event_type_exists",
            hint=f"PUT /api/v1/eventTypes/{made.key} replaces one of your own.",
        )
    return _save(tx, actor, index, made, document, now=now)


def put(
    tx: Transaction, actor: Actor, index: Index, key: str, document: Mapping[str, Any], *, now: Moment
) -> dict[str, Any]:
    """Make the type, or replace it. Events that were accepted before stay as they are."""
    actor.need_everyone()
    _refuse_built_in(_catalog(tx, index).get(key))
    made = event_type_from({**document, "key": key})
    if document.get("key", key) != key:
        raise Conflict(f"The body is about {document['key']!r}, the path about {key!r}.", code="key_differs")
    return _save(tx, actor, index, made, document, now=now)


def delete(tx: Transaction, actor: Actor, index: Index, key: str, *, now: Moment) -> None:
    """Raises Conflict while a webhook is for this type: nobody would ever tell its owner."""
    actor.need_everyone()
    found = _catalog(tx, index).get(key)
    if found is None:
        raise _no_such_type(key)
    _refuse_built_in(found)
    using = webhooks.page(tx, goods_owners=None, event_type=key, limit=5)
    if using:
        named = ", ".join(str(row["id"]) for row in using)
        raise Conflict(
            f"Webhooks are for this event type: {named}{' and more' if len(using) == 5 else ''}.",
            code="event_type_in_use",
            hint="Delete them, or give them another event type, first.",
        )
    people.delete_event_type(tx, key)
    audit.note(tx, actor, "event-type.deleted", f"event-type/{key}", now=now, before=view(found))


def view(event_type: EventType) -> dict[str, Any]:
    return {
        "key": event_type.key,
        "name": event_type.name,
        "family": event_type.family,
        "builtIn": event_type.built_in,
        "firesWhen": event_type.fires_when,
        "idField": event_type.id_field,
        "header": event_type.header_fields,
        "object": {
            "kind": event_type.object_kind,
            "id": event_type.object_id,
            "number": event_type.object_number,
        }
        if event_type.object_kind
        else None,
        "settings": event_type.settings,
        "attributes": [_field(each) for each in event_type.attributes],
        "fields": [_field(each) for each in event_type.fields],
        "schema": event_type.schema,
        "example": event_type.example,
    }


def _field(field: Field) -> dict[str, Any]:
    return {"path": field.path, "type": field.type, "nullable": field.nullable, "meaning": field.meaning}


def _need_any_right(actor: Actor) -> None:
    """The catalog is no secret: whoever publishes or makes webhooks must read it."""
    if not (actor.may("publish") or actor.may("manage")):
        actor.need("read")


def _catalog(tx: Transaction, index: Index) -> Catalog:
    """The catalog as it is, held still: two transactions at once must not both take one name."""
    counters.grow(tx, counters.CATALOG_CHANGED)
    return index.fresh(tx).catalog


def _save(
    tx: Transaction, actor: Actor, index: Index, made: EventType, document: Mapping[str, Any], *, now: Moment
) -> dict[str, Any]:
    # A catalog that contradicts itself could not be loaded by any node, so it is tried before it is stored.
    catalog = index.fresh(tx).catalog
    Catalog([*(each for each in catalog if each.key != made.key), made])
    before = catalog.get(made.key)
    audit.note(
        tx,
        actor,
        "event-type.created" if before is None else "event-type.changed",
        f"event-type/{made.key}",
        now=now,
        before=None if before is None else view(before),
        after=view(made),
    )
    people.put_event_type(tx, made.key, json.dumps({**document, "key": made.key}), now=now)
    return view(made)


def _known(state: State, key: str) -> EventType:
    found = state.catalog.get(key)
    if found is None:
        raise _no_such_type(key, state.catalog.did_you_mean(key))
    return found


def _refuse_built_in(found: EventType | None) -> None:
    if found is not None and found.built_in:
        raise Conflict(
            f"{found.key!r} is built in; it can be neither changed nor deleted.",
            code="event_type_built_in",
            hint="Make an event type of your own under another key.",
        )


def _no_such_type(key: str, meant: str | None = None) -> NotFound:
    hint = f"Did you mean {meant!r}?" if meant else "GET /api/v1/eventTypes lists them."
    return NotFound(f"There is no event type {key[:80]!r}.", code="event_type", hint=hint)
