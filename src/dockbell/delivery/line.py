"""The line: lanes whose next attempt only waits for one of the node's slots. Goods owners in turn, and each one's lanes in turn."""

from collections import deque

from dockbell.delivery.lanes import Lane
from dockbell.domain.shares import Owners, Shares


class Line:
    def __init__(self, slots: Shares) -> None:
        self._slots = slots
        self._standing: dict[Owners, deque[Lane]] = {}

    def may_pass(self, lane: Lane) -> bool:
        """Whether it may begin an attempt without standing in line: not before others, who may have waited long."""
        return not self._standing and self._slots.room(lane.owners) > 0

    def stand(self, lane: Lane) -> None:
        if not lane.stands_in_line:
            lane.stands_in_line = True
            self._standing.setdefault(lane.owners, deque()).append(lane)

    def next(self) -> Lane | None:
        """Whose turn it is; None if there is no slot for anybody who stands here."""
        if not self._slots.free():
            return None
        for owners, lanes in self._standing.items():
            if self._slots.room(owners):
                lane = lanes.popleft()
                lane.stands_in_line = False
                del self._standing[owners]
                if lanes:  # behind everybody else
                    self._standing[owners] = lanes
                return lane
        return None
