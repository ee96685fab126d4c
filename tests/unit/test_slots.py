"""A request counts where it may end up, and once it is somewhere, there alone."""

from types import SimpleNamespace
from typing import Any

from dockbell.egress.slots import AddressSlots

TEA, FJORD = frozenset({114}), frozenset({207})


def job(*addresses: str, owners: frozenset[int] = TEA) -> Any:
    return SimpleNamespace(addresses=addresses, request=SimpleNamespace(goods_owners=owners))


def test_r5_a_request_that_is_connected_holds_no_place_at_the_other_addresses_of_its_name():
    slots = AddressSlots(1)
    elsewhere, waiting = job("1.1.1.1", "2.2.2.2"), job("2.2.2.2")
    assert slots.take(elsewhere)
    assert not slots.take(waiting)
    assert slots.settle(elsewhere, "1.1.1.1") == [waiting]
    assert not slots.has_room("1.1.1.1", TEA)
    slots.free(elsewhere)
    assert slots.has_room("1.1.1.1", TEA)
    assert not slots.has_room("2.2.2.2", TEA)


def test_e10_a_kept_connection_counts_at_the_address_it_leads_to():
    slots = AddressSlots(1)
    moved = job("2.2.2.2")
    assert slots.take(moved)
    assert slots.settle(moved, "1.1.1.1") == []
    assert slots.has_room("2.2.2.2", TEA)
    assert not slots.has_room("1.1.1.1", TEA)
    slots.free(moved)
    assert slots.has_room("1.1.1.1", TEA)


def test_settling_where_it_was_alone_changes_nothing():
    slots = AddressSlots(1)
    one = job("1.1.1.1")
    assert slots.take(one)
    assert slots.settle(one, "1.1.1.1") == []
    assert not slots.has_room("1.1.1.1", TEA)


def test_e10_a_goods_owner_with_slow_receivers_leaves_others_room_at_an_address_they_share():
    slots = AddressSlots(16)
    slow = [job("1.1.1.1") for _ in range(40)]
    assert sum(slots.take(each) for each in slow) == 12
    assert slots.take(job("1.1.1.1", owners=FJORD))


def test_e10_what_waits_for_an_address_goes_on_goods_owner_by_goods_owner():
    slots = AddressSlots(2)
    under_way = [job("1.1.1.1"), job("1.1.1.1", owners=FJORD)]
    assert all(map(slots.take, under_way))
    many, few = [job("1.1.1.1") for _ in range(20)], [job("1.1.1.1", owners=FJORD) for _ in range(2)]
    assert not any(map(slots.take, [*many, *few]))
    begun = []
    while under_way:
        begun += (goes_on := slots.free(under_way.pop(0)))
        under_way += goes_on
    assert [each.request.goods_owners for each in begun[:5]] == [TEA, FJORD, TEA, FJORD, TEA]
    assert len(begun) == 22
    assert not slots._used
    assert not slots._waiting
