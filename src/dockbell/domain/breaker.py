"""How hard an ailing receiver is tried, so that it gets well and nobody else waits for it. Pure: it is told the time.

- **Open**: after ten failures in a row, or when half of the last fifty attempts met an ill receiver, nothing is sent
  for half a minute; each time it turns out still ill, twice as long, up to ten minutes.
- **Ramping**: then one attempt is made as a probe. If it is answered well, 2 may be under way at once, then 4, and so on
  up to the webhook's own cap. Five failures in a row meanwhile, or most of those at once, open it again; a receiver that only
  fails now and then gets well.
- **Slowed**: an answer that asks for patience (429, 502, 503, 504) halves the rate of attempts, once a second at most;
  the first one starts from the rate that was answered well. While none comes the rate grows again by a twentieth a
  second, and the limit is lifted only well beyond where it began: a receiver that is full is felt for, and not flooded.

What is refused by us, or broken off by us, says nothing about the receiver and counts as nothing.
"""

import math
from collections import deque
from typing import Literal, NamedTuple

from dockbell.domain.delivery import NO_FAILURE, SLOW_DOWN, Answered, NotSent, Outcome, Unanswered, code_of

IN_A_ROW = 10
IN_A_ROW_RAMPING = 5
WATCHED = 50
"""Of the last twenty, half will have failed once in 400 attempts of a receiver that fails one in four; of fifty, once in 75,000."""
FIRST_OPEN_S, LONGEST_OPEN_S = 30.0, 600.0
NO_LIMIT = 1 << 30
SLOWEST_A_S = 0.1
GROWTH_A_S = 1.05
HALVED_EVERY_S = 1.0
LIFTED_AT = 4.0
"""Times the rate it was slowed down at: what a receiver has room for lies below, or it would have asked for patience."""
BURST_S = 0.1
"""What a slowed receiver may get at once, in seconds of its rate: a whole second's at once, on top of the rate, would flood it."""
SMALLEST_FULL_RATE = 4.0
"""Below so many attempts a second a receiver is not slowed down by what else comes."""
KNOWN_FOR_S = 300.0
"""After so long without an attempt nothing is known of the receiver any more."""
OUR_OWN = NO_FAILURE | {"internal_error", "file_descriptors"}

State = Literal["open", "ramping", "slowed"]
Reason = Literal["in a row", "half", "slow down"]


class Held(NamedTuple):
    """Why a webhook's deliveries are held back. Moments are seconds of the clock the breaker is told."""

    state: State
    since: float
    reason: Reason
    code: str
    """Of the last attempt that failed."""
    probe_at: float | None
    """When the next attempt may be made; None unless it is open."""


class Meter:
    """How many a second, by the second that is over and the one that goes on."""

    def __init__(self, now: float) -> None:
        self._since = now
        self._count = self._before = 0

    def count(self, now: float) -> None:
        self._turn(now)
        self._count += 1

    def a_s(self, now: float) -> int:
        self._turn(now)
        return max(self._before, self._count)

    def _turn(self, now: float) -> None:
        passed = now - self._since
        if passed >= 1:
            self._before, self._count, self._since = int(self._count / passed), 0, now


