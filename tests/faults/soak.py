"""Hours of it: load, kills, a dead receiver; and whether anything grows that should not."""

import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from tests.faults.altered import watched
from tests.faults.fairness import a_webhook_of, hanging
from tests.faults.hostile import resident_mib
from tests.faults.load import Load, under_load
from tests.faults.processes import ALTERED, pause
from tests.faults.scenario import Run, scenario

MINUTES = 120.0
KILLED_EVERY_MIN = 8.0
KILLED_UNTIL = 0.45
"""The share of the time in which it is killed; what follows is one node's life, and is measured."""
WARM_UP = 0.3
"""The first share of that does not count: SQLite's caches fill, 104 MiB at some 9 MiB a minute."""
MOST_MIB_PER_HOUR = 1.0
MEASURED_FOR_MIN = 30.0
"""A slope of less time than this is told and not judged."""


@scenario(
    "T22",
    f"soak: {MINUTES:.0f} minutes unless --minutes says otherwise, kills on the way, a receiver that hangs, SQLite",
    holds=f"memory grows by less than {MOST_MIB_PER_HOUR:.0f} MiB an hour between kills; files and threads stay",
)
def soak(run: Run) -> None:
    minutes = run.minutes or MINUTES
    with under_load(run, "sqlite", program=ALTERED, more=watched(), rate=60) as load, ExitStack() as until:
        dead = a_webhook_of(900, load, hanging(until))
        began = time.monotonic()
        curve: list[tuple[float, float, int, int, float]] = []
        killed_at = began
        while time.monotonic() < began + 60 * minutes:
            pause(min(30.0, 6 * minutes))
            curve.append(_measure(load, began))
            is_due = time.monotonic() - killed_at > 60 * min(KILLED_EVERY_MIN, minutes / 5)
            if is_due and time.monotonic() - began < 60 * minutes * KILLED_UNTIL:
                load.node.kill()
                load.node.start()
                killed_at = time.monotonic()
                run.survived += 1
        load.client().delete(f"/api/v1/webhooks/{dead}")
        # Before the accounting: what was measured in hours is told whatever comes of that.
        _draw(run, curve)
        warm_at = killed_at + WARM_UP * (began + 60 * minutes - killed_at)
        _judge(run, [point for point in curve if began + 60 * point[0] > warm_at])


def _measure(load: Load, began: float) -> tuple[float, float, int, int, float]:
    """Minutes, resident MiB, open files, threads, MiB of the database with its log."""
    pid = load.node.pid
    size = sum(file.stat().st_size for file in Path(load.database).parent.glob("dockbell.sqlite*"))
    files, threads = (len(list(Path(f"/proc/{pid}/{what}").iterdir())) for what in ("fd", "task"))
    return (time.monotonic() - began) / 60, resident_mib(pid), files, threads, size / 2**20


def _judge(run: Run, curve: list[tuple[float, float, int, int, float]]) -> None:
    if len(curve) < 3:
        return
    minutes = [point[0] for point in curve]
    mean_at, mean = sum(minutes) / len(curve), sum(point[1] for point in curve) / len(curve)
    spread = sum((at - mean_at) ** 2 for at in minutes)
    slope = 60 * sum((point[0] - mean_at) * (point[1] - mean) for point in curve) / spread
    lasted = minutes[-1] - minutes[0]
    run.figure("memory since the last kill", f"{slope:+.2f} MiB an hour over {lasted:.0f} minutes")
    is_long = lasted >= MEASURED_FOR_MIN
    run.must(not is_long or slope < MOST_MIB_PER_HOUR, f"memory grows by {slope:.2f} MiB an hour")
    for name, place in (("open files", 2), ("threads", 3)):
        counts = [point[place] for point in curve]
        first, last = (median(part) for part in (counts[: len(counts) // 3], counts[-(len(counts) // 3) :]))
        run.must(last <= first * 1.5 + 10, f"{name} grew from {first} in the first third to {last} in the last")


def _draw(run: Run, curve: list[tuple[float, float, int, int, float]]) -> None:
    """Ten points of each curve."""
    shown = curve[:: max(1, len(curve) // 10)]
    for name, place in (("memory, MiB", 1), ("open files", 2), ("threads", 3), ("database, MiB", 4)):
        run.figure(name, ", ".join(f"{point[place]:.0f}" for point in shown))
    run.figure("at minute", ", ".join(f"{point[0]:.0f}" for point in shown))
