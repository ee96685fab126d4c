"""Who can be picked with what is free: each rule, and what must hold for any orders."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from dockbell.warehouse.rules.pickability import Arrival, Need, Outlook, outlooks, worst


def verdicts(counts: list[int], free: int) -> list[str]:
    needs = [Need(place, place, 1, count) for place, count in enumerate(counts)]
    found = outlooks(needs, {1: free}, ())
    return [found[place].verdict for place in range(len(counts))]


def test_enough_for_all_is_ok_for_all():
    assert verdicts([3, 0, 4], 7) == ["Ok", "NothingToAllocate", "Ok"]


def test_too_little_for_all_is_given_in_turn():
    assert verdicts([3, 4, 2, 9], 7) == ["ByPriority", "ByPriority", "NotByPriority", "NotOk"]


def test_an_order_is_as_good_as_its_worst_line_and_there_when_its_last_goods_are():
    early = Outlook("NotByPriority", by_advised=True, in_date="2026-02-01")
    late = Outlook("NotOk", by_advised=True, in_date="2026-03-01")
    never = Outlook("NotOk", by_advised=False, in_date=None)
    assert worst([early, late]) == Outlook("NotOk", by_advised=True, in_date="2026-03-01")
    assert worst([early, never]) == Outlook("NotOk", by_advised=False, in_date=None)
    assert worst([]).verdict == "NothingToAllocate"


def test_goods_on_their_way_go_to_those_before_it_first():
    needs = [Need(1, 1, 1, 5), Need(2, 2, 1, 5)]
    coming = [Arrival(1, 6, "2026-02-01"), Arrival(1, 3, None), Arrival(1, 1, "2026-04-01")]
    found = outlooks(needs, {}, coming)
    assert (found[1].by_advised, found[1].in_date) == (True, "2026-02-01")
    assert (found[2].by_advised, found[2].in_date) == (True, "2026-04-01")
    assert not outlooks(needs, {}, coming[:2])[2].by_advised


@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(0, 20)), max_size=12),
    st.dictionaries(st.integers(1, 3), st.integers(0, 40)),
)
def test_those_that_are_pickable_in_turn_can_all_be_served_one_after_the_other(
    lines: list[tuple[int, int]], free: dict[int, int]
):
    needs = [Need(place, place, article, count) for place, (article, count) in enumerate(lines)]
    found = outlooks(needs, free, ())
    left = Counter(free)
    for need in needs:
        verdict = found[need.line_id].verdict
        if verdict in ("Ok", "ByPriority"):
            assert left[need.article_id] >= need.count
        elif verdict == "NotOk":
            assert need.count > free.get(need.article_id, 0)
        left[need.article_id] -= need.count
