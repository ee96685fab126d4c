"""When publishers are answered later, by how much, and who is not."""

import pytest

from dockbell.clock import SECOND
from dockbell.delivery.brake import ENOUGH, LONGEST_S, Brake
from dockbell.delivery.lanes import Lanes

BUSY, IDLE = 0.9, 0.1
"""Of a second, what the node computed in it."""
FULL, EMPTY = 1, 2


class Node:
    """A brake, told the time: a second passes, in which 2,000 attempts end."""

    def __init__(self) -> None:
        self.now = self.computed = 0.0
        self.lanes = Lanes()
        self.brake = Brake(self.lanes, lambda: self.now, lambda: self.computed)

    def hold(self, webhook: int, count: int, *, took: int = SECOND // 100) -> None:
        lane = self.lanes[webhook]
        lane.last_took = took
        self.lanes.take_place(lane, count)

    def pass_a_second(self, computed: float, ended: int = 2_000) -> None:
        self.now, self.computed = self.now + 1, self.computed + computed
        self.brake.ended(ended)


def behind(computed: float = BUSY, **lane: int) -> Node:
    """Five hundred deliveries too many, all but one of one webhook."""
    node = Node()
    node.hold(FULL, ENOUGH + 499, **lane)
    node.hold(EMPTY, 1)
    node.pass_a_second(computed)
    return node


def test_the_answer_waits_for_as_long_as_what_is_too_much_takes():
    assert behind().brake.seconds([FULL]) == pytest.approx(0.25)
    assert behind().brake.seconds([EMPTY, FULL]) == pytest.approx(0.25)


def test_who_has_less_than_the_share_of_it_is_answered_at_once():
    assert behind().brake.seconds([EMPTY]) == 0
    assert behind().brake.seconds([]) == 0
    assert behind().brake.seconds([3]) == 0


def test_a_node_that_waits_for_others_answers_at_once():
    assert behind(IDLE).brake.seconds([FULL]) == 0


def test_a_slow_receiver_slows_nobody_who_publishes_for_it():
    assert behind(took=2 * SECOND).brake.seconds([FULL]) == 0


def test_with_enough_and_no_more_everybody_is_answered_at_once():
    node = behind()
    node.lanes.take_place(node.lanes[FULL], -500)
    assert node.brake.seconds([FULL]) == 0


def test_nobody_waits_for_long():
    node = behind()
    node.pass_a_second(BUSY, ended=10)
    assert node.brake.seconds([FULL]) == LONGEST_S


def test_it_knows_soon_that_the_node_is_no_longer_busy():
    node = behind()
    node.pass_a_second(IDLE)
    assert node.brake.seconds([FULL]) == 0


def test_between_two_looks_it_goes_by_the_last_one():
    node = behind()
    node.now += 0.05
    node.brake.ended(1)
    assert node.brake.seconds([FULL]) == pytest.approx(0.25)


def test_lanes_in_use_are_those_with_a_place_taken():
    lanes = Lanes()
    lanes.take_place(lanes[1], 2)
    lanes.take_place(lanes[2], 1)
    lanes.take_place(lanes[1], -1)
    lanes.take_place(lanes[2], -1)
    assert (lanes.places, lanes.in_use) == (1, 1)
