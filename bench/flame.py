"""`python -m bench flame`: where the time of scenario (a) goes, on each database.

py-spy looks at the running node 100 times a second, once for the picture and once for the numbers. Samples are summed
by group of functions: each counts for the innermost function that belongs to one, so that psycopg's time is the store's.
"""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench import systems
from bench.lab import Lab
from bench.machine import Unable
from bench.measure import drive

LOOKS_A_SECOND = 100
LARGEST = 3
WAITING = ("threading.py", "concurrent/futures/thread.py")
GROUPS = {
    "dockbell/egress/": "the sender: requests, answers, its system calls",
    "dockbell/store/": "the store: statements, commits, rows to and fro",
    "dockbell/domain/request.py": "building and signing requests",
    "dockbell/domain/event_json.py": "judging events",
    "dockbell/domain/event_type.py": "judging events",
    "dockbell/domain/data_schema.py": "judging events",
    "dockbell/actions/publish.py": "judging events",
    "dockbell/actions/journal.py": "planning commits and telling of them",
    "dockbell/delivery/": "the worker: queues, leases, outcomes",
    "dockbell/web/": "HTTP in: reading and answering",
    "uvicorn/": "HTTP in: reading and answering",
    "asyncio/runners.py": "the event loop itself and its system calls",
}
OTHER = "everything else"


def draw(lab: Lab, folder: Path) -> str:
    """An SVG for each database in `folder`; the page that tells of them, which is left there too."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = ["# Where the time of an event goes\n", "Made by `make bench ARGS=flame`; do not edit.\n"]
    for system in lab.databases:
        name = system.rpartition(" ")[2].lower()
        stacks = _looked_at(lab, system, folder / f"{name}.svg")
        parts += [
            f"## {system}\n",
            f"[Flame graph]({name}.svg) of scenario (a); click to look closer.\n",
            *table(stacks),
            "",
        ]
    text = "\n".join(parts)
    (folder / "README.md").write_text(text)
    return text


def _looked_at(lab: Lab, system: str, picture: Path) -> Counter[str]:
    load = lab.load(seconds=2 * lab.seconds + 8)
    with lab.site(system, load.shape) as site, systems.dockbell(site) as target, ThreadPoolExecutor(1) as beside:
        drive(target, load, "warm", load.warm_up_s, site.folder)
        sending = beside.submit(drive, target, load, "load", load.seconds, site.folder)
        [pid] = target.processes["Dockbell"]
        numbers = site.folder / "stacks"
        _look(pid, lab.seconds, "flamegraph", picture)
        _look(pid, lab.seconds, "raw", numbers)
        sending.result()
        return stacks_of(numbers.read_text().splitlines())


def _look(pid: int, seconds: float, form: str, output: Path) -> None:
    program = Path(sys.executable).parent / "py-spy"
    words = ["record", "--pid", str(pid), "--duration", str(max(1, round(seconds))), "--rate", str(LOOKS_A_SECOND)]
    words += ["--format", form, "--output", str(output)]
    try:
        done = subprocess.run([program, *words], capture_output=True, text=True, check=False)
    except FileNotFoundError as missing:
        raise Unable("py-spy is needed and is not here: make venv-dev brings it.") from missing
    if done.returncode:
        hint = "It must be allowed to look into other processes (root, or kernel.yama.ptrace_scope=0)."
        raise Unable(f"py-spy ended with {done.returncode}: {done.stderr.strip()[-500:]}\n{hint}")


def stacks_of(lines: Iterable[str]) -> Counter[str]:
    """Folded stacks, outermost function first, and how often each was seen."""
    found: Counter[str] = Counter()
    for line in lines:
        stack, _, count = line.rpartition(" ")
        if stack:
            found[stack] += int(count)
    return found


def groups_of(stacks: Counter[str]) -> Counter[str]:
    """Samples by group of functions. Threads that wait for work are left out."""
    found: Counter[str] = Counter()
    for stack, count in stacks.items():
        frames = stack.split(";")
        if any(f"({place}:" in frames[-1] for place in WAITING):
            continue
        found[next((group for frame in reversed(frames) if (group := _group_of(frame))), OTHER)] += count
    return found


def _group_of(frame: str) -> str | None:
    place = frame.rpartition("(")[2]
    return next((group for beginning, group in GROUPS.items() if place.startswith(beginning)), None)


def table(stacks: Counter[str]) -> list[str]:
    """All groups by size, the three largest with the functions that make them up."""
    groups = groups_of(stacks)
    lines = ["| Share | Of | Most of it in |", "|---|---|---|"]
    for rank, (group, count) in enumerate(groups.most_common()):
        inner = "; ".join(_largest_in(stacks, group)) if rank < LARGEST else ""
        lines.append(f"| {count / groups.total():.0%} | {group} | {inner} |")
    return lines


def _largest_in(stacks: Counter[str], group: str) -> list[str]:
    inner: Counter[str] = Counter()
    for stack, count in stacks.items():
        if group in groups_of(Counter({stack: 1})):
            frame = next((f for f in reversed(stack.split(";")) if _group_of(f) == group), stack.rpartition(";")[2])
            inner[f"`{frame.partition(' (')[0]}`"] += count
    total = inner.total()
    return [f"{name} {count / total:.0%}" for name, count in inner.most_common(LARGEST)]
