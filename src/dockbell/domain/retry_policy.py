"""When a failed delivery is tried again."""

from dataclasses import dataclass

from dockbell.clock import DAY, HOUR, MINUTE, SECOND

MOST_JITTER = 5 * MINUTE


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Waits between attempts: the steps in order, then the same wait again until time is up.

    A step is the wait after the *previous* attempt, in microseconds. `until` is the age, counted from
    the first attempt, beyond which no attempt is planned.
    """

    name: str
    steps: tuple[int, ...] = ()
    then_every: int | None = None
    until: int = 0

    def wait_after(self, failures: int, *, age: int) -> int | None:
        """The wait after the failed attempt number `failures` (1 is the first), or None if it was the last."""
        wait = self.steps[failures - 1] if failures <= len(self.steps) else self.then_every
        if wait is None or age + wait > self.until:
            return None
        return wait

    def offsets(self) -> list[int]:
        """When attempts are made if each fails at once: microseconds after the first, which is 0. Without jitter."""
        times = [0]
        while (wait := self.wait_after(len(times), age=times[-1])) is not None:
            times.append(times[-1] + wait)
        return times

    def jitter_of(self, wait: int, share: float) -> int:
        """Extra wait, so that many deliveries do not come back in the same second.

        It only ever adds, at most a tenth and at most five minutes: eleven two-hour steps with five
        minutes each still leave the sixteenth attempt of "One day" inside its day.
        """
        return int(min(wait // 10, MOST_JITTER) * share)


NONE = RetryPolicy("none")
ONE_DAY = RetryPolicy(
    "one-day",
    steps=(1 * MINUTE, 5 * MINUTE, 15 * MINUTE, 30 * MINUTE),
    then_every=2 * HOUR,
    until=DAY,
)
# The example schedule of the Standard Webhooks specification, "Deliverability and reliability".
STANDARD = RetryPolicy(
    "standard",
    steps=(5 * SECOND, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR),
    until=4 * DAY,
)
NAMED = {policy.name: policy for policy in (NONE, ONE_DAY, STANDARD)}


def own_steps(steps_s: tuple[int, ...]) -> RetryPolicy:
    """A policy of the administrator's own waits, in seconds; each is used once."""
    steps = tuple(step * SECOND for step in steps_s)
    return RetryPolicy("own", steps=steps, until=2 * sum(steps) + HOUR)
