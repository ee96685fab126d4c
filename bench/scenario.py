"""What a scenario is. Each is a function: given the lab and which round it is, it yields the runs of that round."""

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench.lab import Lab
from bench.targets import Run, Target

Round = Callable[[Lab, int], Iterator[Run]]

RATES = (
    "accepted/s",
    "delivered and logged/s",
    "answer p50 ms",
    "answer p99 ms",
    "last outcome after s",
    "others' CPU %",
)
COSTS = (
    "Dockbell us", "PostgreSQL us", "nginx us", "receivers us", "generator us", "all us", "events a core-second",
    "bytes stored", "WAL bytes", "statements", "commits",
)  # fmt: skip
TIMES = (
    "sent to received p50 ms",
    "sent to received p99 ms",
    "accepted to received p50 ms",
    "accepted to received p99 ms",
)


@dataclass(frozen=True, slots=True)
class Scenario:
    name: str
    title: str
    what: str
    """The function's docstring, for the page."""
    round: Round
    targets: tuple[Target, ...]
    tables: tuple[tuple[str, ...], ...]
    rounds: int | None
    """How often, if not as often as the others."""
    long: bool
    """Left out unless named or all are asked for."""

    @property
    def letters(self) -> list[str]:
        """Those the title begins with: "(j), (k) A start ..."."""
        beginning = re.match(r"(?:\(\w\),? )*", self.title)
        return re.findall(r"\w", beginning[0]) if beginning else []


SCENARIOS: dict[str, Scenario] = {}


def scenario(
    name: str,
    title: str,
    *targets: Target,
    tables: tuple[tuple[str, ...], ...] = (RATES, COSTS),
    rounds: int | None = None,
    long: bool = False,
) -> Callable[[Round], Round]:
    """Make the function a scenario that `--only name` picks."""

    def kept(round_of: Round) -> Round:
        what = " ".join((inspect.getdoc(round_of) or "").split())
        SCENARIOS[name] = Scenario(name, title, what, round_of, targets, tables, rounds, long)
        return round_of

    return kept


def in_order() -> list[Scenario]:
    """By letter, then those without one."""
    return sorted(SCENARIOS.values(), key=lambda each: each.letters or ["~"])


def turned(systems: tuple[str, ...], turn: int) -> tuple[str, ...]:
    """Another one begins in each round, so that a machine that grows slower is not one system's fault."""
    at = turn % len(systems)
    return systems[at:] + systems[:at]
