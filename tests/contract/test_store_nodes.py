"""The numbers of nodes: no two that run have the same one."""

import threading
from collections.abc import Callable

import pytest

from dockbell.domain.ids import NODES
from dockbell.errors import ConfigError
from dockbell.store import people
from dockbell.store.database import Database, Transaction
from tests.support.rows import NOW, SECOND, write

LATER = NOW + 60 * SECOND


def test_a_node_takes_the_first_number_that_nobody_uses(database: Database):
    def join(now: int) -> int:
        return int(write(database, lambda tx: people.join_node(tx, name="n", now=now)))

    assert [join(NOW), join(NOW), join(NOW)] == [0, 1, 2]
    write(database, lambda tx: people.leave_node(tx, 1, joined_at=NOW))
    assert join(NOW) == 1
    write(database, lambda tx: people.see_node(tx, 2, now=NOW + people.NUMBER_KEPT_FOR))
    assert join(NOW + people.NUMBER_KEPT_FOR) == 0


def test_a_node_whose_database_was_away_keeps_its_number_unless_there_is_no_other(database: Database):
    """The first who joins after a failover sees nobody alive; with the number of one that lives both would make the same ids."""

    def join(now: int) -> int:
        return int(write(database, lambda tx: people.join_node(tx, name="n", now=now)))

    for number in range(3):
        assert join(NOW + number) == number
    back = NOW + 2 * people.NODE_GONE_AFTER
    assert [join(back) for _ in range(NODES - 3)] == list(range(3, NODES))
    assert [join(back), join(back), join(back)] == [0, 1, 2]
    with pytest.raises(ConfigError, match="in use"):
        join(back + people.NODE_GONE_AFTER - 1)


def test_a_program_that_was_silent_for_long_learns_that_its_number_is_anothers(database: Database):
    def keeps(joined_at: int) -> bool:
        return bool(write(database, lambda tx: people.keep_node(tx, 0, joined_at=joined_at, now=LATER)))

    assert write(database, lambda tx: people.join_node(tx, name="silent", now=NOW)) == 0
    assert keeps(NOW)
    later = LATER + people.NUMBER_KEPT_FOR
    assert write(database, lambda tx: people.join_node(tx, name="next", now=later)) == 0
    assert not keeps(NOW)
    assert keeps(later)
    write(database, lambda tx: people.leave_node(tx, 0, joined_at=NOW))
    assert write(database, lambda tx: people.join_node(tx, name="third", now=LATER)) == 1


def test_two_nodes_that_start_together_get_two_numbers(database: Database, open_again: Callable[[], Database]):
    another = open_again()
    joined, go_on = threading.Event(), threading.Event()

    def slowly(tx: Transaction) -> int:
        number = people.join_node(tx, name="first", now=NOW)
        joined.set()
        assert go_on.wait(10)
        return number

    first = database.submit_write(slowly)
    assert joined.wait(10)
    second = another.submit_write(lambda tx: people.join_node(tx, name="second", now=NOW))
    with pytest.raises(TimeoutError):
        second.result(0.1)
    go_on.set()
    assert (first.result(10), second.result(10)) == (0, 1)


def test_the_last_node_number_is_followed_by_words(database: Database):
    def work(tx: Transaction) -> None:
        for _ in range(65):
            people.join_node(tx, name="n", now=NOW)

    with pytest.raises(ConfigError, match="All 64 node numbers are in use"):
        write(database, work)
