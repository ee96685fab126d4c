"""Accepting events: judge what a publisher sent, match it with webhooks, store event and deliveries together.

`Publisher.publish(tx, ...)` runs inside any transaction, also one of the warehouse system's own: its change
and the event are committed together or not at all. Events that come over HTTP go through the journal,
which shares one commit among many; both judge and match here.
"""

import hashlib
import threading
from collections.abc import Mapping
from typing import Any

import msgspec
import structlog

from dockbell.actions.index import Index, State
from dockbell.clock import Moment
from dockbell.domain.event import NewEvent, head_of
from dockbell.domain.event_json import Envelope, read_envelope
from dockbell.domain.event_type import LONGEST_KEY, LONGEST_NUMBER
from dockbell.domain.filters import Facts
from dockbell.domain.ids import EventIds
from dockbell.domain.limits import parse_moment
from dockbell.domain.permissions import Actor, no_such_goods_owner
from dockbell.domain.webhook import Webhook
from dockbell.errors import Conflict, InvalidInput, Problem
from dockbell.store import backlog, deliveries, events, turns
from dockbell.store.database import Transaction

log = structlog.get_logger()
_encode = msgspec.json.Encoder().encode


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """The answer to a publisher: the event's id, how many deliveries it made, and whether it was known already."""

    event_id: int
    deliveries: int
    repeated: bool = False


class Publisher:
    """Everything that accepting needs to know besides the transaction."""

    def __init__(self, index: Index, event_ids: EventIds, *, system: str) -> None:
        self._index = index
        self._event_ids = event_ids
        self._system = system
        # The journal makes ids on the loop thread, `publish` in the database's.
        self._one_at_a_time = threading.Lock()

    def use_ids(self, event_ids: EventIds) -> None:
        """Go on under another node number."""
        with self._one_at_a_time:
            self._event_ids = event_ids

    def pass_by(self, newest: int) -> None:
        """Give every later event an id above this one."""
        with self._one_at_a_time:
            self._event_ids.pass_by(newest)

    def publish(self, tx: Transaction, actor: Actor, event: Mapping[str, Any] | bytes, *, now: Moment) -> Accepted:
        """Accept one event within the caller's transaction; nothing is sent before that commits.

        `event` is the document of `POST /api/v1/events`, as bytes or as a mapping.
        Raises InvalidInput, NotFound or Conflict; the caller's transaction stays usable.
        """
        state = self._index.fresh(tx)
        raw = event if isinstance(event, bytes) else _encode(event)
        new = judge(raw, actor, state)
        row = self.row(new, now=now)
        if not events.insert(tx, [row]):
            return repeated(tx, new)
        wanted = matching(new, state)
        deliveries.insert(tx, [(row.id, webhook.id, new.goods_owner_id, now) for webhook in wanted])
        turns.join(tx, [(row.id, webhook.id) for webhook in wanted if webhook.keeps_order])
        if wanted:
            tx.wake(backlog.TOPIC)
        return Accepted(row.id, len(wanted))

    def new_id(self, now: Moment) -> int:
        """An id that no event has, in the order of time."""
        with self._one_at_a_time:
            return self._event_ids.next(now)

    def row(self, event: NewEvent, *, now: Moment, test_of: int | None = None) -> events.EventRow:
        event_id = self.new_id(now)
        occurred_at = now if event.occurred_at is None else event.occurred_at
        return events.EventRow(
            id=event_id,
            goods_owner_id=event.goods_owner_id,
            event_type=event.event_type.key,
            publisher_id=event.publisher_id,
            fingerprint=event.fingerprint or None,
            occurred_at=occurred_at,
            accepted_at=now,
            object_key=event.key,
            object_number=event.number,
            attributes=_encode(event.attributes).decode() if event.attributes else "{}",
            head=head_of(event, event_id=event_id, system=self._system, occurred_at=occurred_at),
            data=event.data,
            test_of=test_of,
        )


