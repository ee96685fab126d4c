"""What an attempt met and what follows from it. Pure: no clock, no row, no socket.

An attempt's outcome is a value, never an exception; `decide` turns it into the next step.
"""

from typing import Literal, assert_never

import msgspec

from dockbell.clock import HOUR, MINUTE, Moment
from dockbell.domain.retry_after import parse_retry_after
from dockbell.domain.retry_policy import RetryPolicy

SLOW_DOWN = frozenset({429, 502, 503, 504})
LONGEST_RETRY_AFTER = 2 * HOUR
HEAD_KEPT = 16 * 1024
"""Bytes of an answer's head that are kept."""

NO_FAILURE = frozenset({"interrupted", "connection_ended"})
"""What says nothing about the receiver, who may have the event or not: it is sent again at once, whatever the policy."""
INTERNAL_ERRORS = 3
AFTER_INTERNAL_ERROR = MINUTE

Status = Literal["pending", "sending", "delivered", "failed", "held", "cancelled"]


class Timings(msgspec.Struct, frozen=True, gc=False):
    """How long each part of an attempt took, in microseconds; 0 where it did not happen."""

    dns: int = 0
    connect: int = 0
    tls: int = 0
    first_byte: int = 0
    total: int = 0


NO_TIME = Timings()


class Answered(msgspec.Struct, frozen=True, gc=False):
    """The receiver sent a complete response head."""

    status: int
    headers: bytes = b""
    """Status line and header lines as received, capped."""
    body: bytes = b""
    """The beginning of the body, capped; never decoded."""
    body_cut: bool = False
    retry_after: str | None = None
    address: str = ""
    timings: Timings = NO_TIME


class Unanswered(msgspec.Struct, frozen=True, gc=False):
    """No complete response head: `reason` is a code such as `connect_timeout` or `tls_untrusted`."""

    reason: str
    detail: str = ""
    address: str = ""
    timings: Timings = NO_TIME


class NotSent(msgspec.Struct, frozen=True, gc=False):
    """We refused to send, for example because the address is denied; nothing left this machine."""

    reason: str
    detail: str = ""
    timings: Timings = NO_TIME


Outcome = Answered | Unanswered | NotSent


class Done(msgspec.Struct, frozen=True, gc=False):
    status: Literal["delivered", "failed"]
    deactivate_webhook: bool = False


class TryAgain(msgspec.Struct, frozen=True, gc=False):
    at: Moment


Decision = Done | TryAgain


def decide(
    outcome: Outcome,
    policy: RetryPolicy,
    *,
    failures: int,
    first_attempt_at: Moment,
    now: Moment,
    jitter: float,
) -> Decision:
    """The step after an attempt. `failures` counts this one if it failed; `jitter` is from 0 to 1."""
    match outcome:
        case Answered(status=status) if 200 <= status <= 299:
            return Done("delivered")
        case Answered(status=410):
            return Done("failed", deactivate_webhook=True)
        case NotSent(reason="internal_error") | Unanswered(reason="internal_error"):
            # Ours, whatever the policy; but what fails here each time is parked, for all to see.
            return TryAgain(now + AFTER_INTERNAL_ERROR) if failures < INTERNAL_ERRORS else Done("failed")
        case NotSent(reason="egress_denied_address" | "url_refused"):
            asked = 0  # the name may lead elsewhere soon; somebody mends the URL or opens the address
        case NotSent():
            return Done("failed")
        case Unanswered(reason=reason) if reason in NO_FAILURE:
            return TryAgain(now)
        case Answered(status=status, retry_after=header) if status in SLOW_DOWN:
            asked = parse_retry_after(header, now=now) if header else 0
        case Answered() | Unanswered():
            asked = 0
        case _:
            assert_never(outcome)
    age = now - first_attempt_at
    wait = policy.wait_after(failures, age=age)
    if wait is None:
        return Done("failed")
    extra = min(policy.jitter_of(wait, jitter), policy.until - age - wait)  # never beyond the policy's last moment
    return TryAgain(now + max(wait + extra, min(asked, LONGEST_RETRY_AFTER)))


def code_of(outcome: Outcome) -> str:
    """The word under which an attempt is listed: `delivered`, `http_500`, `http_redirect`, `connect_refused`."""
    match outcome:
        case Answered(status=status) if 200 <= status <= 299:
            return "delivered"
        case Answered(status=status) if 300 <= status <= 399:
            return "http_redirect"
        case Answered(status=status):
            return f"http_{status}"
        case Unanswered(reason=reason) | NotSent(reason=reason):
            return reason
        case _:
            assert_never(outcome)
