"""One load on one target: warm up, load, wait until all is delivered, compare what everybody saw."""

import array
import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from bench.generator import Order
from bench.logs import Counts
from bench.machine import Process, Unable, cpu_seconds, environment, machine_seconds, python, rss_bytes
from bench.systems import Shape, Target

DRAINED_WITHIN_S = 300.0
LOOK_EVERY_S = 0.1
MOST_REQUESTS = 2_000_000
FIRST_NUMBERS = {"warm": 100_000_000, "load": 500_000_000}
SHARES = (50, 99)


@dataclass(frozen=True, slots=True)
class Load:
    """What one run sends."""

    seconds: float
    connections: int = 64
    events_a_request: int = 1
    rate: float | None = None
    """Requests a second; without one as many as the target takes."""
    shape: Shape = field(default_factory=Shape)

    @property
    def warm_up_s(self) -> float:
        return self.seconds / 4

    @property
    def is_plain(self) -> bool:
        return self == Load(self.seconds)


@dataclass(frozen=True, slots=True)
class Measured:
    figures: dict[str, float]
    events: int
    judged: int
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Reading:
    """The state of everything between two loads."""

    cpu: dict[str, float]
    machine: tuple[float, float]
    """CPU seconds the machine has spent, and has had."""
    received: int
    counts: Counts | None
    stored: int
    spent: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class _Seen:
    """What generator, receivers and log tell of one run."""

    load: Load
    target: Target
    warm: Any
    sent: Any
    before: _Reading
    after: _Reading
    report: Any
    unfinished: int
    folder: Path

    def grown(self, name: str) -> int:
        return int(getattr(self.after.counts, name) - getattr(self.before.counts, name))

    @property
    def watched_events(self) -> int:
        """Events of goods owners whose receivers are looked at."""
        turns = turns_of(self.load.shape.watched, of=len(self.target.paths), requests=self.sent["requests"])
        return turns * self.load.events_a_request


def turns_of(first: int, *, of: int, requests: int) -> int:
    """How many requests went to the first places when all took turns."""
    rounds, rest = divmod(requests, of)
    return rounds * first + min(rest, first)


def measure(load: Load, target: Target, receiver: Process, folder: Path) -> Measured:
    warm = drive(target, load, "warm", load.warm_up_s, folder)
    unfinished = await_drained(target)
    before = _reading(target, receiver)
    sent = drive(target, load, "load", load.seconds, folder)
    unfinished += await_drained(target)
    after = _reading(target, receiver)
    report = asked(receiver, f"report {folder}")
    if not sent["events"]:
        raise Unable(f"nothing was accepted; the answers were {sent['bad']}")
    seen = _Seen(load, target, warm, sent, before, after, report, unfinished, folder)
    return Measured(_figures(seen), sent["events"], report["judged"], tuple(_faults(seen)))


