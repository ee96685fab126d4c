"""SIGKILL and SIGSTOP: a server alone, one of several, at chosen points, and one that sleeps through its leases."""

import contextlib
import signal
import time
from collections import Counter
from pathlib import Path

import apsw

from tests.faults.altered import POINTS, altered
from tests.faults.cluster import a_cluster
from tests.faults.load import Load, under_load
from tests.faults.processes import ALTERED, Server, pause
from tests.faults.publisher import TEA
from tests.faults.scenario import Run, scenario

TIMEOUT_AND_MARGIN_S = 2 + 10
"""How long a lease of the load's webhooks lasts: the webhook's timeout and the worker's margin."""
BEAT_S = 1.0


@scenario("T1", "kill -9 of the server, SQLite", holds="starts again each time, file sound", short=True)
def kill_one(run: Run) -> None:
    starts_s, first_s = [], []
    with under_load(run, "sqlite") as load:
        for number in range(run.pick(10, 300)):
            pause(run.choose.uniform(0.2, run.pick(4.0, 5.0)))
            load.node.kill()
            starts_s.append(load.node.start())
            first_s.append(load.wait_for_receipts(1))
            run.survived += 1
            if number % 10 == 9:
                run.say(f"kill {number + 1}, up again in {starts_s[-1]:.2f} s")
        pause(1.0)
    run.figure("start", f"{max(starts_s):.1f} s at most")
    run.figure("first delivery after it", f"{sorted(first_s)[len(first_s) // 2]:.2f} s, {max(first_s):.2f} s at most")
    run.must(integrity(load.database) == "ok", "the file is sound after the kills")


def integrity(file: str | Path) -> str:
    """What SQLite says of the file: `ok`, or what is wrong with it."""
    opened = apsw.Connection(str(file))
    try:
        return " ".join(str(row[0]) for row in opened.execute("PRAGMA integrity_check"))
    finally:
        opened.close()


@scenario("T2", "kill -9 of one of three nodes, PostgreSQL", holds="others take over", short=True)
def kill_one_of_three(run: Run) -> None:
    with under_load(run, "postgres", nodes=3) as load:
        for _ in range(run.pick(10, 300)):
            pause(run.choose.uniform(0.5, 3.0))
            node = run.choose.choice(load.nodes)
            node.kill()
            pause(run.choose.uniform(0.0, 1.0))
            node.start()
            run.survived += 1
        pause(1.0)
    # With every node up, what a killed one left is taken up when its leases end: no later than that, and a heartbeat.
    run.must(
        load.drained_s < TIMEOUT_AND_MARGIN_S + BEAT_S + 10,
        f"the last leases were taken over after {load.drained_s:.0f} s, not after {TIMEOUT_AND_MARGIN_S} s and a heartbeat",
    )


@scenario("T3", "kill -9 at chosen points", holds="each point is met; nothing comes a third time", short=True)
def kill_at_points(run: Run) -> None:
    for kind in ("sqlite", "postgres"):
        with under_load(run, kind, rate=60) as load:
            points = [point for point in POINTS if not point.startswith("mid_")]
            for point in points if kind == "sqlite" else run.pick(run.choose.sample(points, 2), points):
                for _ in range(run.pick(1, 20)):
                    _die_at(run, load, f"crash:{point}:{run.choose.randint(1, 12)}")
        _repeat_once(run, kind)
        for _ in range(run.pick(1, 20)):
            _die_migrating(run, kind)


def _die_at(run: Run, load: Load, crash: str) -> None:
    """The node is started anew, ends at the point, and is started again without it."""
    node = load.node
    node.stop()
    usual, node.program = node.program, ALTERED
    node.environment |= altered(crash)
    node.launch()
    code = node.wait(30)
    run.must(code == -signal.SIGKILL, f"the point {crash} was not met within 30 s (code {code})")
    run.survived += code == -signal.SIGKILL
    node.program = usual
    node.stop()
    node.start()
    load.wait_for_receipts(1)


