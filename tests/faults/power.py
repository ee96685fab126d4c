"""Power cuts on SQLite: the product's own writes are recorded, cut off anywhere, and opened again by the product."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dockbell.store.database import open_database
from dockbell.store.migrate import verify
from tests.faults.altered import watched
from tests.faults.kills import integrity
from tests.faults.load import under_load
from tests.faults.processes import ALTERED, pause
from tests.faults.recording import Answer, Disk, Step, read, recorder
from tests.faults.scenario import Run, need, scenario

NAME = "dockbell.sqlite"
FILES = ("dockbell.sqlite-wal", "dockbell.sqlite")
RECORDS_WITHIN_S = 120.0
HOWS = ("dropped", "half", "torn")


@scenario(
    "T4",
    "power cut amid recorded writes, SQLite",
    holds="each image opens, is sound, and has every event that was answered 202, with its deliveries",
    short=True,
    needs=("strace",),
)
def cut_the_power(run: Run) -> None:
    strace = need("strace")
    cuts = _record_and_cut(run, strace, watched(), events=run.pick(400, 2_000))
    run.figure("images", f"{cuts.images:,}: un-synced writes dropped, half of them kept, the last one torn")
    run.figure("recorded", f"{cuts.answers:,} answers, {cuts.steps:,} writes and syncs")
    run.figure("missing events, unsound images", f"{cuts.missing}, {cuts.unsound}")
    run.figure("time an image", f"{1000 * cuts.took_s / max(1, cuts.images):.0f} ms")
    run.survived += cuts.images
    run.must(cuts.answers > 0, "the recording has answers in it")
    run.must(not cuts.missing, f"{cuts.missing} accepted events are missing after a power cut: {cuts.first}")
    run.must(not cuts.unsound, f"{cuts.unsound} images do not open or are not sound: {cuts.first}")
    control = run.as_control("normal")
    lost = _record_and_cut(control, strace, watched("synchronous_normal"), events=200)
    run.control(
        "synchronous=NORMAL",
        did_harm=lost.missing > 0,
        harm=f"{lost.missing:,} accepted events missing, in {lost.with_missing} of {lost.images} images",
    )


@dataclass(slots=True)
class Cuts:
    images: int = 0
    answers: int = 0
    steps: int = 0
    missing: int = 0
    with_missing: int = 0
    unsound: int = 0
    took_s: float = 0.0
    first: str = ""
    known: set[int] = field(default_factory=set)


def _record_and_cut(run: Run, strace: str, more: dict[str, str], *, events: int) -> Cuts:
    with under_load(run, "sqlite", rate=2_000, program=ALTERED, more=more) as load:
        pause(0.5)
        load.node.stop()  # everything is in the one file then
        base = Path(load.database).read_bytes()
        trace = load.folder / "trace"
        load.node.around = recorder(strace, trace)
        load.node.start()
        since = time.monotonic()
        while load.publishers.kinds(since)[202] < events and time.monotonic() < since + RECORDS_WITHIN_S:
            pause(0.1)
        load.publishers.pause()
        load.node.stop()
        load.node.around = ()
        load.node.start()
    steps = read(trace, FILES)
    trace.unlink()  # hundreds of megabytes
    return _cut(run, steps, base, load.folder)


def _cut(run: Run, steps: Sequence[Step], base: bytes, folder: Path) -> Cuts:
    """After answers, and at random steps; each cut leaves three images."""
    found = Cuts(steps=len(steps))
    answers = [place for place, step in enumerate(steps) if isinstance(step, Answer)]
    found.answers = len(answers)
    after = run.choose.sample(answers, min(len(answers), run.pick(40, 2_000)))
    at = set(after) | set(run.choose.sample(range(len(steps)), min(len(steps), run.pick(40, 500))))
    disk = Disk({NAME: bytearray(base)})
    began = time.monotonic()
    for place, step in enumerate(steps):
        disk.play(step)
        if isinstance(step, Answer):
            found.known |= step.events
        if place in at:
            for how in HOWS:
                _judge(found, disk.after_a_power_cut(how, run.choose), folder, f"step {place}, {how}")
    found.took_s = time.monotonic() - began
    return found


def _judge(found: Cuts, files: Mapping[str, bytes], folder: Path, what: str) -> None:
    """Open the image as Dockbell does, and look for what was answered."""
    image = folder / "image"
    image.mkdir(exist_ok=True)
    for old in image.iterdir():
        old.unlink()
    for name, content in files.items():
        (image / name).write_bytes(content)
    found.images += 1
    try:
        opened = open_database(str(image / NAME))
        try:
            verify(opened)
            rows = opened.submit_read(
                lambda tx: tx.all(
                    """
                    SELECT e.id, (SELECT count(*) FROM deliveries d WHERE d.event_id = e.id) AS deliveries FROM events e
                    """
                )
            ).result()
        finally:
            opened.close()
        sound = integrity(image / NAME)
    except Exception as error:
        found.unsound += 1
        found.first = found.first or f"{what}: {error}"
        return
    if sound != "ok":
        found.unsound += 1
        found.first = found.first or f"{what}: {sound}"
    there = {int(row["id"]) for row in rows if row["deliveries"]}
    if missing := found.known - there:
        found.missing += len(missing)
        found.with_missing += 1
        found.first = found.first or f"{what}: {sorted(missing)[:3]}"