class Breaker:
    """What one node knows of one webhook's receiver. `now` is in seconds that only ever grow."""

    def __init__(self, now: float, well: Meter | None = None) -> None:
        """`well` has counted what was answered well before there was a breaker."""
        self._well = well or Meter(now)
        self._in_a_row = 0
        self._last: deque[bool] = deque(maxlen=WATCHED)
        """True where the receiver was ill; what it refused but answered properly is no illness."""
        self._held: Held | None = None
        self._open_s = 0.0
        self._at_once = 1
        self._good = self._bad = 0
        """Of the attempts that this many at once are judged by."""
        self._rate: float | None = None
        self._full_rate = 0.0
        self._tokens = 0.0
        self._rate_at = self._halved_at = now
        self._noted_at = now

    def held(self) -> Held | None:
        return self._held

    def is_forgotten(self) -> bool:
        """True when nothing is left of it that a new one would not know."""
        return self._held is None and self._in_a_row == 0 and len(self._last) == WATCHED and not any(self._last)

    def room(self, now: float, busy: int) -> int:
        """How many attempts may begin now, when `busy` are under way."""
        self.settle(now)
        held, room = self._held, NO_LIMIT
        if held is None:
            return room
        if held.probe_at is not None:
            room = 1 - busy if now >= held.probe_at else 0
        elif held.state == "ramping":
            room = self._at_once - busy
        if self._rate is not None:
            room = min(room, int(self._tokens))
        return max(0, room)

    def next_in_s(self, now: float) -> float:
        """How soon there is rate for one more; infinite where there is, or none is kept."""
        self.settle(now)
        return math.inf if self._rate is None or self._tokens >= 1 else (1 - self._tokens) / self._rate

    def settle(self, now: float) -> None:
        """Let the rate grow by the time that has passed, and forget what is too old to tell anything."""
        # Also while it ramps: other nodes may have sent all there was, and nothing is left to get well by.
        if self._held is not None and now >= max(self._noted_at, self._held.probe_at or 0.0) + KNOWN_FOR_S:
            self._held, self._rate, self._open_s, self._in_a_row = None, None, 0.0, 0
        rate, passed = self._rate, now - self._rate_at
        if rate is None or passed <= 0:
            return
        quiet = now - max(self._rate_at, self._halved_at + HALVED_EVERY_S)
        rate *= GROWTH_A_S ** max(0.0, min(quiet, KNOWN_FOR_S))
        self._rate_at = now
        if rate >= LIFTED_AT * self._full_rate or passed >= KNOWN_FOR_S:
            self._rate = None
            if self._held is not None and self._held.state == "slowed":
                self._held = None
            return
        self._rate = rate
        self._tokens = min(max(1.0, BURST_S * rate), self._tokens + passed * rate)

    def take(self, count: int = 1) -> None:
        """So many attempts begin."""
        self._tokens -= count

    def note(self, outcome: Outcome, now: float, *, cap: int) -> bool:
        """What an attempt met; `cap` is the webhook's own. True if deliveries are held back more than before."""
        if isinstance(outcome, NotSent) or (isinstance(outcome, Unanswered) and outcome.reason in OUR_OWN):
            return False
        status = outcome.status if isinstance(outcome, Answered) else 0
        self._noted_at = now
        slowed = status in SLOW_DOWN and self._slow_down(outcome, now)
        if 200 <= status <= 299:
            self._well.count(now)
            self._get_well(now, cap)
            return False
        if status == 429:  # it is there, and only asks for patience
            return slowed
        return self._failed(outcome, now, cap, ill=status in {0, 408} or status >= 500) or slowed

    def _get_well(self, now: float, cap: int) -> None:
        self._in_a_row = 0
        self._last.append(False)
        held = self._held
        if held is None:
            return
        if held.probe_at is not None:
            if now < held.probe_at:  # of an attempt that began before: the probe will tell
                return
            self._held = held._replace(state="ramping", probe_at=None)
            self._at_once, self._good, self._bad = 1, 0, 0
        if self._held is not None and self._held.state == "ramping":
            self._good += 1
            self._ramp(cap)

    def _ramp(self, cap: int) -> None:
        """Twice as many at once, when as many as there may be were judged."""
        if self._good + self._bad >= self._at_once:
            self._at_once, self._good, self._bad = self._at_once * 2, 0, 0
        if self._at_once >= cap:
            self._close()

    def _close(self) -> None:
        self._open_s = 0.0
        self._last.clear()
        held = self._held
        if held is not None:
            self._held = None if self._rate is None else held._replace(state="slowed", reason="slow down")

    def _failed(self, outcome: Outcome, now: float, cap: int, *, ill: bool) -> bool:
        self._in_a_row += 1
        self._last.append(ill)
        held = self._held
        if held is not None and held.state == "open":
            if held.probe_at is None or now < held.probe_at:
                return False
            return self._open(held.reason, outcome, now)
        if held is not None and held.state == "ramping":
            self._bad += 1
            if 2 * self._bad > self._at_once or self._in_a_row >= IN_A_ROW_RAMPING:
                return self._open(held.reason, outcome, now)
            self._ramp(cap)
            return False
        if self._in_a_row >= IN_A_ROW:
            return self._open("in a row", outcome, now)
        if len(self._last) == WATCHED and 2 * sum(self._last) >= WATCHED:
            return self._open("half", outcome, now)
        return False

    def _open(self, reason: Reason, outcome: Outcome, now: float) -> bool:
        self._open_s = min(LONGEST_OPEN_S, 2 * self._open_s) if self._open_s else FIRST_OPEN_S
        since = self._held.since if self._held is not None and self._held.state != "slowed" else now
        self._held = Held("open", since, reason, code_of(outcome), now + self._open_s)
        self._last.clear()
        return True

    def _slow_down(self, outcome: Outcome, now: float) -> bool:
        if self._rate is not None and now - self._halved_at < HALVED_EVERY_S:
            return False
        if self._rate is None:
            self._full_rate = max(SMALLEST_FULL_RATE, self._well.a_s(now))
        self._rate = max(SLOWEST_A_S, (self._full_rate if self._rate is None else self._rate) / 2)
        self._tokens = 0.0
        self._rate_at = self._halved_at = now
        if self._held is None or self._held.state == "slowed":
            since = now if self._held is None else self._held.since
            self._held = Held("slowed", since, "slow down", code_of(outcome), None)
        return True
