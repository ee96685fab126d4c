"""The results page: made anew from what is kept of each scenario whenever one has ended."""

import contextlib
import json
import os
import platform
import subprocess
from collections.abc import Iterable
from datetime import UTC
from importlib import metadata
from pathlib import Path
from typing import Any

from dockbell.clock import SystemClock, to_datetime
from tests.faults.accounting import FAULTS
from tests.faults.processes import ROOT
from tests.faults.scenario import Run, Scenario

HEAD = """# Faults

What Dockbell was put through, and what came of it. Made by `make faults` and `make faults-full`; do not edit.

Events are published at a steady rate while the fault happens; who got no 202 asks again with the same id. Receivers live in a
process of their own and write down what comes before they answer: 15 % with 500, some late. In the end what was published, what
arrived and what the API's log tells are held against each other. All of these must be 0:

| | |
|---|---|
| LOST | accepted, and neither delivered by the log nor at another end that the fault accounts for; or not in the log at all |
| FALSE | the log tells of an answer that the receiver never gave |
| PHANTOM | nobody published or wanted it, or one publication became two events |
| CORRUPT | what arrived is not what was published, or its signature does not hold |
| CROSS | goods of one owner at a receiver, on a connection or in a row of another |
| OVERLAP | two attempts of one delivery at once, without an attempt that may have been sent and has no answer |
| BACK | attempted again after the log had it delivered |
| GHOST | received more often than the log has attempts that can have been sent |
| DUP? | answered 2xx more than once, without an attempt that may have been sent and has no answer |

"Repeats" are those that such an attempt explains. The checker is seen to find each kind in doctored histories by
`tests/unit/test_accounting.py`; the histories of a run can be judged again with `python -m tests.faults.histories FOLDER`.
"""


def keep(folder: Path, scenario: Scenario, state: str, run: Run, *, why: str, took_s: float, command: str) -> None:
    """What is known of a scenario, as a file that the page is made of."""
    kept = {
        "id": scenario.id,
        "title": scenario.title,
        "holds": scenario.holds,
        "state": state,
        "why": why,
        "survived": run.survived,
        "events": run.events,
        "received": run.received,
        "counts": run.counts,
        "dups": run.explained_dups,
        "recovery_s": run.recovery_s,
        "controls": run.controls,
        "figures": run.figures,
        "complaints": run.complaints,
        "seed": run.seed,
        "set": "full" if run.is_full else "short",
        "took_s": round(took_s),
        "command": command,
        "commit": commit(),
        "machine": machine(),
        "at": to_datetime(SystemClock().now()).astimezone(UTC).isoformat(timespec="minutes"),
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{scenario.id}.json").write_text(json.dumps(kept, indent=1, ensure_ascii=False))


def write(file: Path, kept_in: Path, scenarios: Iterable[Scenario]) -> None:
    """The page of all that is kept, in the order of the scenarios."""
    kept = [json.loads(each.read_text()) for one in scenarios if (each := kept_in / f"{one.id}.json").exists()]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join([HEAD, *_facts(kept), *_table(kept), *map(_section, kept)]).rstrip() + "\n")


def _facts(kept: list[dict[str, Any]]) -> list[str]:
    machines = dict.fromkeys(each["machine"] for each in kept)
    commits = dict.fromkeys(each["commit"] for each in kept)
    days = sorted(each["at"][:10] for each in kept)
    return [
        f"- **Machine:** {'; '.join(machines)}",
        f"- **Commit:** {', '.join(commits)}",
        f"- **When:** {' to '.join(dict.fromkeys([days[0], days[-1]]))}" if days else "",
        "",
    ]


def _table(kept: list[dict[str, Any]]) -> list[str]:
    names = [name.replace("unexplained DUP", "DUP?") for name in FAULTS]
    lines = [
        "| | scenario | result | faults | events | " + " | ".join(names) + " | repeats | recovered in |",
        "|---|---|---|---|---|" + "---|" * len(names) + "---|---|",
    ]
    for each in kept:
        recovered = "" if each["recovery_s"] is None else f"{each['recovery_s']:.1f} s"
        counts = [str(each["counts"][name]) for name in FAULTS] if each["events"] else [""] * len(FAULTS)
        state = each["state"] if each["state"] in ("held", "not run") else f"**{each['state']}**"
        cells = [each["id"], each["title"], state, f"{each['survived']:,}", f"{each['events']:,}", *counts]
        cells += [f"{each['dups']:,}" if each["events"] else "", recovered]
        lines.append("| " + " | ".join(cells) + " |")
    return [*lines, ""]


def _section(each: dict[str, Any]) -> str:
    lines = [f"## {each['id']}: {each['title']}", ""]
    if each["holds"]:
        lines.append(f"Must hold besides: {each['holds']}.\n")
    if each["state"] == "not run":
        lines.append(f"**Not run:** {each['why']}.\n")
    elif each["why"]:
        lines.append(f"**The run broke off:** {each['why']}\n")
    lines += [f"- **Not so:** {text}" for text in each["complaints"]]
    lines += [f"- {name}: {value}" for name, value in each["figures"].items()]
    lines += [f"- Control, {text}" for text in each["controls"]]
    lines.append(
        f"- Seed {each['seed']}, {each['set']} set, {each['took_s']} s, commit {each['commit']}: `{each['command']}`"
    )
    return "\n".join(lines) + "\n"


def machine() -> str:
    model = platform.machine()
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = ", ".join(
        f"{name} {metadata.version(name)}" for name in ("apsw", "psycopg", "httptools", "uvloop", "uvicorn")
    )
    return f"{os.cpu_count()} cores of {model}, {memory:.0f} GiB, {platform.system()} {platform.release()}, Python {platform.python_version()}, {versions}"


def commit() -> str:
    def git(*words: str) -> str:
        command = ["git", "-c", "safe.directory=*", *words]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()

    here = git("rev-parse", "--short", "HEAD")
    if not here:
        return "unknown (no git here)"
    changed = git("status", "--porcelain", "--untracked-files=all", "--", "src", "tests")
    return here + (" with changes" if changed else "")
