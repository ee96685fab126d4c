"""Lets a day happen: orders come in at a rate, and each step of the day is one transaction with its events."""

from collections.abc import Callable

from dockbell.actions.publish import Publisher
from dockbell.clock import Clock
from dockbell.domain.permissions import SYSTEM
from dockbell.errors import Conflict
from dockbell.store.database import Database
from dockbell.warehouse.act import Act
from dockbell.warehouse.day import Day, Work

AT_ONCE = 25
"""Orders that are worked on together when there is no rate."""


def run_day(
    database: Database,
    publisher: Publisher,
    clock: Clock,
    day: Day,
    *,
    order_count: int,
    orders_per_minute: float,
    on_step: Callable[[Day], None] = lambda _: None,
    wait: Callable[[float], object],
) -> None:
    """Let this many orders come in, at this rate (0: as fast as they are worked off), and work all of them off."""
    begun, due, pause = 0, clock.monotonic(), 60 / orders_per_minute if orders_per_minute else 0.0
    while True:
        while begun < order_count and (clock.monotonic() >= due if pause else day.waiting < AT_ONCE):
            day.begin_order()
            begun, due = begun + 1, due + pause
        work = day.next_work(beside=begun < order_count and (not pause or day.waiting > 0))
        if work is None and begun == order_count:
            return
        if work is None:
            wait(max(0.0, due - clock.monotonic()))
        else:
            _take(database, publisher, clock, day, work)
            on_step(day)


def _take(database: Database, publisher: Publisher, clock: Clock, day: Day, work: Work) -> None:
    by, now = day.who(), clock.now()
    try:
        following = database.submit_write(lambda tx: day.take(work, Act(tx, publisher, SYSTEM, now, by))).result()
    except Conflict:
        day.was_refused(work)
    else:
        day.was_taken(work, following)
