"""Rounds to medians, medians to a page."""

import statistics
from collections.abc import Callable, Sequence

from bench.lab import RELAY, Run
from bench.scenarios import Scenario

QUIET = 0.05
"""Above this share of the machine, what others did there is part of the rates."""
PROCESSES = ("Dockbell", "PostgreSQL", "nginx", "receivers", "generator")


def page(facts: dict[str, str], found: Sequence[tuple[Scenario, Sequence[Sequence[Run]]]], notes: Sequence[str]) -> str:
    """The whole of RESULTS.md."""
    parts = [
        "# Performance results\n",
        "Made by `make bench`; do not edit. Medians over the rounds, in brackets the smallest and the largest.\n",
        "\n".join(f"- **{name}:** {value}" for name, value in facts.items()) + "\n",
        "\n".join(f"- {note}" for note in notes) + "\n",
    ]
    parts += [section(scenario, rounds) for scenario, rounds in found]
    return "\n".join(parts)


def section(scenario: Scenario, rounds: Sequence[Sequence[Run]]) -> str:
    """One scenario: a table of rates and one of costs."""
    by_system = _by_system(rounds)
    lines = [
        f"## {scenario.title}\n",
        f"`python -m bench --only {scenario.name}`; {len(rounds)} rounds.\n",
        "| | accepted/s | delivered and logged/s | relay ratio | answer p50 / p99 (ms) | last outcome after (s) | others' CPU |",
        "|---|---|---|---|---|---|---|",
    ]
    ratios = _ratios(rounds)
    for system, runs in by_system.items():
        ratio = _spread(ratios[system], "{:.2f}") if system in ratios else ""
        lines.append(
            f"| {system} | {_of(runs, lambda run: run.accepted_rate)} | {_of(runs, lambda run: run.delivered_rate)} | {ratio} "
            f"| {_median(runs, lambda run: run.p50_ms):.1f} / {_median(runs, lambda run: run.p99_ms):.1f} "
            f"| {_of(runs, lambda run: run.drained_s, '{:.2f}')} | {_of(runs, lambda run: run.others, '{:.0%}')} |"
        )
    lines += ["", "CPU per event in microseconds, and what an event leaves behind:\n"]
    lines += [
        "| | " + " | ".join(PROCESSES) + " | sum | events per core-second between the two ends | bytes stored |",
        "|---|" + "---|" * (len(PROCESSES) + 3),
    ]
    for system, runs in by_system.items():
        cells = [
            _of(runs, lambda run, name=name: run.cpu_us[name], "{:.1f}") if name in runs[0].cpu_us else ""  # type: ignore[misc]
            for name in PROCESSES
        ]
        total = _of(runs, lambda run: sum(run.cpu_us.values()), "{:.1f}")
        stored = f"{_median(runs, lambda run: run.stored_bytes or 0):,.0f}" if runs[0].stored_bytes is not None else ""
        between = _of(runs, _between) if _between(runs[0]) else ""
        lines.append(f"| {system} | " + " | ".join(cells) + f" | {total} | {between} | {stored} |")
    faults = [f"- {run.system}: {fault}" for runs in by_system.values() for run in runs for fault in run.faults]
    every = [run for runs in by_system.values() for run in runs]
    verdict = (
        f"{sum(run.accepted for run in every):,} events sent; {sum(run.judged for run in every):,} requests judged for "
        "signature, body and goods owner. Nothing was lost, nothing came twice: the ids that arrived are the ids in the log."
    )
    busy = statistics.median(run.others for run in every)
    if busy > QUIET:
        lines += [
            "",
            f"**The machine was not ours:** others took {busy:.0%} of it (median), so the rates are too low and scatter.",
        ]
    lines += ["", *(["**These figures do not count:**", *faults] if faults else [verdict]), ""]
    return "\n".join(lines)


def faults_of(rounds: Sequence[Sequence[Run]]) -> list[str]:
    return [f"{run.system}: {fault}" for runs in rounds for run in runs for fault in run.faults]


def one_line(run: Run) -> str:
    """What to show while a bench is running."""
    cpu = ", ".join(f"{name} {cost:.1f}" for name, cost in run.cpu_us.items())
    text = f"{run.system:24} {run.accepted_rate:8,.0f} accepted/s {run.delivered_rate:8,.0f} delivered/s   CPU us: {cpu}; others {run.others:.0%}"
    return text + "".join(f"\n    FAULT {fault}" for fault in run.faults)


def _by_system(rounds: Sequence[Sequence[Run]]) -> dict[str, list[Run]]:
    found: dict[str, list[Run]] = {}
    for run in (run for runs in rounds for run in runs):
        found.setdefault(run.system, []).append(run)
    return dict(sorted(found.items(), key=lambda each: each[0].startswith("Dockbell")))


def _ratios(rounds: Sequence[Sequence[Run]]) -> dict[str, list[float]]:
    """Delivered/s over the relay's POST/s, each within one round."""
    found: dict[str, list[float]] = {}
    for runs in rounds:
        relay = next((run.delivered_rate for run in runs if run.system == RELAY), None)
        for run in runs:
            if relay and run.system.startswith("Dockbell"):
                found.setdefault(run.system, []).append(run.delivered_rate / relay)
    return found


def _between(run: Run) -> float:
    """Events for a second of CPU of what stands between generator and receivers: Dockbell with its database, or the relay."""
    spent = sum(cost for name, cost in run.cpu_us.items() if name not in ("receivers", "generator"))
    return 1e6 / spent if spent else 0.0


def _of(runs: Sequence[Run], value: Callable[[Run], float], form: str = "{:,.0f}") -> str:
    return _spread([value(run) for run in runs], form)


def _median(runs: Sequence[Run], value: Callable[[Run], float]) -> float:
    return statistics.median(map(value, runs))


def _spread(values: Sequence[float], form: str) -> str:
    middle, low, high = (form.format(each) for each in (statistics.median(values), min(values), max(values)))
    return middle if low == high else f"{middle} ({low}-{high})"
