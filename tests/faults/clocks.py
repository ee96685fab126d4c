"""The wall clock jumps: hours, days, there and back, back to 1970, on to 2038 and 2100. The monotonic clock runs on, as it does."""

import contextlib
import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.faults.load import Load, under_load
from tests.faults.processes import Unable, pause
from tests.faults.receiver import ANY_TIME
from tests.faults.scenario import PACKAGES, NotRun, Run, scenario

LIBRARIES = ("/usr/lib/*/faketime/libfaketime.so.1", "/usr/lib*/faketime/libfaketime.so.1")
LONGEST_GAP_S = 60.0
HOUR, DAY = 3_600, 86_400


@scenario(
    "T15",
    "the clock jumps by hours and days, there and back, SQLite",
    holds=f"deliveries go on within {LONGEST_GAP_S:.0f} s; no storm of repeats; nobody is refused",
    short=True,
    needs=("faketime",),
)
def jump(run: Run) -> None:
    library = _library()
    jumps = [HOUR, -HOUR, DAY, -DAY] if not run.is_full else [HOUR, -HOUR, DAY, -DAY, 30 * DAY, -30 * DAY, HOUR, -HOUR]
    with _under_a_clock(run, library) as (load, clock):
        pause(6.0)
        usual = _peak_of_repeats(load, len(load.receipts()))
        peaks = []
        for seconds in jumps:
            before = len(load.receipts())
            clock.add(seconds)
            gap_s = load.wait_for_receipts(5, within_s=2 * LONGEST_GAP_S)
            pause(run.pick(4.0, 20.0))
            came = len(load.receipts()) - before
            run.figure(f"{seconds / HOUR:+.0f} h", f"5 more requests within {gap_s:.1f} s")
            run.must(gap_s < LONGEST_GAP_S, f"{seconds / HOUR:+.0f} h: nothing was delivered for {gap_s:.0f} s")
            peak = _peak_of_repeats(load, came)
            peaks.append(peak)
            run.must(peak < 4 * usual + 50, f"{seconds / HOUR:+.0f} h: a storm of {peak} repeats in a second")
            run.survived += 1
        run.figure("repeats in a second", f"at most {max(peaks)} after a jump, {usual} before the first")
        for number in range(run.pick(5, 60)):
            clock.add(1 if number % 2 else -1)
            pause(run.pick(1.0, 5.0))
            run.survived += 1
        refused = {what: count for what, count in load.publishers.kinds().items() if what != 202}
        run.must(not refused, f"publishers were refused: {refused}")
        run.must(load.node.is_running, "the same process goes on")


@scenario(
    "T15b",
    "started in 1970, 2038 and 2090, SQLite",
    holds="accepts, delivers and restarts there, or refuses to start in words",
    needs=("faketime",),
)
def start_elsewhen(run: Run) -> None:
    library = _library()
    for name, moment in {
        "1970": 3_600,
        "2038-01-19": 2**31 - 5,
        "2090": 3_786_912_000,
        "leap day": 1_835_395_195,
    }.items():
        try:
            with _under_a_clock(run, library, at=moment) as (load, _):
                load.wait_for_receipts(100)
                pause(6.0)
                load.node.kill()
                load.node.start()
            run.figure(name, "accepts and delivers")
        except Unable as refused:
            lines = [line for line in str(refused).splitlines() if "Traceback" not in line]
            run.figure(name, f"does not start: {lines[-1][:200]}")
            run.must("Traceback" not in str(refused), f"{name}: it does not start, with a traceback")
        run.survived += 1


class Clock:
    """What programs under libfaketime take for the time: ours, moved."""

    def __init__(self, file: Path, at: int | None) -> None:
        self._file = file
        self._moved_s = 0 if at is None else at - int(time.time())  # noqa: TID251 - the real one
        self.add(0)

    def add(self, seconds: int) -> None:
        self._moved_s += seconds
        new = self._file.with_suffix(".new")
        new.write_text(f"{self._moved_s:+d}\n")
        new.replace(self._file)


@contextlib.contextmanager
def _under_a_clock(run: Run, library: str, at: int | None = None) -> Iterator[tuple[Load, Clock]]:
    """A load whose Dockbell has a clock of its own; publishers and receivers keep ours."""
    file = run.below("clock") / "faketime"
    clock = Clock(file, at)
    more = {
        "LD_PRELOAD": library,
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    os.environ[ANY_TIME] = "1"  # for the receivers: our clock is not Dockbell's
    try:
        with under_load(run, "sqlite", rate=60, more=more, drains_within_s=60.0) as load:
            yield load, clock
    finally:
        del os.environ[ANY_TIME]


def _library() -> str:
    for pattern in LIBRARIES:
        for found in Path("/").glob(pattern.lstrip("/")):
            if os.access(found, os.R_OK):
                return str(found)
    raise NotRun(f"needs libfaketime (Debian, Ubuntu: apt-get install {PACKAGES['faketime']})")


def _peak_of_repeats(load: Load, newest: int) -> int:
    """Most requests within a second, among the newest, for deliveries that had been asked for before.

    First requests are no storm, however many come at once: a crowded machine makes them late, and then up for it.
    """
    seen: set[tuple[int, str]] = set()
    repeats: Counter[int] = Counter()
    receipts = load.receipts()
    for number, one in enumerate(receipts, start=1):
        delivery = (one.webhook, one.delivery_id)
        if delivery in seen and number > len(receipts) - newest:
            repeats[one.at // 1_000_000] += 1
        seen.add(delivery)
    return max(repeats.values(), default=0)