def drive(target: Target, load: Load, run: str, seconds: float, folder: Path) -> Any:
    """Let the generator send for so long; what it tells."""
    order = Order(
        ports=target.ports,
        paths=target.paths,
        goods_owners=load.shape.goods_owners[: len(target.paths)],
        run=f"{run}-{time.time_ns()}",
        seconds=seconds,
        expected_status=target.expected_status,
        most_requests=MOST_REQUESTS,
        first_number=FIRST_NUMBERS[run],
        times=str(folder / f"times-{run}"),
        rate=load.rate,
        key=target.key,
        connections=load.connections,
        events_a_request=load.events_a_request,
    )
    command = [str(word) for word in python("bench.generator", msgspec.json.encode(order).decode())]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unable(f"the generator ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)


def await_drained(target: Target) -> int:
    """Wait until nothing that was sent is left to deliver; how many were, should that take too long."""
    if target.log is None:
        return 0
    until = time.monotonic() + DRAINED_WITHIN_S
    while (left := target.log.open_deliveries()) and time.monotonic() < until:
        time.sleep(LOOK_EVERY_S)
    return left


def asked(receiver: Process, line: str) -> Any:
    receiver.say(line)
    return json.loads(receiver.line())


def _reading(target: Target, receiver: Process) -> _Reading:
    processes = {**target.processes, "receivers": (receiver.pid,)}
    return _Reading(
        {name: sum(map(cpu_seconds, pids)) for name, pids in processes.items()},
        machine_seconds(),
        asked(receiver, "count")["requests"],
        None if target.log is None else target.log.counts(),
        0 if target.log is None else target.log.stored_bytes(),
        {} if target.log is None else target.log.spent(),
    )


def _figures(seen: _Seen) -> dict[str, float]:
    """Rates are per second, CPU in microseconds per event, bytes per event."""
    sent, before, after = seen.sent, seen.before, seen.after
    events, ended_at = sent["events"], sent["began_at"] + sent["seconds"]
    # Over the time from the first request to the last outcome in the log: nothing hides in a queue.
    last_at = ended_at if after.counts is None else max(after.counts.last_ended_at, ended_at)
    delivered = after.received - before.received if after.counts is None else seen.grown("delivered")
    cpu = {name: after.cpu[name] - before.cpu[name] for name in after.cpu} | {"generator": sent["cpu_seconds"]}
    between = sum(spent for name, spent in cpu.items() if name not in ("receivers", "generator"))
    work, had = (later - earlier for earlier, later in zip(before.machine, after.machine, strict=True))
    figures = {
        "accepted/s": events / sent["seconds"],
        "delivered and logged/s": delivered / (last_at - sent["began_at"]),
        "events/s": seen.watched_events / (last_at - sent["began_at"]),
        "last outcome after s": last_at - ended_at,
        "others' CPU %": 100 * max(0.0, (work - sum(cpu.values())) / had),
        **{f"{name} us": 1e6 * spent / events for name, spent in cpu.items()},
        "all us": 1e6 * sum(cpu.values()) / events,
        "bytes stored": (after.stored - before.stored) / events,
        **{name: (after.spent[name] - before.spent[name]) / events for name in after.spent},
        **_times(seen),
    }
    if between:
        figures["product us"] = 1e6 * between / events
        figures["events a core-second"] = events / between
    if target_rss := [rss_bytes(pid) for pid in seen.target.processes.get("Dockbell", ())]:
        figures["MB in memory"] = max(target_rss) / 1e6
    if seen.target.log is None:
        del figures["bytes stored"]
    return figures


def _times(seen: _Seen) -> dict[str, float]:
    """Answers over the generator's requests; arrivals over single events that one watched receiver gets."""
    raw = array.array("d", (seen.folder / "times-load").read_bytes())
    sent_at, answered_at = raw[: len(raw) // 2], raw[len(raw) // 2 :]
    figures = _shares("answer", [end - begin for begin, end in zip(sent_at, answered_at, strict=True) if end])
    if seen.load.events_a_request > 1 or seen.load.shape.fan_out > 1:
        return figures
    numbers = array.array("q", (seen.folder / "numbers").read_bytes())
    moments = array.array("d", (seen.folder / "moments").read_bytes())
    first, places, watched = FIRST_NUMBERS["load"], len(seen.target.paths), seen.load.shape.watched
    arrived: dict[int, float] = {}
    for number, moment in zip(numbers, moments, strict=True):
        place = number - first
        if 0 <= place < len(sent_at) and place % places < watched:
            arrived.setdefault(place, moment)
    figures |= _shares("sent to received", [moment - sent_at[place] for place, moment in arrived.items()])
    if seen.target.log is None:  # it accepts when the receiver has answered
        return figures
    return figures | _shares(
        "accepted to received", [moment - answered_at[place] for place, moment in arrived.items() if answered_at[place]]
    )


def _shares(name: str, seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {f"{name} p{share} ms": 1000 * ordered[len(ordered) * share // 100] for share in SHARES if ordered}


def _faults(seen: _Seen) -> Iterator[str]:
    """Whatever makes the figures worthless: refusals, losses, duplicates, wrong bodies."""
    target, report, sent = seen.target, seen.report, seen.sent
    for bad in (seen.warm["bad"], sent["bad"]):
        if bad:
            yield f"answers other than {target.expected_status}: {bad}"
    if report["malformed"] or report["problems"]:
        yield f"receivers got {report['malformed']} malformed requests; of {report['judged']} judged: {report['problems']}"
    received = seen.after.received - seen.before.received
    if target.log is None:
        if received != sent["requests"]:
            yield f"{sent['requests']} requests were answered, {received} arrived"
        return
    if seen.unfinished:
        yield f"{seen.unfinished} deliveries were not over after {DRAINED_WITHIN_S:.0f} s"
    fan_out = seen.load.shape.fan_out
    expected = {
        "events": sent["events"],
        "deliveries": sent["events"] * fan_out,
        "delivered": seen.watched_events * fan_out,
        "attempts": seen.watched_events * fan_out,
    }
    for name, due in expected.items():
        if (count := seen.grown(name)) != due:
            yield f"{due} {name} were due, {count} are stored"
    yield from id_faults(seen.folder, target)


def id_faults(folder: Path, target: Target) -> Iterator[str]:
    """What the ids that arrived say beside those in the log; of earlier events only whether one came twice."""
    assert target.log is not None
    arrived = (folder / "received").read_bytes().split()
    distinct = set(arrived)
    if len(arrived) != len(distinct):
        yield f"{len(arrived) - len(distinct)} requests arrived twice"
    ours = {each for each in distinct if int(each.partition(b"-")[0]) > target.log.since}
    logged = target.log.pairs()
    if logged != ours:
        yield f"{len(logged - ours)} logged deliveries never arrived, {len(ours - logged)} arrived unlogged"
