"""The scenarios. Each is one function: given the lab and a number of seconds, it yields the runs of one round.

A new one needs no more than a new function with `@scenario(...)`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench.lab import DIRECT, RELAY, Lab, Load, Run
from bench.systems import Shape

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


@scenario("batches", "100 events a request, one webhook each, 50 receivers")
def batches(lab: Lab, seconds: float, turn: int) -> Iterator[Run]:
    """16 connections; the events of a request are all of one goods owner, so of one receiver."""
    load = Load(seconds, warm_up_s=seconds / 4, connections=16, events_a_request=100)
    for system in turned(lab.databases, turn):
        yield lab.run(system, load)


@scenario("fan-out", "One event a request, ten webhooks each, 50 receivers")
def fan_out(lab: Lab, seconds: float, turn: int) -> Iterator[Run]:
    """CPU is per event, so for ten deliveries; accepted is events, delivered is deliveries."""
    load = Load(seconds, warm_up_s=seconds / 4, shape=Shape(fan_out=10))
    for system in turned(lab.databases, turn):
        yield lab.run(system, load)


@scenario("https", "One event a request, one webhook each, 50 receivers over TLS")
def https(lab: Lab, seconds: float, turn: int) -> Iterator[Run]:
    """Connections are kept alive, as receivers do: handshakes fall into the warm-up."""
    load = Load(seconds, warm_up_s=seconds / 4, shape=Shape(tls=True))
    for system in turned(lab.databases, turn):
        yield lab.run(system, load)


def turned(systems: tuple[str, ...], turn: int) -> tuple[str, ...]:
    """Another one begins in each round, so that a machine that grows slower is not one system's fault."""
    at = turn % len(systems)
    return systems[at:] + systems[:at]
