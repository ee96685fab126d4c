"""When publishers are answered later, by how much, and who is not."""

import pytest

from dockbell.clock import SECOND
from dockbell.delivery.brake import ENOUGH, LONGEST_S, Brake
from dockbell.delivery.lanes import MOST_IN_MEMORY, Lanes
from dockbell.domain.shares import Shares

BUSY, IDLE = 0.9, 0.1
"""Of a second, what the node computed in it."""
FULL, EMPTY, SLOW = 1, 2, 1_000


class Node:
    """A brake, told the time: a second passes, in which 2,000 attempts end."""

    def __init__(self) -> None:
        self.now = self.computed = 0.0
        self.lanes = Lanes(Shares(512))
        self.brake = Brake(self.lanes, lambda: self.now, lambda: self.computed)

    def hold(self, webhook: int, count: int, *, took: int = SECOND // 100, in_flight: int = 0) -> None:
        lane = self.lanes[webhook]
        lane.answered_in, lane.in_flight = took, in_flight
        self.lanes.take_place(lane, count)

    def pass_a_second(self, computed: float = BUSY, ended: int = 2_000) -> None:
        self.now, self.computed = self.now + 1, self.computed + computed
        self.brake.ended(ended)


def behind(computed: float = BUSY, **lane: int) -> Node:
    """A thousand deliveries too many, all but one of one webhook: half a second's work."""
    node = Node()
    node.hold(FULL, ENOUGH + 999, **lane)
    node.hold(EMPTY, 1)
    node.pass_a_second(computed)
    return node


def test_the_answer_waits_for_as_long_as_what_is_too_much_takes():
    node = behind()
    fair = ENOUGH / 2 / (ENOUGH + 999)
    assert node.brake.seconds([FULL]) == pytest.approx(0.5 * (1 - fair))
    assert node.brake.seconds([EMPTY, FULL]) == node.brake.seconds([FULL])


def test_who_has_less_than_the_share_of_it_is_answered_at_once():
    assert behind().brake.seconds([EMPTY]) == 0
    assert behind().brake.seconds([]) == 0
    assert behind().brake.seconds([3]) == 0


def test_who_has_little_more_than_the_share_waits_for_less_than_who_has_much_more():
    node = Node()
    for webhook in range(100):
        node.hold(webhook, 25)
    node.hold(FULL, 200)
    node.hold(EMPTY, 1)
    node.pass_a_second()
    assert 0 < 3 * node.brake.seconds([EMPTY]) < node.brake.seconds([FULL])


def test_a_node_that_waits_for_others_answers_at_once():
    assert behind(IDLE).brake.seconds([FULL]) == 0


def test_a_slow_receiver_slows_nobody_who_publishes_for_it():
    assert behind(took=2 * SECOND).brake.seconds([FULL]) == 0


def test_slow_receivers_slow_nobody_who_publishes_for_quick_ones():
    node = Node()
    for webhook in range(500):
        node.hold(SLOW + webhook, 8, took=5 * SECOND, in_flight=4)
    for webhook in range(40):
        node.hold(webhook, 40)
    node.pass_a_second()
    assert [node.brake.seconds([webhook]) for webhook in range(40)] == [0] * 40


def test_what_is_under_way_waits_for_its_receiver_and_not_for_the_node():
    assert behind(in_flight=1_000).brake.seconds([FULL]) == 0


@pytest.mark.parametrize("webhooks", [50, 500, 2_500, 10_000])
def test_however_many_webhooks_share_it_publishers_do_not_fill_the_memory(webhooks: int):
    """64 connections, each event to ten webhooks in turn: 12,000 deliveries a second would be taken, 4,000 are made."""
    node = Node()
    for webhook in range(webhooks):
        node.hold(webhook, 0)
    answered_at = [0.0] * 64
    sent = done = 0
    for tick in range(2_000):
        node.now, node.computed = tick / 100, tick / 100
        for connection in sorted(range(64), key=answered_at.__getitem__)[:12]:
            if answered_at[connection] <= node.now:
                asked_for = [webhook % webhooks for webhook in range(sent, sent + 10)]
                for webhook in asked_for:
                    node.hold(webhook, 1)
                sent += 10
                answered_at[connection] = node.now + 0.01 + node.brake.seconds(asked_for)
        for webhook in range(done, min(sent, done + 40)):
            node.hold(webhook % webhooks, -1)
        done = min(sent, done + 40)
        node.brake.ended(40)
        assert node.lanes.places < MOST_IN_MEMORY / 2
    assert sent > 0.95 * 4_000 * 20  # it holds nobody back for nothing


def test_with_enough_and_no_more_everybody_is_answered_at_once():
    node = behind()
    node.lanes.take_place(node.lanes[FULL], -1_000)
    assert node.brake.seconds([FULL]) == 0


@pytest.mark.parametrize("ended", [0, 1, 10])
def test_nobody_waits_for_long_though_nothing_ends(ended: int):
    node = behind()
    node.pass_a_second(BUSY, ended)
    assert LONGEST_S / 2 < node.brake.seconds([FULL]) <= LONGEST_S


def test_it_knows_soon_that_the_node_is_no_longer_busy():
    node = behind()
    node.pass_a_second(IDLE)
    assert node.brake.seconds([FULL]) == 0


def test_between_two_looks_it_goes_by_the_last_one():
    node = behind()
    before = node.brake.seconds([FULL])
    node.now += 0.05
    node.brake.ended(1)
    assert node.brake.seconds([FULL]) == before


def test_lanes_know_how_much_all_of_them_hold():
    lanes = Lanes(Shares(512))
    lanes.take_place(lanes[1], 2)
    lanes.take_place(lanes[2], 1)
    lanes.take_place(lanes[1], -1)
    lanes.take_place(lanes[2], -1)
    assert lanes.places == 1


def test_what_waits_in_the_store_for_this_node_counts_though_memory_is_empty():
    node = Node()
    node.hold(FULL, 10)
    node.hold(EMPTY, 10)
    for _ in range(ENOUGH + 990):
        node.lanes.overflows(FULL)
    node.pass_a_second()
    assert node.brake.seconds([FULL]) == pytest.approx(0.5 * (1 - ENOUGH / 2 / (ENOUGH + 1_000)), rel=0.02)
    assert node.brake.seconds([EMPTY]) == 0
    node.lanes.took_back(FULL, 2_000)
    node.pass_a_second()
    assert node.brake.seconds([FULL]) == 0
    node.lanes.overflow_is_of([EMPTY])
    assert node.lanes.overflow == 0


def test_what_slow_receivers_have_in_the_store_slows_nobody():
    node = Node()
    for webhook in range(500):
        node.hold(webhook, 1)
    node.hold(7, 10)
    node.hold(SLOW, 2, took=2 * SECOND)
    for _ in range(10_000):
        node.lanes.overflows(SLOW)
    node.pass_a_second()
    assert node.brake.seconds([7]) == node.brake.seconds([SLOW]) == 0


def test_who_waits_in_the_store_alone_has_an_even_share_like_all_others():
    node = Node()
    for webhook in range(500):  # of most of them this node holds nothing in memory, of some not even a lane
        for _ in range(20):
            node.lanes.overflows(webhook)
    for webhook in range(8):
        node.hold(webhook, 4)
    node.pass_a_second()
    assert node.brake.seconds([9]) == pytest.approx(LONGEST_S * (1 - ENOUGH / 500 / 20))
    assert node.brake.seconds([7]) > node.brake.seconds([9])
