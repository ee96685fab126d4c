"""A request counts where it may end up, and once it is somewhere, there alone."""

from types import SimpleNamespace
from typing import Any

from dockbell.egress.slots import AddressSlots


def job(*addresses: str) -> Any:
    return SimpleNamespace(addresses=addresses)


def test_r5_a_request_that_is_connected_holds_no_place_at_the_other_addresses_of_its_name():
    slots = AddressSlots(1)
    elsewhere, waiting = job("1.1.1.1", "2.2.2.2"), job("2.2.2.2")
    assert slots.take(elsewhere)
    assert not slots.take(waiting)
    assert slots.settle(elsewhere, "1.1.1.1") == [waiting]
    assert not slots.has_room("1.1.1.1")
    slots.free(elsewhere)
    assert slots.has_room("1.1.1.1")
    assert not slots.has_room("2.2.2.2")


def test_e10_a_kept_connection_counts_at_the_address_it_leads_to():
    slots = AddressSlots(1)
    moved = job("2.2.2.2")
    assert slots.take(moved)
    assert slots.settle(moved, "1.1.1.1") == []
    assert slots.has_room("2.2.2.2")
    assert not slots.has_room("1.1.1.1")
    slots.free(moved)
    assert slots.has_room("1.1.1.1")


def test_settling_where_it_was_alone_changes_nothing():
    slots = AddressSlots(1)
    one = job("1.1.1.1")
    assert slots.take(one)
    assert slots.settle(one, "1.1.1.1") == []
    assert not slots.has_room("1.1.1.1")
