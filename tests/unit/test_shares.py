"""How many of a node's slots one goods owner may have, when others have some or none."""

from hypothesis import given
from hypothesis import strategies as st

from dockbell.delivery.lanes import Lane
from dockbell.delivery.line import Line
from dockbell.delivery.shares import Shares

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


def test_who_comes_stands_behind_ones_own_and_not_behind_others():
    slots = Shares(8)
    line = Line(slots)
    slots.take(TEA, 6)
    standing = Lane(owners=TEA)
    assert not line.may_pass(standing)
    line.stand(standing)
    assert line.may_pass(Lane(owners=FJORD))
    slots.take(TEA, -4)
    assert not line.may_pass(Lane(owners=TEA)), "another of theirs was first"
    assert line.next() is standing
    assert line.may_pass(Lane(owners=TEA))
