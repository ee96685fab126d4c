"""How often someone may do something: so many times within a minute, counted in this node's memory."""

from collections import defaultdict, deque

from dockbell.clock import Clock
from dockbell.errors import TooMuch

MINUTE_S = 60.0
MOST_REMEMBERED = 1_000
TESTS_PER_MINUTE = 10


class Pace:
    def __init__(self, clock: Clock, a_minute: int = TESTS_PER_MINUTE) -> None:
        self._clock = clock
        self._a_minute = a_minute
        self._done: dict[str, deque[float]] = defaultdict(deque)

    def need(self, who: str) -> None:
        """Count one more; raises TooMuch when that is too soon."""
        now = self._clock.monotonic()
        if len(self._done) > MOST_REMEMBERED:
            for each in [each for each, moments in self._done.items() if moments[-1] <= now - MINUTE_S]:
                del self._done[each]
        moments = self._done[who]
        while moments and moments[0] <= now - MINUTE_S:
            moments.popleft()
        if len(moments) >= self._a_minute:
            wait_s = max(1, round(moments[0] + MINUTE_S - now))
            raise TooMuch(
                f"You sent {self._a_minute} test events within a minute. Send the next one in {wait_s} seconds.",
                retry_after_s=wait_s,
                code="too_many_tests",
                hint="Real events are not limited; publish one to see what many at once do.",
            )
        moments.append(now)
