"""Faults, one scenario after the other, and the page of what came of them.

    python -m tests.faults [--full] [--only T3,T7] [--seed N] [--minutes N] [--page FILE] [--list]

The short set takes some 20 minutes; --full runs every scenario at its full size. Each result is kept as soon as there is one
(build/faults), and the page is made anew of all that are kept, so that one scenario can be run again alone. The exit code is 1
if something did not hold, 2 if a run could not be made; what this machine cannot show is told as "not run". Seeds are printed:
the same seed makes the same choices, if not the same moments.
"""

import argparse
import importlib
import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from tests.faults import page
from tests.faults.processes import ROOT, Unable
from tests.faults.scenario import SCENARIOS, NotRun, Run, Scenario, bring
from tests.support.postgres import NoPostgres

INSIDE = "FAULTS_OWN_NETWORK"
KEPT_IN = ROOT / "build" / "faults"
FAMILIES = (
    "kills",
    "power",
    "databases",
    "disks",
    "hostile",
    "network",
    "clocks",
    "restarts",
    "doors",
    "walk",
    "fairness",
    "housekeeping",
    "soak",
)


def main() -> int:
    asked = _asked()
    scenarios = _chosen(asked.only, is_full=asked.full)
    if asked.list:
        for one in scenarios:
            print(f"{one.id:5} {'short' if one.in_short else 'full ':5}  {one.title}")
        return 0
    bring(name for one in scenarios for name in one.needs)
    _move_to_a_network_of_our_own()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the processes of the run end with it
    states = [_play(one, asked) for one in scenarios]
    print(", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states)))
    print(f"Page: {asked.page}")
    return 2 if "broken" in states else int("failed" in states)


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="Faults, and an account of each event.")
    parser.add_argument("--full", action="store_true", help="every scenario, at its full size")
    parser.add_argument("--only", default="", help="scenarios by their ids: T3,T7")
    parser.add_argument("--seed", type=int, help="of everything that is left to chance")
    parser.add_argument("--minutes", type=float, help="how long the soak (T22) and the machine (T24) go on")
    parser.add_argument("--page", type=Path, default=KEPT_IN / "results.md", help="where the results are written")
    parser.add_argument("--keep", action="store_true", help="keep the histories also when all is well")
    parser.add_argument("--list", action="store_true", help="show the scenarios and run none")
    return parser.parse_args()


def _chosen(only: str, *, is_full: bool) -> Sequence[Scenario]:
    for name in FAMILIES:
        importlib.import_module(f"tests.faults.{name}")
    names = [name for name in only.split(",") if name]
    if unknown := set(names) - SCENARIOS.keys():
        raise SystemExit(f"There is no scenario {', '.join(sorted(unknown))}; there are {', '.join(SCENARIOS)}.")
    return [one for one in _in_order() if (one.id in names if names else is_full or one.in_short)]


def _in_order() -> Sequence[Scenario]:
    return sorted(SCENARIOS.values(), key=lambda one: (int("".join(filter(str.isdigit, one.id))), one.id))


def _move_to_a_network_of_our_own() -> None:
    """As root everything happens in a namespace that has loopback and nothing else: rules and addresses are ours alone."""
    if os.geteuid() != 0 or INSIDE in os.environ or not shutil.which("unshare") or not shutil.which("ip"):
        return
    inside = f'ip link set lo up && exec "{sys.executable}" -m tests.faults "$@"'
    os.environ[INSIDE] = "1"
    os.execvp("unshare", ["unshare", "-n", "sh", "-c", inside, "faults", *sys.argv[1:]])


def _play(one: Scenario, asked: argparse.Namespace) -> str:
    """Run it and keep what came of it, whatever that is: held, failed, broken or not run."""
    seed = asked.seed if asked.seed is not None else secrets.randbelow(1_000_000)
    folder = Path(tempfile.mkdtemp(prefix=f"dockbell-faults-{one.id}-"))
    run = Run(folder, seed, is_full=asked.full, minutes=asked.minutes)
    print(f"{one.id}: {one.title} (seed {seed})", flush=True)
    began = time.monotonic()
    why = ""
    try:
        one.play(run)
        state = "held" if run.held else "failed"
    except NotRun as lacking:
        state, why = "not run", str(lacking)
    except (Unable, NoPostgres, Exception) as error:
        state, why = "broken", f"{type(error).__name__}: {error}"
        traceback.print_exc()
    took_s = time.monotonic() - began
    command = f"python -m tests.faults --only {one.id} --seed {seed}{' --full' if asked.full else ''}"
    page.keep(KEPT_IN, one, state, run, why=why, took_s=took_s, command=command)
    page.write(asked.page, KEPT_IN, _in_order())
    told = ", ".join(f"{name} {count}" for name, count in run.counts.items() if count) or "no faults"
    print(
        f"{one.id}: {state}; {run.survived} survived, {run.events} events, {told}; {took_s:.0f} s{'; ' + why if why else ''}"
    )
    if state in ("held", "not run") and not asked.keep:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        print(f"{one.id}: histories in {folder}", flush=True)
    return state


if __name__ == "__main__":
    sys.exit(main())
