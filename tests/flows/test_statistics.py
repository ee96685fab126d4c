"""Statistics: each attempt counts exactly once, whenever its outcome reaches the disk."""

import random
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

from dockbell.actions import statistics
from dockbell.clock import HOUR, MINUTE
from dockbell.domain.delivery import Answered
from dockbell.store import deliveries, events, webhook_hours
from dockbell.store.database import Database, Transaction
from dockbell.store.deliveries import Closing
from dockbell.store.webhook_hours import Health
from tests.support.node import a_node
from tests.support.rows import (
    NOW,
    SECOND,
    a_closing,
    a_failure,
    a_lease,
    an_event_row,
    close,
    put_deliveries,
    put_goods_owners,
    put_webhook,
    read,
    write,
)

LATER = NOW + 10 * HOUR


def closing(event_id: int, *, at: int, failed: bool = False, **fields: object) -> Closing:
    made = partial(a_failure, again_at=at + HOUR) if failed else partial(a_closing)
    return made(a_lease(event_id, 1), ended_at=at, **fields)


def prepare(database: Database, how_many: int) -> None:
    put_goods_owners(database)
    put_webhook(database, 1)
    put_deliveries(database, 1, range(1, how_many + 1))


def roll_up(database: Database, until: int, longest: int = HOUR) -> None:
    while write(database, lambda tx: webhook_hours.roll_up(tx, until=until, longest=longest)):
        pass


def counted(database: Database, *, now: int = LATER) -> tuple[int, int]:
    """Delivered and failed, as the pages show them."""
    found = read(database, lambda tx: statistics.of_webhooks(tx, [1], now=now))[1]
    return sum(found.delivered), sum(found.failed)


def rolled_up(database: Database) -> int:
    _, counts = read(database, lambda tx: webhook_hours.stored(tx, [1], since=0))
    return sum(each.delivered + each.failed for each in counts)


def test_the_newest_attempts_are_counted_before_and_after_they_are_rolled_up(database: Database):
    prepare(database, 3)
    close(database, closing(1, at=NOW), closing(2, at=NOW + MINUTE, failed=True), closing(3, at=NOW + HOUR))
    assert counted(database) == (2, 1)
    for until in (NOW, NOW + MINUTE, NOW + MINUTE + 1, LATER):
        roll_up(database, until)
        assert counted(database) == (2, 1), until
    assert rolled_up(database) == 3


def test_hours_of_other_webhooks_are_not_read(database: Database):
    """The page of one webhook would read a day of all of them."""
    prepare(database, 1)
    close(database, closing(1, at=NOW))
    roll_up(database, LATER)
    for asked in ([2], []):
        assert read(database, lambda tx: webhook_hours.stored(tx, asked, since=0)) == (LATER, [])  # noqa: B023
        assert read(database, lambda tx: webhook_hours.health(tx, asked)) == (LATER, {})  # noqa: B023
    assert len(read(database, lambda tx: webhook_hours.stored(tx, range(1, 3), since=0))[1]) == 1


def test_an_outcome_that_reaches_the_disk_after_its_time_was_counted_counts_itself(database: Database):
    prepare(database, 2)
    roll_up(database, LATER)
    close(database, closing(1, at=NOW), closing(2, at=NOW + HOUR, failed=True))
    assert counted(database) == (1, 1)
    roll_up(database, LATER + HOUR)
    assert counted(database) == (1, 1)


def test_a_late_outcome_written_twice_counts_once(database: Database):
    prepare(database, 1)
    roll_up(database, LATER)
    close(database, closing(1, at=NOW))
    close(database, closing(1, at=NOW))
    assert counted(database) == (1, 0)


def test_an_interrupted_attempt_counts_when_its_truth_is_known_and_only_then(database: Database):
    prepare(database, 2)
    lost = [closing(n, at=NOW, code="interrupted", next_status="pending") for n in (1, 2)]
    close(database, *lost)
    assert counted(database) == (0, 0)
    roll_up(database, NOW + MINUTE)
    close(database, closing(1, at=NOW + SECOND), closing(2, at=NOW + HOUR))
    assert counted(database) == (2, 0)
    roll_up(database, LATER)
    assert (counted(database), rolled_up(database)) == ((2, 0), 2)


