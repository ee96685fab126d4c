"""The bench's arithmetic and its page: a figure nobody can trust is worse than none."""

from collections import Counter

import pytest

from bench.flame import OTHER, groups_of, stacks_of, table
from bench.measure import Load, turns_of
from bench.results import Found, number, page, spread
from bench.scenario import Scenario, in_order
from bench.scenarios import SCENARIOS
from bench.stocks import _with
from bench.systems import Shape
from bench.targets import Against, Run, Target, verdicts

RATE = "delivered and logged/s"
TO_RELAY = Target("of the relay's rate", RATE, 0.35, at_least=True, against=Against(system="relay"))


def rounds(*relay_and_ours):
    return [[Run("relay", {RATE: relay}), Run("ours", {RATE: ours})] for relay, ours in relay_and_ours]


def test_a_ratio_is_taken_within_each_round_and_the_median_of_them_counts():
    [verdict] = verdicts(TO_RELAY, rounds((100, 40), (50, 10), (200, 80)))

    assert verdict.system == "ours"
    assert verdict.values == (0.4, 0.2, 0.4)
    assert verdict.met


def test_a_target_that_every_round_must_reach_is_missed_by_the_worst():
    within = Target("s", "s", 2, worst=True)

    [verdict] = verdicts(within, [[Run("ours", {"s": 1})], [Run("ours", {"s": 1})], [Run("ours", {"s": 2.1})]])

    assert not verdict.met


def test_a_ratio_compares_the_cases_it_names_of_each_system():
    p99 = Target("p99", "p99", 1.2, case="hang", against=Against(case="answer"))
    measured = (("one", "hang", 11), ("one", "answer", 10), ("two", "hang", 13), ("two", "answer", 10))
    runs = [Run(system, {"p99": value}, case) for system, case, value in measured]

    assert [(v.system, v.values, v.met) for v in verdicts(p99, [runs])] == [
        ("one", (1.1,), True),
        ("two", (1.3,), False),
    ]


def test_a_round_without_the_other_side_gives_no_ratio():
    half = [[Run("ours", {RATE: 40})], *rounds((100, 50))]

    [verdict] = verdicts(TO_RELAY, half)

    assert verdict.values == (0.5,)
    assert verdicts(TO_RELAY, [[Run("ours", {RATE: 40})]]) == []


def test_a_yardstick_has_no_verdict_of_its_own_and_zero_is_no_yardstick():
    assert verdicts(TO_RELAY, rounds((0, 40))) == []
    assert {v.system for v in verdicts(TO_RELAY, rounds((100, 40)))} == {"ours"}


def a_scenario(*targets, tables=((RATE,),)):
    return Scenario("rate", "(a) Rate", "What it does.", lambda lab, turn: iter(()), targets, tables, None, False)


def test_the_page_says_what_was_reached_what_was_missed_and_what_does_not_count():
    good = Found(a_scenario(TO_RELAY), rounds((100, 40), (100, 46)))
    slow = Found(a_scenario(TO_RELAY), rounds((100, 20)))
    lossy = Found(a_scenario(TO_RELAY), [[Run("relay", {RATE: 100}), Run("ours", {RATE: 90}, faults=("3 were lost",))]])

    def row(found):
        return [line for line in page({}, [found], ()).splitlines() if "relay's rate" in line]

    assert row(good) == ["| (a) Rate | of the relay's rate: at least 0.35 | ours | 0.43 (0.40-0.46) | ok |"]
    assert row(slow) == ["| (a) Rate | of the relay's rate: at least 0.35 | ours | 0.20 | **missed** |"]
    assert row(lossy) == ["| (a) Rate | of the relay's rate: at least 0.35 | ours | 0.90 | does not count |"]
    assert "- ours: 3 were lost" in page({}, [lossy], ())


def test_a_scenario_that_broke_off_keeps_what_it_brought_and_says_why():
    broken = Found(a_scenario(TO_RELAY), [[Run("ours", {RATE: 40})], []], broke="nginx is not here")

    text = page({}, [broken], ())

    assert "**not measured**: nginx is not here" in text
    assert "| ours | 40.0 |" in text


def test_the_page_warns_when_others_had_a_part_of_the_machine():
    busy = Found(a_scenario(), [[Run("ours", {RATE: 40, "others' CPU %": 30.0})]])
    quiet = Found(a_scenario(), [[Run("ours", {RATE: 40, "others' CPU %": 2.0})]])

    assert "The machine was not ours" in page({}, [busy], ())
    assert "The machine was not ours" not in page({}, [quiet], ())


def test_a_table_leaves_out_what_nobody_measured():
    found = Found(a_scenario(tables=((RATE, "WAL bytes"),)), rounds((100, 40)))

    assert f"| | {RATE} |" in page({}, [found], ()).splitlines()


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.034, "0.03"), (9.996, "10.00"), (12.34, "12.3"), (4249.6, "4,250")]
)
def test_numbers_have_as_many_digits_as_a_reader_needs(value, text):
    assert number(value) == text


def test_a_spread_is_the_median_with_the_smallest_and_the_largest():
    assert spread([3.0, 1.0, 2.0]) == "2.00 (1.00-3.00)"
    assert spread([2.0, 2.0]) == "2.00"


def test_requests_of_the_first_places_are_counted_by_turns():
    for requests in (0, 1, 79, 80, 81, 99, 100, 101, 12_345):
        assert turns_of(80, of=100, requests=requests) == sum(n % 100 < 80 for n in range(requests))


def test_only_the_usual_load_counts_as_scenario_a():
    assert Load(6).is_plain
    assert not Load(6, rate=100).is_plain
    assert not Load(6, shape=Shape(fan_out=10)).is_plain


def test_rows_made_by_sql_carry_their_own_numbers_where_the_template_had_its():
    head = '"webhookEventId":77,"timestamp":"1001-77","goodsOwnerId":1001,"name":"O\'Neill 1001"'

    text = _with(head, {'"webhookEventId":77': "(1001 * i)", '"goodsOwnerId":1001': "owner"})

    assert text == (
        '\'"webhookEventId":\' || (1001 * i) || \',"timestamp":"1001-77","goodsOwnerId":\' || owner || '
        "',\"name\":\"O''Neill 1001\"'"
    )


STACKS = """run (asyncio/runners.py:118);write (dockbell/store/sqlite.py:61);execute (psycopg/cursor.py:9) 30
run (threading.py:982);turn (dockbell/egress/transfers.py:86) 50
run (threading.py:982);wait (threading.py:327) 900
run (asyncio/runners.py:118) 10
main (somewhere.py:1) 10
"""


def test_time_belongs_to_the_innermost_group_and_waiting_to_none():
    groups = groups_of(stacks_of(STACKS.splitlines()))

    assert groups == Counter({
        "the sender: requests, answers, its system calls": 50,
        "the store: statements, commits, rows to and fro": 30,
        "the event loop itself and its system calls": 10,
        OTHER: 10,
    })  # fmt: skip


def test_the_largest_costs_are_named_first_with_their_functions():
    lines = table(stacks_of(STACKS.splitlines()))

    assert lines[2] == "| 50% | the sender: requests, answers, its system calls | `turn` 100% |"


def test_every_letter_is_of_one_scenario_and_the_page_has_them_in_order():
    ordered = in_order()

    assert len(ordered) == len(SCENARIOS)
    assert all(each.what for each in ordered)
    assert [letter for each in ordered for letter in each.letters] == list("abcdefghijk")
    assert not ordered[-1].letters
