"""Event ids: integers below 2^53 that sort by time, made without asking the database.

41 bits of milliseconds since 2025, 6 bits of node number, 6 bits of counter. Insertion in id order keeps
the database's indexes appending (random keys cost six times as much), JavaScript reads the number
exactly, and "newest first" needs no second index.
"""

from dockbell.clock import Moment

FIRST_MS = 1_735_689_600_000
NODE_BITS = 6
COUNTER_BITS = 6
NODES = 1 << NODE_BITS
LARGEST = (1 << 53) - 1


class EventIds:
    """Ids of one node: strictly growing, also when the clock steps back."""

    def __init__(self, node: int, *, newest: int = 0) -> None:
        if not 0 <= node < NODES:
            raise ValueError(f"node is {node}; it must be from 0 to {NODES - 1}")
        self._node = node << COUNTER_BITS
        self._slot = 0
        self.pass_by(newest)

    def pass_by(self, newest: int) -> None:
        """Make only ids above this one from now on, whichever node made it, whatever its clock says."""
        slot = newest >> (NODE_BITS + COUNTER_BITS)
        if slot >= self._slot:
            self._slot, self._counter = slot, (1 << COUNTER_BITS) - 1

    def next(self, now: Moment) -> int:
        slot = now // 1000 - FIRST_MS
        if slot > self._slot:
            self._slot, self._counter = slot, 0
        elif self._counter + 1 < 1 << COUNTER_BITS:
            self._counter += 1
        else:
            self._slot, self._counter = self._slot + 1, 0
        return self._slot << (NODE_BITS + COUNTER_BITS) | self._node | self._counter


def first_id_at(moment: Moment) -> int:
    """The smallest id an event accepted at `moment` can have; a page "from 12:00 on" is a range of ids."""
    return max(0, moment // 1000 - FIRST_MS) << (NODE_BITS + COUNTER_BITS)


def moment_of(some_id: int) -> Moment:
    """When an id was made, to the millisecond."""
    return ((some_id >> (NODE_BITS + COUNTER_BITS)) + FIRST_MS) * 1000
