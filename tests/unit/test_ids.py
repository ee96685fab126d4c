"""Event ids: grow strictly, whatever the clock does, and stay exact in JavaScript."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockbell.clock import HOUR, SECOND
from dockbell.domain.ids import COUNTER_BITS, FIRST_MS, LARGEST, NODE_BITS, NODES, EventIds, first_id_at

NOW = 1_795_500_000 * SECOND
# 2026 to 2090: 41 bits of milliseconds end in 2094.
moments = st.integers(NOW, NOW + 64 * 365 * 24 * HOUR)


@given(node=st.integers(0, NODES - 1), nows=st.lists(moments, min_size=1, max_size=200))
def test_ids_grow_strictly_also_when_the_clock_steps_back(node: int, nows: list[int]):
    ids = EventIds(node)
    made = [ids.next(now) for now in nows]
    assert made == sorted(set(made))
    assert all(0 < one <= LARGEST for one in made)


def test_ids_grow_when_more_are_made_in_a_millisecond_than_it_holds():
    ids = EventIds(5)
    made = [ids.next(NOW) for _ in range(1000)]
    assert made == sorted(set(made))
    assert ids.next(NOW + SECOND) > made[-1]


@given(
    nows=st.lists(moments, min_size=1, max_size=50),
    nodes=st.lists(st.integers(0, NODES - 1), min_size=2, max_size=5, unique=True),
)
def test_two_nodes_never_make_the_same_id(nows: list[int], nodes: list[int]):
    made = [ids.next(now) for ids in map(EventIds, nodes) for now in nows]
    assert len(set(made)) == len(made)


@given(now=moments, behind=st.integers(0, 10 * HOUR))
def test_a_node_that_starts_with_a_clock_behind_goes_on_after_the_newest_id(now: int, behind: int):
    newest = EventIds(1).next(now)
    assert EventIds(0, newest=newest).next(now - behind) > newest


@given(now=moments, node=st.integers(0, NODES - 1))
def test_a_page_from_a_moment_on_begins_with_the_first_id_of_it(now: int, node: int):
    made = EventIds(node).next(now)
    assert first_id_at(now) <= made < first_id_at(now + 1000)


@given(earlier=moments, later=moments)
def test_ids_sort_by_time(earlier: int, later: int):
    if later - earlier >= 1000:
        assert EventIds(NODES - 1).next(earlier) < EventIds(0).next(later)


def test_a_moment_before_the_first_has_no_id_before_nought():
    assert first_id_at(0) == 0
    assert EventIds(0).next(0) > 0


def test_the_last_id_is_exact_in_javascript():
    last_ms = FIRST_MS + (1 << (53 - NODE_BITS - COUNTER_BITS)) - 1
    ids = EventIds(NODES - 1)
    made = [ids.next(last_ms * 1000) for _ in range(1 << COUNTER_BITS)]
    assert made[-1] == LARGEST
    assert int(float(made[-1])) == made[-1]


@pytest.mark.parametrize("node", [-1, NODES, 1000])
def test_a_node_outside_the_range_is_refused(node: int):
    with pytest.raises(ValueError, match="from 0 to 63"):
        EventIds(node)


@given(made_before=st.integers(0, 200), ahead=st.integers(-HOUR, HOUR), nodes=st.permutations(range(NODES)))
def test_after_an_id_is_passed_by_only_larger_ones_are_made(made_before: int, ahead: int, nodes: list[int]):
    ours, theirs = EventIds(nodes[0]), EventIds(nodes[1])
    made = [ours.next(NOW) for _ in range(made_before)]
    newest = theirs.next(NOW + ahead)
    ours.pass_by(newest)
    after = [ours.next(NOW) for _ in range(100)]
    assert after == sorted(set(after))
    assert after[0] > max([newest, *made])
