"""One run of one system under one load: warm up, load, wait until all is delivered, compare what everybody saw."""

import contextlib
import json
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from bench import systems
from bench.generator import Order
from bench.machine import Process, Unable, cpu_seconds, environment, machine_seconds, python
from bench.systems import Cluster, Counts, PostgresLog, Shape, SqliteLog, Target

DRAINED_WITHIN_S = 300.0
LOOK_EVERY_S = 0.1
MOST_REQUESTS = 2_000_000
DIRECT, RELAY, SQLITE, POSTGRES = "receivers alone", "nginx relay", "Dockbell on SQLite", "Dockbell on PostgreSQL"


@dataclass(frozen=True, slots=True)
class Load:
    """What one run sends."""

    seconds: float
    warm_up_s: float
    connections: int = 64
    events_a_request: int = 1
    shape: Shape = field(default_factory=Shape)


@dataclass(frozen=True, slots=True)
class Run:
    """What one run of one system showed. Rates are per second, CPU in microseconds per event."""

    system: str
    accepted: int
    """Events answered as expected."""
    accepted_rate: float
    delivered_rate: float
    """Deliveries over the time from the first request to the last outcome in the log: nothing hides in a queue."""
    drained_s: float
    """How long after the last answer the last outcome came."""
    p50_ms: float
    """Of the answers to the generator, at full load."""
    p99_ms: float
    cpu_us: dict[str, float]
    stored_bytes: float | None
    """Per event, indices and all."""
    event_bytes: int
    judged: int
    others: float
    """Share of the machine that processes of nobody here took meanwhile; above a few percent the rates say little."""
    faults: tuple[str, ...]


class Lab:
    """The place all runs of a bench happen in."""

    def __init__(self, folder: Path, postgres: Cluster | None) -> None:
        self._folder = folder
        self._postgres = postgres
        self._made = 0

    @property
    def databases(self) -> tuple[str, ...]:
        return (SQLITE,) if self._postgres is None else (SQLITE, POSTGRES)

    def run(self, system: str, load: Load) -> Run:
        self._made += 1
        with (
            tempfile.TemporaryDirectory(
                prefix=f"run{self._made}-", dir=self._folder, ignore_cleanup_errors=True
            ) as name,
            systems.receivers(load.shape, Path(name)) as (receiver, ports),
            self._target(system, load, ports, Path(name)) as target,
        ):
            return _measured(system, load, target, receiver, Path(name))

    @contextlib.contextmanager
    def _target(self, system: str, load: Load, ports: list[int], folder: Path) -> Iterator[Target]:
        if system == DIRECT:
            with systems.direct(ports) as target:
                yield target
        elif system == RELAY:
            with systems.relay(ports, folder) as target:
                yield target
        elif system == SQLITE:
            file = folder / "dockbell.sqlite"
            with systems.dockbell(str(file), load.shape, ports, folder, log=SqliteLog(file), postgres=None) as target:
                yield target
        else:
            cluster = self._postgres
            assert cluster is not None
            url = cluster.new_database()
            try:
                with systems.dockbell(
                    url, load.shape, ports, folder, log=PostgresLog(url), postgres=cluster.pid
                ) as target:
                    yield target
            finally:
                cluster.drop_database()


@dataclass(frozen=True, slots=True)
class _Reading:
    """The state of everything between two loads."""

    cpu: dict[str, float]
    machine: tuple[float, float]
    """CPU seconds the machine has spent, and has had."""
    received: int
    counts: Counts | None
    stored: int