def test_tests_by_hand_are_not_counted_in_time_or_late(database: Database):
    put_goods_owners(database)
    put_webhook(database, 1)

    def make(tx: Transaction) -> None:
        events.insert(tx, [an_event_row(n, test_of=1) for n in (1, 2)])
        deliveries.insert(tx, [(n, 1, 114, NOW) for n in (1, 2)])

    write(database, make)
    close(database, closing(1, at=NOW))
    roll_up(database, LATER)
    close(database, closing(2, at=NOW))
    assert counted(database) == (0, 0)


def test_any_order_of_closing_and_rolling_up_counts_each_attempt_once(database: Database):
    """Forty attempts in random portions, roll-ups at random times between them, at random lengths."""
    for seed in range(5):
        chance = random.Random(seed)
        first = seed * 40 + 1
        prepare(database, 0)
        put_deliveries(database, 1, range(first, first + 40))
        mark = read(database, webhook_hours.counted_to) or NOW
        waiting = [closing(n, at=NOW + chance.randrange(5 * HOUR)) for n in range(first, first + 40)]
        while waiting:
            portion = [waiting.pop() for _ in range(min(len(waiting), chance.randrange(1, 6)))]
            close(database, *portion)
            mark = max(mark, NOW + chance.randrange(5 * HOUR))
            roll_up(database, mark, longest=chance.choice([MINUTE, HOUR]))
            assert counted(database)[0] == first + 39 - len(waiting)
    roll_up(database, LATER)
    assert rolled_up(database) == 200


def test_a_roll_up_waits_for_outcomes_that_are_being_written(database: Database, open_again: Callable[[], Database]):
    """Another node is in the middle of its commit while the watermark wants to pass what it writes."""
    prepare(database, 1)
    other = open_again()
    written, go_on = threading.Event(), threading.Event()

    def slowly(tx: Transaction) -> None:
        deliveries.close(tx, [closing(1, at=NOW)])
        written.set()
        assert go_on.wait(10)

    closing_now = other.submit_write(slowly)
    assert written.wait(10)
    rolling = database.submit_write(lambda tx: webhook_hours.roll_up(tx, until=LATER, longest=HOUR))
    threading.Timer(0.2, go_on.set).start()
    closing_now.result(20)
    rolling.result(20)
    assert rolled_up(database) + int(read(database, webhook_hours.counted_to) <= NOW) == 1
    assert counted(database) == (1, 0)


