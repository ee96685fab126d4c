"""How far it has come with a webhook of which every attempt fails. Pure.

One failure is nothing: retries are there for it. After a quarter of an hour people are told, some time before the end they
are warned, and after days of nothing but failures the webhook is disabled: whoever runs the receiver has left it.
"""

from typing import Literal

from dockbell.clock import DAY, MINUTE, Moment

Stage = Literal["began", "warning", "disabled"]
ORDER: tuple[Stage, ...] = ("began", "warning", "disabled")
TOLD_AFTER = 15 * MINUTE
WARNED_AT = 0.8
"""Of the time until it is disabled: a day before, with five days."""


def stage_of(failing_since: Moment, tried_at: Moment, *, now: Moment, disable_after_days: float) -> Stage | None:
    """The stage that is reached; None if it is too early to say anything. With 0 days nothing is ever disabled.

    Only attempts count, not time without any: a webhook that is seldom used does not fail while nothing happens.
    """
    span = int(disable_after_days * DAY)
    if span and tried_at - failing_since >= span:
        return "disabled"
    if span and tried_at - failing_since >= span * WARNED_AT:
        return "warning"
    return "began" if now - failing_since >= min(TOLD_AFTER, span or TOLD_AFTER) else None


def is_later(stage: Stage, told: str | None) -> bool:
    return told is None or ORDER.index(stage) > [*ORDER].index(told)  # type: ignore[arg-type]
