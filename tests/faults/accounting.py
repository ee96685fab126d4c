"""The accounting of a fault run: what was published, what arrived and what the log says, held against each other.

Pure: histories in, figures out. Each fault has one word:

LOST     accepted, and neither in the log as delivered nor at another end that the run accounts for; or not in it at all
FALSE    the log tells of an answer that the receiver never gave
PHANTOM  something nobody published or wanted: received, in the log, or one publication that became two events
CORRUPT  what arrived is not what was published, or its signature does not hold
CROSS    goods of one owner at a receiver, on a connection or in a log row of another
GHOST    received more often than the log has attempts that can have been sent
BACK     attempted again after the log had it delivered
OVERLAP  two attempts of one delivery at the receiver at once, but those that may have been sent and have no answer
DUP      answered 2xx more than once; explained by attempts that may have been sent and have no answer
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

FAULTS = ("LOST", "FALSE", "PHANTOM", "CORRUPT", "CROSS", "OVERLAP", "BACK", "GHOST", "unexplained DUP")
UNANSWERED = frozenset(
    {"connection_ended", "connection_reset", "internal_error", "interrupted", "protocol_error", "sending", "timeout"}
)
"""Codes of attempts of which the receiver may have got the request, or a part. With any other, nothing was sent."""
NO_FAILURE = frozenset({"connection_ended", "interrupted"})
"""Codes that use up no step of a retry policy."""
OUR_REFUSALS = frozenset({"egress_denied_address", "goods_owner_removed", "internal_error", "url_refused"})
"""Codes of what Dockbell itself did not do: no receiver was tried, so they use up no retry policy."""


@dataclass(frozen=True, slots=True)
class Webhook:
    id: int
    goods_owners: frozenset[int]
    id_field: str
    """Name of the webhook's id in the body."""
    may_end: frozenset[str] = frozenset()
    """Statuses in which the run expects some of its deliveries to end, besides delivered."""
    steps_s: tuple[int, ...] = ()
    """Its retry policy: the waits after the first attempts. One that failed in fewer attempts was given up too soon."""

    def was_tried_to_the_end(self, attempts: Sequence["Attempt"]) -> bool:
        """Whether the last attempt was one for which the policy has no other to follow."""
        failed = [one for one in attempts if one.code not in NO_FAILURE | OUR_REFUSALS]
        return (
            len(failed) > len(self.steps_s) and failed[-1] is attempts[-1] and not _is_success(failed[-1].status or 0)
        )


@dataclass(frozen=True, slots=True)
class Publication:
    """One event as its publisher knows it. `number` is the orderId in its data: no other publication has it."""

    number: int
    goods_owner: int
    data: str
    """The data as it was written, byte for byte."""
    wanted_by: frozenset[int]
    """The webhooks that must get it."""
    event_ids: frozenset[int]
    """The ids that its 202 answers named; none if no answer ever came."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """One request as the receiver wrote it down before it answered."""

    webhook: int
    """The webhook whose target it came to; what the request says of itself is another matter."""
    delivery_id: str
    body: str
    is_signed: bool
    answered: int
    at: int
    """Microseconds since 1970."""
    connection: int
    until: int = 0
    """When it was answered; 0 if at once."""


@dataclass(frozen=True, slots=True)
class Attempt:
    number: int
    code: str
    status: int | None
    """The receiver's answer; None if the log does not know one."""
    started: int = 0
    ended: int = 0
    """Microseconds since 1970."""
    has_next: bool = False
    """Another was to follow, by the log."""


@dataclass(frozen=True, slots=True)
class Logged:
    """One delivery as the log shows it."""

    event_id: int
    webhook: int
    goods_owner: int
    number: int
    """Of the order it is about."""
    status: str
    attempts: int
    attempt_list: tuple[Attempt, ...] | None = None
    """Needed where `needs_attempts` says so."""

    @property
    def delivery_id(self) -> str:
        return f"{self.event_id}-{self.webhook}"


@dataclass(slots=True)
class Account:
    published: int = 0
    accepted: int = 0
    wanted: int = 0
    """Deliveries that the accepted events must have."""
    received: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    explained_dups: int = 0
    explained_overlaps: int = 0
    faults: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in FAULTS})

    @property
    def is_clean(self) -> bool:
        return not any(self.faults.values())


def needs_attempts(logged: Logged, receipts: int) -> bool:
    """Whether the attempts of a delivery must be read, or its one attempt and one receipt explain each other."""
    return not (logged.attempts == receipts == 1 and logged.status == "delivered")


