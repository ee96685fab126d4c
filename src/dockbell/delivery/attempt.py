"""One attempt, from leased job to closed log row."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Protocol

import msgspec

from dockbell.actions.commit import Job
from dockbell.actions.index import State
from dockbell.clock import Moment, Reading
from dockbell.domain.delivery import (
    HEAD_KEPT,
    NO_FAILURE,
    Answered,
    NotSent,
    Outcome,
    TryAgain,
    Unanswered,
    code_of,
    decide,
)
from dockbell.domain.request import OutgoingRequest, build_request
from dockbell.domain.retry_policy import NONE
from dockbell.domain.webhook import MASK, SHORTEST_MASKED
from dockbell.store.deliveries import Closing, Lease

RESPONSE_KEPT_CHARACTERS = 65_536


class Sender(Protocol):
    """Opens connections; hands outcomes back through the callback it was made with."""

    def submit(self, token: object, request: OutgoingRequest) -> None: ...


class ClosesAttempts(Protocol):
    def close(self, closing: Closing) -> None: ...

    def unwritten(self) -> Iterable[Lease]:
        """The leases of what was closed and is not on disk yet."""

    def leasing_since(self) -> Reading | None:
        """When the first lease was made of what was not handed on yet."""


def request_for(job: Job, state: State, now: Moment) -> tuple[OutgoingRequest | NotSent, str]:
    """The request of the attempt, and its headers as they may be shown."""
    webhook = job.webhook
    if not webhook.serves(job.event.goods_owner_id):
        return NotSent("goods_owner_removed", "The webhook does not serve the event's goods owner any more."), ""
    if webhook.url is None:
        return NotSent("url_refused", webhook.url_problem), ""
    event_type = state.catalog.get(job.event.event_type)
    id_field = event_type.id_field if event_type is not None else "webhookId"
    return build_request(job.event, webhook, id_field=id_field, now=now)


def close_attempt(job: Job, outcome: Outcome, shown_headers: str, *, node: int, at: Reading, jitter: float) -> Closing:
    """What to write: the log row, and the delivery's next state as `decide` says."""
    lease = job.lease
    secret_texts = job.webhook.secret_texts
    code = code_of(outcome)
    failed = code != "delivered" and code not in NO_FAILURE
    failures = lease.failures + failed
    policy = NONE if job.event.test else job.webhook.retry_policy
    now = at.now
    first_attempt_at = lease.first_attempt_at + at.jumped - job.jumped
    decision = decide(outcome, policy, failures=failures, first_attempt_at=first_attempt_at, now=now, jitter=jitter)
    if isinstance(decision, TryAgain):
        next_status, due_at, deactivate = "pending", decision.at, False
    else:
        next_status, due_at, deactivate = decision.status, now, decision.deactivate_webhook
    answer = outcome if isinstance(outcome, Answered) else None
    timings = outcome.timings
    return Closing(
        lease=lease,
        webhook_version=job.webhook.version,
        node=node,
        ended_at=now,
        code=code,
        status_code=answer.status if answer else None,
        detail="" if answer else masked(storable(outcome.detail), secret_texts, cut=True),  # type: ignore[union-attr]
        address=outcome.address if isinstance(outcome, Answered | Unanswered) else "",
        dns_us=timings.dns,
        connect_us=timings.connect,
        tls_us=timings.tls,
        first_byte_us=timings.first_byte,
        total_us=timings.total,
        request_headers=shown_headers,
        response_headers=_as_text(answer.headers, secret_texts, cut=len(answer.headers) >= HEAD_KEPT) if answer else "",
        response_body=_as_text(answer.body, secret_texts, cut=answer.body_cut) if answer else "",
        response_cut=bool(answer and answer.body_cut),
        next_status=next_status,
        due_at=due_at,
        failed=failed,
        deactivate_webhook=deactivate and not job.event.test,
        jumped=at.jumped,
    )


def close_broken(job: Job, error: Exception, *, node: int, at: Reading) -> Closing:
    """What to write of an attempt whose outcome could not be decided on or stored: nothing of what the receiver sent."""
    broken = NotSent("internal_error", f"Dockbell could not keep what came of this attempt: {type(error).__name__}.")
    plain = msgspec.structs.replace(job, webhook=replace(job.webhook, secret_texts=()))
    return close_attempt(plain, broken, "", node=node, at=at, jitter=0.0)


def _as_text(raw: bytes, secret_texts: Sequence[str], *, cut: bool) -> str:
    if not raw:
        return ""
    return masked(storable(raw.decode("utf-8", "replace")), secret_texts, cut=cut)[:RESPONSE_KEPT_CHARACTERS]


def masked(text: str, secret_texts: Sequence[str], *, cut: bool) -> str:
    """The text without our secrets, in whatever case: receivers like to send back the headers they got.

    Where a cap cut the text, its end may hold a secret's beginning: that goes too.
    """
    for secret in secret_texts:
        text = _without(text, secret)
    for secret in secret_texts if cut else ():
        begun = _begun_at_the_end(text, secret)
        if begun >= SHORTEST_MASKED:
            text = text[:-begun] + MASK
    return text


def _without(text: str, secret: str) -> str:
    """A pattern that ignores case would take quadratic time here; finding one text in another takes linear time."""
    folded, wanted = _folded(text), _folded(secret)
    pieces, end = [], 0
    while (place := folded.find(wanted, end)) >= 0:
        pieces += [text[end:place], MASK]
        end = place + len(wanted)
    return "".join([*pieces, text[end:]]) if pieces else text


def _folded(text: str) -> str:
    """In small letters, each at the place where it was: İ alone has a small letter of two characters."""
    return text.replace("\u0130", "I").lower()


def _begun_at_the_end(text: str, secret: str) -> int:
    """How many of the text's last characters are the secret's first, in whatever case; not all of it.

    By Knuth, Morris and Pratt, in one walk over both: whoever sets long secrets must not be able to slow a node down.
    """
    start, end = _folded(secret), _folded(text[-len(secret) + 1 :])
    if start[:SHORTEST_MASKED] not in end:
        return 0
    borders = [0] * len(start)
    """Of each beginning of the secret, the longest that is also its end."""
    same = 0
    for place in range(1, len(start)):
        while same and start[place] != start[same]:
            same = borders[same - 1]
        same += start[place] == start[same]
        borders[place] = same
    same = 0
    for character in end:
        while same and (same == len(start) or character != start[same]):
            same = borders[same - 1]
        same += character == start[same]
    return same


def storable(text: str) -> str:
    """Text that both databases keep: no NUL, no half surrogate pair."""
    if text.isascii() and "\x00" not in text:
        return text
    return text.replace("\x00", "\N{SYMBOL FOR NULL}").encode("utf-8", "replace").decode()
