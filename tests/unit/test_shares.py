"""How many of a node's slots one goods owner may have, when others have some or none."""

from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dockbell.delivery.lanes import Lane, Lanes
from dockbell.delivery.line import Line
from dockbell.domain.shares import Shares

TEA, FJORD, ALL = frozenset({114}), frozenset({207}), None


def greedy(shares: Shares, *owners: frozenset[int] | None) -> list[int]:
    """What each has when all of them take whatever they may, one at a time."""
    had = dict.fromkeys(owners, 0)
    while any(shares.room(each) for each in owners):
        for each in owners:
            if shares.room(each):
                shares.take(each)
                had[each] += 1
    return list(had.values())


def test_one_alone_gets_three_quarters_and_two_three_sevenths_each():
    assert greedy(Shares(512), TEA) == [384]
    assert greedy(Shares(512), TEA, FJORD) == [220, 219]


def test_who_comes_later_is_served_at_once_and_ends_with_as_much():
    shares = Shares(512)
    greedy(shares, TEA)
    assert shares.room(FJORD) == 384
    greedy(shares, FJORD)
    while shares.room(FJORD) or shares.room(ALL):
        greedy(shares, FJORD, ALL)
        shares.take(TEA, -1)  # which ends one and may begin no other
        assert not shares.room(TEA)
    assert shares.taken < 512


@given(st.lists(st.tuples(st.integers(0, 30), st.booleans()), max_size=300), st.integers(1, 40))
def test_whoever_has_none_gets_one_while_there_is_one(steps: list[tuple[int, bool]], count: int):
    shares, had = Shares(count), dict.fromkeys(range(31), 0)
    for number, begins in steps:
        owners = frozenset({number})
        if begins and shares.room(owners):
            shares.take(owners)
            had[number] += 1
        elif not begins and had[number]:
            shares.take(owners, -1)
            had[number] -= 1
        assert shares.taken == sum(had.values()) <= count
        assert bool(shares.room(frozenset({99}))) == (shares.taken < count)
        assert shares.free() == count - shares.taken


def test_goods_owners_stand_in_line_in_turn_and_each_ones_lanes_in_turn():
    slots = Shares(1)
    line = Line(slots)
    slots.take(ALL)
    lanes = {name: Lane(owners=owners) for name, owners in (("a", TEA), ("b", TEA), ("c", FJORD), ("d", TEA))}
    for lane in lanes.values():
        line.stand(lane)
    line.stand(lanes["a"])  # it stands there already
    assert line.next() is None
    slots.take(ALL, -1)
    turns = []
    for _ in range(5):
        turn = line.next()
        turns.append(next((name for name, each in lanes.items() if each is turn), None))
    assert turns == ["a", "c", "b", "d", None]


def test_who_comes_stands_behind_whoever_stands_and_is_not_kept_by_who_may_not_have_more():
    slots = Shares(8)
    line = Line(slots)
    slots.take(TEA, 6)
    greedy_one, other = Lane(owners=TEA), Lane(owners=FJORD)
    assert not line.may_pass(greedy_one)
    line.stand(greedy_one)
    assert not line.may_pass(other)
    line.stand(other)
    assert line.next() is other
    assert line.next() is None, "they have six, and two are free"
    slots.take(TEA, -4)
    assert line.next() is greedy_one
    assert line.may_pass(Lane(owners=FJORD))


def test_a_webhook_that_is_anothers_now_counts_for_them():
    slots = Shares(512)
    lanes = Lanes(slots)
    webhook: Any = SimpleNamespace(id=12, goods_owners=TEA)
    lane = lanes.of(webhook)
    lanes.take_place(lane, 5)
    lane.in_flight = 2
    slots.take(lane.owners, 2)
    webhook.goods_owners = FJORD
    assert lanes.of(webhook) is lane
    assert slots.room(TEA) == 3 * 510
    assert slots.room(FJORD) == 3 * 510 - 2
    lanes.take_place(lane, -5)
    slots.take(lane.owners, -2)
    assert (lanes.places, slots.taken) == (0, 0)


def test_equal_sets_of_goods_owners_are_one():
    lanes = Lanes(Shares(512))
    made: list[Any] = [SimpleNamespace(id=number, goods_owners=frozenset(range(500))) for number in (1, 2)]
    first, second = map(lanes.of, made)
    assert first.owners is second.owners