def account(
    webhooks: Iterable[Webhook],
    publications: Iterable[Publication],
    receipts: Sequence[Receipt],
    log: Iterable[Logged],
) -> Account:
    """Hold the histories against each other; call it when nothing is sent any more."""
    known = {webhook.id: webhook for webhook in webhooks}
    published = {one.number: one for one in publications}
    logged = {one.delivery_id: one for one in log}
    by_delivery: dict[str, list[Receipt]] = defaultdict(list)
    for receipt in receipts:
        by_delivery[receipt.delivery_id].append(receipt)
    found = Account(
        published=len(published),
        accepted=sum(bool(one.event_ids) for one in published.values()),
        received=len(receipts),
        statuses=Counter(one.status for one in logged.values()),
    )
    _judge_receipts(found, known, published, receipts)
    _judge_connections(found, published, receipts)
    _judge_publications(found, known, published.values(), logged, by_delivery)
    _judge_log(found, published, logged, by_delivery)
    for delivery_id, came in by_delivery.items():
        _judge_delivery(found, delivery_id, logged.get(delivery_id), came)
    return found


def _judge_receipts(
    found: Account, webhooks: Mapping[int, Webhook], published: Mapping[int, Publication], receipts: Sequence[Receipt]
) -> None:
    for receipt in receipts:
        what = f"{receipt.delivery_id} at webhook {receipt.webhook}"
        number = number_in(receipt.body)
        publication = None if number is None else published.get(number)
        if not receipt.is_signed:
            found.faults["CORRUPT"].append(f"{what}: the signature does not hold")
        if number is None:
            found.faults["CORRUPT"].append(f"{what}: the body has no orderId: {receipt.body[:80]!r}")
            continue
        if publication is None:
            found.faults["PHANTOM"].append(f"{what}: order {number} was never published")
            continue
        webhook = webhooks[receipt.webhook]
        event, _, said_webhook = receipt.delivery_id.partition("-")
        if said_webhook != str(webhook.id):
            found.faults["CROSS"].append(f"{what}: it is meant for webhook {said_webhook}")
        elif publication.goods_owner not in webhook.goods_owners:
            found.faults["CROSS"].append(f"{what}: goods of owner {publication.goods_owner}")
        elif webhook.id not in publication.wanted_by:
            found.faults["PHANTOM"].append(f"{what}: the webhook's filter does not want order {number}")
        if publication.event_ids and event not in map(str, publication.event_ids):
            found.faults["PHANTOM"].append(f"{what}: order {number} was accepted as {set(publication.event_ids)}")
        problem = _problem_with_body(receipt.body, publication, event, said_webhook, webhook.id_field)
        if problem:
            found.faults["CORRUPT"].append(f"{what}: {problem}")


def _problem_with_body(body: str, publication: Publication, event: str, webhook: str, id_field: str) -> str | None:
    """The body is Dockbell's own fields, then the publisher's data byte for byte."""
    data = publication.data[1:].lstrip()
    if not body.endswith("," + data):
        return f"the data of order {publication.number} is not what was published"
    try:
        head = json.loads(body.removesuffix("," + data) + "}")
    except ValueError:
        return "what stands before the data is not JSON"
    wanted = {id_field: webhook, "webhookEventId": event, "goodsOwnerId": str(publication.goods_owner)}
    wrong = {name: head.get(name) for name, value in wanted.items() if str(head.get(name)) != value}
    return f"its head says {wrong}" if wrong else None


def _judge_connections(found: Account, published: Mapping[int, Publication], receipts: Sequence[Receipt]) -> None:
    owners: dict[int, int] = {}
    for receipt in receipts:
        publication = published.get(number_in(receipt.body) or 0)
        if publication is None:
            continue
        first = owners.setdefault(receipt.connection, publication.goods_owner)
        if first != publication.goods_owner:
            text = f"goods of owners {first} and {publication.goods_owner} on connection {receipt.connection}"
            found.faults["CROSS"].append(f"{receipt.delivery_id}: {text}")


def _judge_publications(
    found: Account,
    webhooks: Mapping[int, Webhook],
    published: Iterable[Publication],
    logged: Mapping[str, Logged],
    by_delivery: Mapping[str, Sequence[Receipt]],
) -> None:
    for publication in published:
        if len(publication.event_ids) > 1:
            text = f"order {publication.number} became the events {sorted(publication.event_ids)}"
            found.faults["PHANTOM"].append(text)
        for event_id in publication.event_ids:
            for webhook in sorted(publication.wanted_by):
                found.wanted += 1
                delivery_id = f"{event_id}-{webhook}"
                row = logged.get(delivery_id)
                arrived = any(_is_success(receipt.answered) for receipt in by_delivery.get(delivery_id, ()))
                if row is None and arrived:
                    found.faults["GHOST"].append(f"{delivery_id}: received, and the log has no such delivery")
                elif row is None:
                    found.faults["LOST"].append(f"{delivery_id}: order {publication.number}, not in the log")
                elif why := _problem_with_end(row, webhooks[webhook]):
                    found.faults["LOST"].append(f"{delivery_id}: order {publication.number}, {why}")