def judge(raw: bytes, actor: Actor, state: State, *, idempotency_key: str | None = None) -> NewEvent:
    """One posted event as something that may be accepted; everything that is wrong with it at once."""
    actor.need("publish")
    envelope, document = read_envelope(raw)
    problems: list[Problem] = []
    event_type = state.catalog.get(envelope.type)
    owner = _goods_owner_of(envelope, actor, state)
    if event_type is None:
        close = state.catalog.did_you_mean(envelope.type)
        problems.append(
            Problem(
                "type",
                "event_type",
                f"{envelope.type[:80]!r} is not in the catalog."
                + (f" Did you mean {close!r}?" if close else "")
                + " All types: GET /api/v1/eventTypes",
            ),
        )
    else:
        problems += event_type.problems_with(document)
        if problems:  # data without problems has none of these names either
            problems += [
                Problem(f"data.{name}", "data_reserved", f"{name} is written by Dockbell itself; leave it out of data.")
                for name in event_type.taken_names(document)
            ]
    occurred_at = None
    if envelope.occurredAt is not None:
        try:
            occurred_at = parse_moment(envelope.occurredAt)
        except InvalidInput as refused:
            problems += [Problem("occurredAt", problem.code, problem.message) for problem in refused.problems]
    if problems or event_type is None:
        raise InvalidInput(problems)
    publisher_id = envelope.id if envelope.id is not None else idempotency_key
    key = envelope.key or event_type.key_of(document)
    number = envelope.number or event_type.number_of(document)
    if len(key or "") > LONGEST_KEY or len(number or "") > LONGEST_NUMBER:
        raise InvalidInput(event_type.problems_with_names(document))
    return NewEvent(
        event_type=event_type,
        goods_owner_id=owner,
        goods_owner_name=state.goods_owners[owner],
        occurred_at=occurred_at,
        publisher_id=publisher_id,
        fingerprint=hashlib.blake2b(raw, digest_size=16).hexdigest() if publisher_id is not None else "",
        key=key,
        number=number,
        attributes=envelope.attributes or {},
        data=bytes(envelope.data).decode(),
        document=document,
    )


def _goods_owner_of(envelope: Envelope, actor: Actor, state: State) -> int:
    owner = envelope.goodsOwnerId
    if owner is None:
        if actor.goods_owners is None or len(actor.goods_owners) != 1:
            raise InvalidInput(
                [Problem("goodsOwnerId", "required", "goodsOwnerId is missing; say whose goods this is about.")]
            )
        (owner,) = actor.goods_owners
    if owner not in state.goods_owners or not actor.sees(owner):
        raise no_such_goods_owner(owner)
    return owner


def matching(event: NewEvent, state: State) -> list[Webhook]:
    """The webhooks that want the event. A filter that cannot judge it wants it not: that is its webhook's loss alone."""
    candidates = state.webhooks_for(event.event_type.key, event.goods_owner_id)
    facts = Facts(event.document, event.attributes)
    return [webhook for webhook in candidates if _wants(webhook, facts)]


def _wants(webhook: Webhook, facts: Facts) -> bool:
    try:
        return webhook.filter.objection(facts) is None
    except Exception:
        log.exception("filter.failed", webhook_id=webhook.id, hint="Save the webhook's filter again.")
        return False


def waits_its_turn(webhook: Webhook, event: events.EventRow) -> bool:
    """Whether the store has to say when the webhook may be sent the event: another about the same object may be before it."""
    return webhook.keeps_order and event.object_key is not None and event.test_of is None


def repeated(tx: Transaction, event: NewEvent) -> Accepted:
    """The answer to an id that was used before: the first event's if it is the same event, else a conflict."""
    assert event.publisher_id is not None
    first = events.by_publisher_id(tx, event.goods_owner_id, event.publisher_id)
    if first is None or first["fingerprint"] != event.fingerprint:
        raise Conflict(
            f"The id {event.publisher_id!r} was already used for another event.",
            code="event_id_reused",
            hint="Send a new id for a new event; repeat a request only with the same bytes.",
        )
    count = len(deliveries.webhooks_of_event(tx, int(first["id"])))
    return Accepted(int(first["id"]), count, repeated=True)
