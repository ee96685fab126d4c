"""Rounds to medians, medians to a page: every scenario against its targets first, then what each one showed."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bench.scenario import Scenario
from bench.targets import Run, Verdict, verdicts

QUIET = 5.0
"""Above this percentage of the machine, what others did there is part of the rates."""
OTHERS = "others' CPU %"


@dataclass(slots=True)
class Found:
    """What a scenario has brought so far."""

    scenario: Scenario
    rounds: list[list[Run]] = field(default_factory=list)
    broke: str = ""
    """Why it did not come to its end."""
    took_s: float = 0.0

    @property
    def runs(self) -> list[Run]:
        return [run for runs in self.rounds for run in runs]

    @property
    def faults(self) -> list[str]:
        return [f"{_name(run)}: {fault}" for run in self.runs for fault in run.faults]


def page(facts: Mapping[str, str], found: Sequence[Found], notes: Sequence[str]) -> str:
    """The whole of the results page."""
    parts = [
        "# Performance results\n",
        "Made by `make bench`; do not edit. Medians over the rounds, in brackets the smallest and the largest.\n",
        "\n".join(f"- **{name}:** {value}" for name, value in facts.items()) + "\n",
        "\n".join(f"- {note}" for note in notes) + "\n",
        summary(found),
    ]
    parts += [section(each) for each in found]
    return "\n".join(parts)


def summary(found: Sequence[Found]) -> str:
    lines = ["## Targets\n", "| Scenario | Target | System | Measured | |", "|---|---|---|---|---|"]
    for each in found:
        rows = list(_verdicts(each))
        lines += [_verdict_row(each, verdict) for verdict in rows]
        if each.scenario.targets and not rows:
            why = each.broke or "no run showed the figure"
            lines.append(f"| {each.scenario.title} | {each.scenario.targets[0].text} | | **not measured**: {why} | |")
    return "\n".join([*lines, ""])


def section(found: Found) -> str:
    """One scenario: what it does, its tables, and what speaks against them."""
    scenario, runs = found.scenario, found.runs
    lines = [
        f"## {scenario.title}\n",
        f"{scenario.what}\n",
        f'`make bench ARGS="--only {scenario.name}"`; rounds: {len(found.rounds)}, {found.took_s:.0f} s.\n',
    ]
    if found.broke:
        lines.append(f"**It broke off:** {found.broke}\n")
    for columns in scenario.tables:
        lines += _table(columns, runs)
    notes = dict.fromkeys(f"- {_name(run)}: {note}" for run in runs for note in run.notes)
    lines += [*notes, ""] if notes else []
    return "\n".join([*lines, *_judgement(found), ""])


def one_line(run: Run) -> str:
    """What to show while a bench is running."""
    text = f"{_name(run)}: " + ", ".join(f"{name} {number(value)}" for name, value in run.figures.items())
    return text + "".join(f"\n    FAULT {fault}" for fault in run.faults)


def number(value: float) -> str:
    """Three digits or more, no more than a reader needs."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def spread(values: Sequence[float]) -> str:
    middle, low, high = number(statistics.median(values)), number(min(values)), number(max(values))
    return middle if low == high else f"{middle} ({low}-{high})"


def _verdicts(found: Found) -> Iterator[Verdict]:
    for target in found.scenario.targets:
        yield from verdicts(target, found.rounds)


def _verdict_row(found: Found, verdict: Verdict) -> str:
    target = verdict.target
    limit = f"{'at least' if target.at_least else 'at most'} {number(target.limit)}"
    word = "ok" if verdict.met else "**missed**"
    if found.faults:
        word = "does not count"
    return f"| {found.scenario.title} | {target.text}: {limit} | {verdict.system} | {spread(verdict.values)} | {word} |"


def _table(columns: Sequence[str], runs: Sequence[Run]) -> Iterator[str]:
    """A row for each system and case; columns that nobody has are left out."""
    shown = [column for column in columns if any(column in run.figures for run in runs)]
    if not shown:
        return
    yield "| | " + " | ".join(shown) + " |"
    yield "|---|" + "---|" * len(shown)
    rows: dict[str, list[Run]] = {}
    for run in runs:
        rows.setdefault(_name(run), []).append(run)
    for name, of_row in rows.items():
        cells = [[run.figures[column] for run in of_row if column in run.figures] for column in shown]
        if any(cells):
            yield f"| {name} | " + " | ".join(spread(cell) if cell else "" for cell in cells) + " |"
    yield ""


def _judgement(found: Found) -> Iterator[str]:
    if found.faults:
        yield from ("**These figures do not count:**\n", *(f"- {fault}" for fault in found.faults))
        return
    runs = found.runs
    sent = sum(run.events for run in runs)
    if sent:
        yield (
            f"{sent:,} events sent; {sum(run.judged for run in runs):,} requests judged for signature, body and goods "
            "owner. Nothing was lost, nothing came twice: the ids that arrived are the ids in the log."
        )
    others = [run.figures[OTHERS] for run in runs if OTHERS in run.figures]
    if others and statistics.median(others) > QUIET:
        yield (
            f"\n**The machine was not ours:** others took {statistics.median(others):.0f} % of it (median), so rates are "
            "too low and scatter."
        )


def _name(run: Run) -> str:
    return f"{run.system}, {run.case}" if run.case else run.system
