"""One attempt, from leased job to closed log row."""

from dockbell.actions.index import State
from dockbell.actions.journal import Job
from dockbell.clock import Moment
from dockbell.domain.delivery import Answered, Done, NotSent, Outcome, TryAgain, Unanswered, code_of, decide
from dockbell.domain.request import OutgoingRequest, build_request
from dockbell.domain.retry_policy import NONE
from dockbell.store.deliveries import Closing

RESPONSE_KEPT_CHARACTERS = 65_536


def request_for(job: Job, state: State, now: Moment) -> tuple[OutgoingRequest | NotSent, str]:
    """The request of the attempt after the webhook's settings of now, and its headers as they may be shown.

    Settings are read again because a retry goes to where the webhook points today.
    """
    webhook = state.webhooks.get(job.webhook.id, job.webhook)
    if webhook.url is None:
        return NotSent("url_refused", webhook.url_problem), ""
    event_type = state.catalog.get(job.event.event_type)
    id_field = event_type.id_field if event_type is not None else "webhookId"
    return build_request(job.event, webhook, id_field=id_field, now=now)


def close_attempt(
    job: Job, outcome: Outcome, shown_headers: str, *, node: int, now: Moment, jitter: float
) -> Closing:
    """What to write: the log row, and the delivery's next state as `decide` says."""
    lease = job.lease
    code = code_of(outcome)
    failed = code not in ("delivered", "interrupted")
    failures = lease.failures + failed
    policy = NONE if job.event.test else job.webhook.retry_policy
    decision = decide(
        outcome, policy, failures=failures, first_attempt_at=lease.first_attempt_at, now=now, jitter=jitter
    )
    match decision:
        case TryAgain(at=at):
            next_status, due_at, deactivate = "pending", at, False
        case Done(status=status, deactivate_webhook=deactivate):
            next_status, due_at = status, now
    answer = outcome if isinstance(outcome, Answered) else None
    timings = outcome.timings
    return Closing(
        lease=lease,
        webhook_version=job.webhook.version,
        node=node,
        ended_at=now,
        code=code,
        status_code=answer.status if answer else None,
        detail="" if answer else storable(outcome.detail),  # type: ignore[union-attr]
        address=outcome.address if isinstance(outcome, Answered | Unanswered) else "",
        dns_us=timings.dns,
        connect_us=timings.connect,
        tls_us=timings.tls,
        first_byte_us=timings.first_byte,
        total_us=timings.total,
        request_headers=shown_headers,
        response_headers=_as_text(answer.headers) if answer else "",
        response_body=_as_text(answer.body) if answer else "",
        response_cut=bool(answer and answer.body_cut),
        next_status=next_status,
        due_at=due_at,
        failed=failed,
        deactivate_webhook=deactivate and not job.event.test,
    )


def _as_text(raw: bytes) -> str:
    return storable(raw.decode("utf-8", "replace"))[:RESPONSE_KEPT_CHARACTERS]


def storable(text: str) -> str:
    """Text that both databases keep: no NUL, no half surrogate pair."""
    return text.replace("\x00", "\N{SYMBOL FOR NULL}").encode("utf-8", "replace").decode()