def _problem_with_end(row: Logged, webhook: Webhook) -> str | None:
    """Whether the run accounts for it that a delivery ended so. That it can be seen is not enough: so can what was forgotten."""
    if row.status == "delivered":
        return None
    if row.status not in webhook.may_end:
        return f"{row.status} after {row.attempts} attempts, which this run has no reason for"
    if row.status == "failed" and not webhook.was_tried_to_the_end(row.attempt_list or ()):
        return f"failed after {row.attempts} attempts, which its retry policy does not end with"
    return None


def _judge_log(
    found: Account,
    published: Mapping[int, Publication],
    logged: Mapping[str, Logged],
    by_delivery: Mapping[str, Sequence[Receipt]],
) -> None:
    for delivery_id, row in logged.items():
        publication = published.get(row.number)
        if publication is None:
            found.faults["PHANTOM"].append(f"{delivery_id}: in the log, order {row.number} was never published")
        elif publication.event_ids and row.event_id not in publication.event_ids:
            text = f"in the log, order {row.number} was accepted as {set(publication.event_ids)}"
            found.faults["PHANTOM"].append(f"{delivery_id}: {text}")
        elif row.goods_owner != publication.goods_owner:
            text = f"logged for owner {row.goods_owner}, published for {publication.goods_owner}"
            found.faults["CROSS"].append(f"{delivery_id}: {text}")
        elif row.webhook not in publication.wanted_by:
            found.faults["PHANTOM"].append(f"{delivery_id}: in the log, and webhook {row.webhook} does not want it")
        _judge_attempts(found, row, Counter(receipt.answered for receipt in by_delivery.get(delivery_id, ())))


def _judge_attempts(found: Account, row: Logged, answered: Counter[int]) -> None:
    told = Counter(attempt.status for attempt in row.attempt_list or () if attempt.status is not None)
    if row.status == "delivered" and not any(map(_is_success, answered)):
        found.faults["FALSE"].append(f"{row.delivery_id}: delivered by the log, never answered 2xx by the receiver")
    elif more := told - answered:
        found.faults["FALSE"].append(f"{row.delivery_id}: answers that the receiver never gave: {dict(more)}")
    for before, after in pairwise(row.attempt_list or ()):
        is_delivered = before.status is not None and _is_success(before.status)
        if is_delivered and not _was_written_off(before, after):
            found.faults["BACK"].append(f"{row.delivery_id}: attempt {after.number} follows a delivered one")


def _judge_delivery(found: Account, delivery_id: str, row: Logged | None, came: Sequence[Receipt]) -> None:
    if row is not None and len(came) > (sent := _sent(row)):
        text = f"received {len(came)} times, {sent} of the log's {row.attempts} attempts can have been sent"
        found.faults["GHOST"].append(f"{delivery_id}: {text}")
    if len({receipt.body for receipt in came}) > 1:
        found.faults["CORRUPT"].append(f"{delivery_id}: attempts with different bodies")
    extra = max(0, sum(_is_success(receipt.answered) for receipt in came) - 1)
    unknown = _unknown(row.attempt_list or ()) if row is not None else 0
    found.explained_dups += min(extra, unknown)
    if extra > unknown:
        text = f"answered 2xx {extra + 1} times, {unknown} attempts without an answer"
        found.faults["unexplained DUP"].append(f"{delivery_id}: {text}")
    overlaps = sum(after.at < before.until for before, after in pairwise(sorted(came, key=lambda one: one.at)))
    found.explained_overlaps += min(overlaps, unknown)
    if overlaps > unknown:
        text = (
            f"{overlaps} times at the receiver before the last one was answered, {unknown} attempts without an answer"
        )
        found.faults["OVERLAP"].append(f"{delivery_id}: {text}")


def _sent(row: Logged) -> int:
    """How many attempts the receiver can have got."""
    if row.attempt_list is None:
        return row.attempts
    return sum(one.status is not None or one.code in UNANSWERED for one in row.attempt_list)


def _unknown(attempts: Sequence[Attempt]) -> int:
    """How many attempts may have been sent, and had no answer that anyone could know of when the next one began."""
    late = sum(a.status is not None and _was_written_off(a, b) for a, b in pairwise(attempts))
    return late + sum(one.status is None and one.code in UNANSWERED for one in attempts)


def _was_written_off(attempt: Attempt, following: Attempt) -> bool:
    """Its lease had run out before its answer was written, so the next one was right to begin.

    The log tells by the times, or by a delivered attempt that was to be followed by another: it was `interrupted` first.
    """
    is_delivered = attempt.status is not None and _is_success(attempt.status)
    return following.started < attempt.ended or (is_delivered and attempt.has_next)


def number_in(body: str) -> int | None:
    """The orderId of a body, or None if it cannot be read."""
    try:
        number = json.loads(body)["orderId"]
    except (ValueError, KeyError, TypeError):
        return None
    return number if isinstance(number, int) else None


def _is_success(status: int) -> bool:
    return 200 <= status <= 299
