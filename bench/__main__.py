"""`python -m bench`: run the scenarios in turn and write bench/RESULTS.md, as they come. Ends what it started.

`python -m bench flame` draws where the time goes instead.
"""

import argparse
import contextlib
import shlex
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import bench.scenarios  # noqa: F401 - which fills SCENARIOS
from bench import flame, machine, results, systems
from bench.lab import POSTGRES, Lab
from bench.machine import ROOT, Unable
from bench.postgres import cluster
from bench.results import Found
from bench.scenario import SCENARIOS, Scenario, in_order
from dockbell import log

NOTES = (
    "Generator, receivers and the system between them share all cores; each side is a process of its own.",
    (
        "Dockbell runs as `dockbell serve` with default settings (SQLite: synchronous=FULL; PostgreSQL: a cluster of its own with "
        "fsync and synchronous_commit on) but for three: receivers may be on this machine, may all have one address, and "
        "it stops within 2 s."
    ),
    (
        "delivered and logged/s = log rows of answered deliveries / time from the first request to the last outcome. "
        "The relay stores nothing, signs nothing and answers when the receiver did."
    ),
    "us = microseconds of CPU per event, one core's time. Ratios are taken within one round; the median of the rounds counts.",
)


def main() -> int:
    arguments = _arguments()
    log.set_up(level="error")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # a bench that is ended ends what it started
    began = time.monotonic()
    found: list[Found] = []
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dockbell-bench-", dir=arguments.folder)))
        versions: list[tuple[str, list[str | Path]]] = [("nginx", [systems.nginx(), "-v"])]
        postgres = None
        if not arguments.without_postgres:
            postgres = stack.enter_context(cluster(Path(arguments.folder)))
            versions.append(("PostgreSQL", [postgres.binaries / "postgres", "--version"]))
        command = shlex.join(["python", "-m", "bench", *sys.argv[1:]])
        facts = machine.facts(versions, folder) | {"Command": f"`{command}`"}
        lab = Lab(folder, postgres, seconds=arguments.seconds, scale=arguments.scale)
        if arguments.scale != 1:
            facts["Scale"] = f"sizes of stores and backlogs are {arguments.scale:g} of what the titles say"
        if arguments.what == "flame":
            print(flame.draw(lab, Path(arguments.output or ROOT / "bench" / "flames")))
            return 0
        for each in _chosen(arguments):
            found.append(Found(each))
            _run(found[-1], lab, arguments, lambda: _write(arguments.output, facts, found, began))
    text = _write(arguments.output, facts, found, began)
    print(f"\nWrote {arguments.output}" if arguments.output else f"\n{text}")
    return 1 if any(each.faults or each.broke for each in found) else 0


def _run(found: Found, lab: Lab, arguments: argparse.Namespace, write: Callable[[], object]) -> None:
    """All rounds of one scenario. What goes wrong is its own loss, and what it brought before stays."""
    scenario, began = found.scenario, time.monotonic()
    rounds = min(scenario.rounds or arguments.rounds, arguments.rounds)
    print(f"{scenario.title}: {rounds} rounds", flush=True)
    try:
        for turn in range(rounds):
            found.rounds.append([])
            for run in scenario.round(lab, turn):
                print(f"{turn + 1}  {results.one_line(run)}", flush=True)
                found.rounds[-1].append(run)
                found.took_s = time.monotonic() - began
                write()
    except Exception as problem:  # noqa: BLE001 - the other scenarios go on
        found.broke = str(problem) if isinstance(problem, Unable) else repr(problem)
        if not isinstance(problem, Unable):
            traceback.print_exc()
        print(f"BROKE OFF: {found.broke}", flush=True)
    finally:
        lab.clear()
        found.took_s = time.monotonic() - began


def _write(output: str | None, facts: Mapping[str, str], found: Sequence[Found], began: float) -> str:
    text = results.page({**facts, "Took": f"{time.monotonic() - began:.0f} s"}, found, NOTES)
    if output is not None:
        Path(output).write_text(text)
    return text


def _chosen(arguments: argparse.Namespace) -> list[Scenario]:
    if arguments.only:
        return [SCENARIOS[name] for name in arguments.only]
    return [each for each in in_order() if arguments.all or not each.long]


def _names(text: str) -> list[str]:
    """Scenarios by name or by the letter in their title."""
    letters = {letter: each.name for each in SCENARIOS.values() for letter in each.letters}
    names = [letters.get(word.strip(), word.strip()) for word in text.split(",")]
    if unknown := [name for name in names if name not in SCENARIOS]:
        known = ", ".join(each.name for each in in_order())
        raise argparse.ArgumentTypeError(f"there is no scenario {', '.join(unknown)}; there are {known}")
    return names


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("what", nargs="?", choices=("scenarios", "flame"), default="scenarios")
    parser.add_argument("--quick", action="store_true", help="short runs, small stores; shown, not written")
    parser.add_argument("--only", type=_names, help="these scenarios, by name or letter: a,hanging")
    parser.add_argument("--all", action="store_true", help="those that take very long, too")
    parser.add_argument("--rounds", type=int, help="how often each system runs (3)")
    parser.add_argument("--seconds", type=float, help="length of each run, after a warm-up of a quarter of it (6)")
    parser.add_argument("--scale", type=float, help="size of stores and backlogs; 0.01 is a hundredth (1)")
    parser.add_argument("--without-postgres", action="store_true", help=f"leave out {POSTGRES}")
    parser.add_argument(
        "--folder", default=tempfile.gettempdir(), help="where databases are made; decides whose disk is measured"
    )
    parser.add_argument(
        "--output", help="file to write (bench/RESULTS.md), or the folder of the flame graphs (bench/flames)"
    )
    given = parser.parse_args()
    given.rounds = given.rounds or (1 if given.quick else 3)
    given.seconds = given.seconds or (2.0 if given.quick else 6.0)
    given.scale = given.scale or (0.01 if given.quick else 1.0)
    if given.output is None and not given.quick and given.what == "scenarios":
        given.output = str(ROOT / "bench" / "RESULTS.md")
    return given


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Unable as problem:
        print(problem, file=sys.stderr)
        sys.exit(1)