def _repeat_once(run: Run, kind: str) -> None:
    """One event, answered 200, and the end before that is written: each delivery comes twice, and not a third time."""
    with under_load(run, kind, rate=0.001, fails=0.0) as load:
        pause(1.5)  # the first events of the four threads; at this rate no more come
        before = len(load.receipts())
        load.node.stop()
        usual, load.node.program = load.node.program, ALTERED
        load.node.environment |= altered("crash:after_send_before_record:1")
        load.node.start()
        load.publishers.publish(TEA)
        code = load.node.wait(20)
        run.must(code == -signal.SIGKILL, f"{kind}: the point after_send_before_record was not met (code {code})")
        run.survived += code == -signal.SIGKILL
        load.node.program = usual
        load.node.start()
    times = Counter(one.delivery_id for one in load.receipts()[before:])
    run.figure(f"one event to {len(times)} webhooks, {kind}", f"received {sorted(times.values())} times")
    run.must(max(times.values()) == 2, f"{kind}: an answer was lost, and its delivery came {max(times.values())} times")


def _die_migrating(run: Run, kind: str) -> None:
    """A first start that ends amid the schema; the second makes it whole, and it takes a load."""
    folder = run.below(f"{kind}-migrating")
    with contextlib.ExitStack() as stack:
        in_file = kind == "sqlite"
        database = str(folder / "dockbell.sqlite") if in_file else stack.enter_context(a_cluster()).url
        for point in ("mid_migration", "mid_migration_step"):
            crash = f"crash:{point}:{run.choose.randint(2, 4)}"
            dying = Server(database, run.below("first-start"), program=ALTERED, more=altered(crash))
            dying.launch()
            code = dying.wait(20)
            dying.stop()
            run.must(code == -signal.SIGKILL, f"{kind}: the point {crash} was not met (code {code})")
            run.survived += code == -signal.SIGKILL
        with under_load(run, kind, address=database, folder=folder, rate=60):
            pause(0.5)


@scenario(
    "T7",
    "a node sleeps through its leases (SIGSTOP), PostgreSQL",
    holds="its late outcomes change nothing; others go on",
    short=True,
)
def sleep_through_leases(run: Run) -> None:
    with under_load(run, "postgres", nodes=2, late_s=1.0) as load:
        for _ in range(run.pick(1, 5)):
            _sleep(run, load, 2 * TIMEOUT_AND_MARGIN_S)
    _unfenced(run)


def _sleep(run: Run, load: Load, seconds: float) -> None:
    pause(2.0)
    asleep = load.nodes[1]
    asleep.signal(signal.SIGSTOP)
    since = time.monotonic()
    pause(1.0)
    took_over_s = load.wait_for_receipts(20)
    run.figure("others went on within", f"{took_over_s:.1f} s")
    pause(seconds - (time.monotonic() - since))
    asleep.signal(signal.SIGCONT)
    pause(3.0)
    run.must(asleep.is_running, "the node that slept goes on by itself")
    run.survived += 1


def _unfenced(run: Run) -> None:
    """The control: outcomes are written whoever holds the lease."""
    control = run.as_control("unfenced")
    with under_load(control, "postgres", nodes=2, late_s=1.0, program=ALTERED, more=altered("unfenced")) as load:
        _sleep(control, load, 2 * TIMEOUT_AND_MARGIN_S)
    harm = {name: count for name, count in control.counts.items() if count}
    run.control("without fencing", did_harm=bool(harm), harm=", ".join(f"{n} {c}" for n, c in harm.items()) or "none")


@scenario(
    "T7b",
    "a node sleeps until its number was given to another, PostgreSQL",
    holds="no id is made twice, no event is lost",
)
def sleep_through_a_number(run: Run) -> None:
    """With numbers that are given away after 6 seconds instead of an hour."""
    more = altered("node_gone_after:6")
    with under_load(run, "postgres", nodes=2, program=ALTERED, more=more) as load:
        pause(2.0)
        asleep = load.nodes[1]
        asleep.signal(signal.SIGSTOP)
        pause(8.0)
        heir = Server(
            load.database,
            run.below("heir"),
            program=ALTERED,
            more={"DOCKBELL_KEY_FILE": str(load.folder / "dockbell.key"), **more},
        )
        try:
            heir.start()
            load.publishers.turn_to([heir.url, asleep.url])  # both of one number, at once
            asleep.signal(signal.SIGCONT)
            pause(run.pick(10.0, 30.0))
            load.publishers.turn_to([load.node.url])
        finally:
            heir.stop()
        run.survived += 1
