"""What a scenario is to reach: a figure of one run, or its ratio to a figure of another run of the same round.

Machines differ, so nearly all targets are ratios, taken round by round and then by their median.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Run:
    """What one run of one system showed."""

    system: str
    figures: Mapping[str, float]
    case: str = ""
    """What was special about it, within its scenario."""
    events: int = 0
    judged: int = 0
    faults: tuple[str, ...] = ()
    """Whatever makes the figures worthless: refusals, losses, duplicates, wrong bodies."""
    notes: tuple[str, ...] = ()
    """What a reader must know of it."""


@dataclass(frozen=True, slots=True)
class Against:
    """The other side of a ratio: the same figure of the same system, but for what is said here."""

    case: str = ""
    system: str | None = None
    figure: str | None = None


@dataclass(frozen=True, slots=True)
class Target:
    text: str
    figure: str
    limit: float
    at_least: bool = False
    case: str = ""
    against: Against | None = None
    systems: frozenset[str] = field(default_factory=frozenset)
    """Empty: all that have the figure."""
    worst: bool = False
    """Every round must reach it, not their median."""

    def is_met_by(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit


@dataclass(frozen=True, slots=True)
class Verdict:
    target: Target
    system: str
    values: tuple[float, ...]
    """One of each round."""

    @property
    def met(self) -> bool:
        if self.target.worst:
            return all(map(self.target.is_met_by, self.values))
        return self.target.is_met_by(statistics.median(self.values))


def verdicts(target: Target, rounds: Sequence[Sequence[Run]]) -> list[Verdict]:
    """One for each system that has the figure, in the order of their first runs."""
    found: dict[str, list[float]] = {}
    for runs in rounds:
        for run in runs:
            if run.case != target.case or target.figure not in run.figures or not _is_meant(target, run.system):
                continue
            value = _value(target, run, runs)
            if value is not None:
                found.setdefault(run.system, []).append(value)
    return [Verdict(target, system, tuple(values)) for system, values in found.items()]


def _is_meant(target: Target, system: str) -> bool:
    if target.systems:
        return system in target.systems
    return target.against is None or system != target.against.system


def _value(target: Target, run: Run, runs: Sequence[Run]) -> float | None:
    """None if the other side of the ratio is missing or nothing."""
    value = run.figures[target.figure]
    other = target.against
    if other is None:
        return value
    system, figure = other.system or run.system, other.figure or target.figure
    for each in runs:
        if (each.system, each.case) == (system, other.case) and each.figures.get(figure):
            return value / each.figures[figure]
    return None
