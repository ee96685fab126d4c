"""`python -m bench`: run the scenarios in turn and write bench/RESULTS.md. Bounded in time; ends what it started."""

import argparse
import contextlib
import shlex
import signal
import sys
import tempfile
import time
from pathlib import Path

from bench import machine, results, systems
from bench.lab import POSTGRES, Lab, Run
from bench.machine import ROOT, Unable
from bench.scenarios import SCENARIOS

NOTES = (
    "Generator, receivers and the system between them share all cores; each side is a process of its own.",
    (
        "Dockbell runs as `dockbell serve` with default settings (SQLite: synchronous=FULL; PostgreSQL: a cluster of its own with "
        "fsync and synchronous_commit on) but for two: receivers may be on this machine, and may all have one address."
    ),
    (
        "delivered and logged/s = log rows of answered deliveries / time from the first request to the last outcome. "
        "The relay stores nothing, signs nothing and answers when the receiver did."
    ),
    "relay ratio = delivered and logged/s of Dockbell / POST/s of the relay, within one round.",
)


def main() -> int:
    arguments = _arguments()
    seconds = arguments.seconds or (2.0 if arguments.quick else 8.0)
    rounds = arguments.rounds or (2 if arguments.quick else 5)
    chosen = [SCENARIOS[name] for name in arguments.only or SCENARIOS]
    began = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # a bench that is ended ends what it started
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dockbell-bench-", dir=arguments.folder)))
        versions: list[tuple[str, list[str | Path]]] = [("nginx", [systems.nginx(), "-v"])]
        cluster = None
        if not arguments.without_postgres:
            cluster = stack.enter_context(systems.cluster(Path(arguments.folder)))
            versions.append(("PostgreSQL", [cluster.binaries / "postgres", "--version"]))
        facts = machine.facts(versions, folder) | {
            "Command": f"`{shlex.join(['python', '-m', 'bench', *sys.argv[1:]])}`"
        }
        lab = Lab(folder, cluster)
        found = []
        for scenario in chosen:
            print(f"{scenario.title}: {rounds} rounds of {seconds:g} s a system", flush=True)
            runs: list[list[Run]] = []
            for turn in range(rounds):
                runs.append([])
                for run in scenario.round(lab, seconds, turn):
                    print(f"{turn + 1}  {results.one_line(run)}", flush=True)
                    runs[-1].append(run)
            found.append((scenario, runs))
    facts["Took"] = f"{time.monotonic() - began:.0f} s"
    text = results.page(facts, found, NOTES)
    if arguments.output is None:
        print("\n" + text)
    else:
        Path(arguments.output).write_text(text)
        print(f"\nWrote {arguments.output}")
    return 1 if any(results.faults_of(runs) for _, runs in found) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="about a minute; shown, not written")
    parser.add_argument("--only", action="append", choices=SCENARIOS, help="this scenario; repeat for several")
    parser.add_argument("--rounds", type=int, help="how often each system runs (5)")
    parser.add_argument("--seconds", type=float, help="length of each run, after a warm-up of a quarter of it (8)")
    parser.add_argument("--without-postgres", action="store_true", help=f"leave out {POSTGRES}")
    parser.add_argument(
        "--folder", default=tempfile.gettempdir(), help="where databases are made; decides whose disk is measured"
    )
    parser.add_argument("--output", help="file to write; bench/RESULTS.md unless --quick")
    given = parser.parse_args()
    if given.output is None and not given.quick:
        given.output = str(ROOT / "bench" / "RESULTS.md")
    return given


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Unable as problem:
        print(problem, file=sys.stderr)
        sys.exit(1)