def _measured(system: str, load: Load, target: Target, receiver: Process, folder: Path) -> Run:
    processes = {**target.processes, "receivers": receiver.pid}

    def reading() -> _Reading:
        cpu = {name: cpu_seconds(pid) for name, pid in processes.items()}
        return _Reading(
            cpu,
            machine_seconds(),
            _asked(receiver, "count")["requests"],
            None if target.log is None else target.log.counts(),
            0 if target.log is None else target.log.stored_bytes(),
        )

    warm = _drive(target, load, "warm", load.warm_up_s)
    unfinished = _await_drained(target)
    before = reading()
    sent = _drive(target, load, "load", load.seconds)
    unfinished += _await_drained(target)
    after = reading()
    report = _asked(receiver, f"report {folder}")

    events = sent["events"]
    if not events:
        raise Unable(f"{system} accepted nothing; the answers were {sent['bad']}")
    ended_at = sent["began_at"] + sent["seconds"]
    last_at = ended_at if after.counts is None else max(after.counts.last_ended_at, ended_at)
    delivered = after.received - before.received if after.counts is None else _grown(before, after, "delivered")
    cpu = {name: after.cpu[name] - before.cpu[name] for name in processes} | {"generator": sent["cpu_seconds"]}
    return Run(
        system=system,
        accepted=events,
        accepted_rate=events / sent["seconds"],
        delivered_rate=delivered / (last_at - sent["began_at"]),
        drained_s=last_at - ended_at,
        p50_ms=sent["p50_ms"],
        p99_ms=sent["p99_ms"],
        cpu_us={name: 1e6 * seconds / events for name, seconds in cpu.items()},
        stored_bytes=None if target.log is None else (after.stored - before.stored) / events,
        event_bytes=sent["event_bytes"],
        judged=report["judged"],
        others=_others(before, after, sum(cpu.values())),
        faults=tuple(_faults(load, target, warm, sent, before, after, report, unfinished, folder)),
    )


def _drive(target: Target, load: Load, run: str, seconds: float) -> Any:
    order = Order(
        port=target.port,
        paths=target.paths,
        goods_owners=load.shape.goods_owners[: len(target.paths)],
        run=run,
        seconds=seconds,
        expected_status=target.expected_status,
        most_requests=MOST_REQUESTS,
        key=target.key,
        connections=load.connections,
        events_a_request=load.events_a_request,
    )
    command = [str(word) for word in python("bench.generator", msgspec.json.encode(order).decode())]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unable(f"the generator ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)


def _await_drained(target: Target) -> int:
    """Wait until nothing is left to deliver; how many were, should that take too long."""
    if target.log is None:
        return 0
    until = time.monotonic() + DRAINED_WITHIN_S
    while (left := target.log.open_deliveries()) and time.monotonic() < until:
        time.sleep(LOOK_EVERY_S)
    return left


def _asked(receiver: Process, line: str) -> Any:
    receiver.say(line)
    return json.loads(receiver.line())


def _grown(before: _Reading, after: _Reading, name: str) -> int:
    return int(getattr(after.counts, name) - getattr(before.counts, name))


def _others(before: _Reading, after: _Reading, ours: float) -> float:
    spent, had = (later - earlier for earlier, later in zip(before.machine, after.machine, strict=True))
    return max(0.0, (spent - ours) / had)


def _faults(
    load: Load,
    target: Target,
    warm: Any,
    sent: Any,
    before: _Reading,
    after: _Reading,
    report: Any,
    unfinished: int,
    folder: Path,
) -> Iterator[str]:
    """Whatever makes the figure worthless: refusals, losses, duplicates, wrong bodies."""
    for bad in (warm["bad"], sent["bad"]):
        if bad:
            yield f"answers other than {target.expected_status}: {bad}"
    if report["malformed"] or report["problems"]:
        yield f"receivers got {report['malformed']} malformed requests; of {report['judged']} judged: {report['problems']}"
    received = after.received - before.received
    if target.log is None:
        if received != sent["requests"]:
            yield f"{sent['requests']} requests were answered, {received} arrived"
        return
    if unfinished:
        yield f"{unfinished} deliveries were not over after {DRAINED_WITHIN_S:.0f} s"
    expected = sent["events"] * load.shape.fan_out
    if (stored := _grown(before, after, "events")) != sent["events"]:
        yield f"{sent['events']} events were accepted, {stored} are stored"
    for name in ("deliveries", "delivered", "attempts"):
        if (count := _grown(before, after, name)) != expected:
            yield f"{expected} {name} were due, {count} are stored"
    arrived = (folder / "received").read_bytes().split(b"\n")
    logged, distinct = target.log.pairs(), set(arrived)
    if len(arrived) != len(distinct):
        yield f"{len(arrived) - len(distinct)} requests arrived twice"
    if logged != distinct:
        yield f"{len(logged - distinct)} logged deliveries never arrived, {len(distinct - logged)} arrived unlogged"
