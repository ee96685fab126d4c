"""The scenarios. Each is one function: given the lab and a number of seconds, it yields the runs of one round.

A new one needs no more than a new function with `@scenario(...)`: a batch is `Load(events_a_request=100)`,
a fan-out `Load(shape=Shape(fan_out=10))`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench.lab import DIRECT, RELAY, Lab, Load, Run

Round = Callable[[Lab, float, int], Iterator[Run]]


@dataclass(frozen=True, slots=True)
class Scenario:
    name: str
    title: str
    round: Round


SCENARIOS: dict[str, Scenario] = {}


def scenario(name: str, title: str) -> Callable[[Round], Round]:
    def kept(round_of: Round) -> Round:
        SCENARIOS[name] = Scenario(name, title, round_of)
        return round_of

    return kept


@scenario("one-event", "One event a request, one webhook each, 50 receivers")
def one_event(lab: Lab, seconds: float, turn: int) -> Iterator[Run]:
    """64 connections, each sending its next event when the last one was answered; 50 goods owners take turns."""
    load = Load(seconds, warm_up_s=seconds / 4)
    for system in turned((DIRECT, RELAY, *lab.databases), turn):
        yield lab.run(system, load)


def turned(systems: tuple[str, ...], turn: int) -> tuple[str, ...]:
    """Another one begins in each round, so that a machine that grows slower is not one system's fault."""
    at = turn % len(systems)
    return systems[at:] + systems[:at]