def test_nodes_that_close_and_roll_up_at_once_count_each_attempt_once(
    database: Database, open_again: Callable[[], Database]
):
    prepare(database, 200)
    nodes = [database, open_again()]
    tasks: list[Future[Any]] = []
    for n in range(1, 201):
        work = partial(lambda tx, one: deliveries.close(tx, [one]), one=closing(n, at=NOW + n * MINUTE))
        tasks.append(nodes[n % 2].submit_write(work))
        if n % 10 == 0:
            mark = NOW + (n - 30) * MINUTE + 2 * (n % 60) * MINUTE
            rolled = partial(webhook_hours.roll_up, until=mark, longest=20 * MINUTE)
            tasks.append(nodes[n // 10 % 2].submit_write(rolled))
    for task in tasks:
        task.result(30)
    roll_up(database, LATER)
    assert rolled_up(database) == 200


def test_a_webhook_fails_since_its_first_failure_after_the_last_success(database: Database):
    prepare(database, 6)
    health = None
    for n, failed in enumerate([True, False, True, True], 1):
        close(database, closing(n, at=NOW + n * MINUTE, failed=failed))
        for until in (NOW, NOW + n * MINUTE + 1):
            roll_up(database, until)
            health = read(database, lambda tx: statistics.of_webhooks(tx, [1], now=LATER))[1].health
            assert health is not None
            assert (health.failing_since is not None) == failed
    assert health is not None
    assert health.failing_since == NOW + 3 * MINUTE
    assert health.delivered_at == NOW + 2 * MINUTE
    assert health.tried_at == NOW + 4 * MINUTE


def health(database: Database, *, now: int = LATER) -> Health | None:
    found: Health | None = read(database, lambda tx: statistics.of_webhooks(tx, [1], now=now))[1].health
    return found


def test_a_late_outcome_counts_for_the_health_too(database: Database):
    prepare(database, 2)
    close(database, closing(1, at=NOW, failed=True))
    roll_up(database, NOW + 20 * SECOND)
    close(database, closing(2, at=NOW + 5 * SECOND))  # the store was slow
    roll_up(database, NOW + HOUR)
    assert counted(database) == (1, 1)
    assert health(database) == Health(NOW + 5 * SECOND, NOW + 5 * SECOND, None)


def test_late_outcomes_of_two_nodes_at_once_both_count_for_the_health(
    database: Database, open_again: Callable[[], Database]
):
    prepare(database, 2)
    roll_up(database, LATER)
    other = open_again()
    written, go_on = threading.Event(), threading.Event()

    def slowly(tx: Transaction) -> None:
        deliveries.close(tx, [closing(1, at=NOW + HOUR)])
        written.set()
        assert go_on.wait(10)

    first = other.submit_write(slowly)
    assert written.wait(10)
    second = database.submit_write(lambda tx: deliveries.close(tx, [closing(2, at=NOW, failed=True)]))
    threading.Timer(0.2, go_on.set).start()
    first.result(20)
    second.result(20)
    assert health(database) == Health(NOW + HOUR, NOW + HOUR, None)


def test_any_order_of_closing_and_rolling_up_tells_whether_a_webhook_fails(database: Database):
    for seed in range(5):
        chance = random.Random(seed)
        prepare(database, 0)
        write(database, lambda tx: tx.run("DELETE FROM webhook_health"))
        put_deliveries(database, 1, range(seed * 20 + 1, seed * 20 + 21))
        mark = begin = NOW + seed * 10 * HOUR
        waiting = [
            closing(n, at=begin + chance.randrange(5 * HOUR), failed=chance.random() < 0.7)
            for n in range(seed * 20 + 1, seed * 20 + 21)
        ]
        written: list[Closing] = []
        while waiting:
            portion = [waiting.pop() for _ in range(min(len(waiting), chance.randrange(1, 4)))]
            close(database, *portion)
            written += portion
            mark = max(mark, begin + chance.randrange(5 * HOUR))
            roll_up(database, mark)
            found = health(database, now=begin + 5 * HOUR)
            assert found is not None
            good = max((c.ended_at for c in written if c.code == "delivered"), default=None)
            failures = {c.ended_at for c in written if c.code != "delivered" and c.ended_at > (good or 0)}
            assert (found.tried_at, found.delivered_at) == (max(c.ended_at for c in written), good)
            assert found.failing_since in failures if failures else found.failing_since is None
        roll_up(database, begin + 10 * HOUR)


def test_times_are_told_to_a_fifth(database: Database):
    prepare(database, 100)
    close(database, *(closing(n, at=NOW + n, total_us=n * 1000) for n in range(1, 101)))
    roll_up(database, NOW + 50)
    found = read(database, lambda tx: statistics.of_webhooks(tx, [1], now=LATER))[1]
    assert 0.8 * 95_000 <= found.time_us(0.95) <= 1.2 * 95_000
    assert 0.8 * 50_000 <= found.time_us(0.5) <= 1.2 * 50_000
    assert statistics.Statistics().time_us(0.95) is None


async def test_a_running_node_rolls_up_by_itself(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path, script=[Answered(200), Answered(200)]) as node:
        webhook = node.make_webhook().webhook["id"]
        await node.publish()
        await node.rest()
        await node.advance(MINUTE)
        await node.advance(MINUTE)
        found = await database.read(lambda tx: statistics.of_webhooks(tx, [webhook], now=node.clock.now()))
        assert sum(found[webhook].delivered) == 1
        assert rolled_up(database) == 1
