"""Programs that are stopped, replaced and brought up to date in the middle of the work, and a store that is copied meanwhile."""

import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from dockbell.store.database import open_database
from tests.faults.altered import altered
from tests.faults.cluster import DATABASE, Cluster, a_cluster
from tests.faults.kills import integrity
from tests.faults.load import Load, under_load
from tests.faults.processes import ALTERED, DOCKBELL, Server, pause
from tests.faults.scenario import Run, scenario

STOPS_WITHIN_S = 25.0
PAUSES_AT_MOST_S = 2.0


@scenario(
    "T16",
    "SIGTERM under load, and three nodes restarted in turn",
    holds=f"exit 0 within {STOPS_WITHIN_S:.0f} s; nothing comes twice; publishers hear 503 or find nobody",
    short=True,
)
def stop_and_start(run: Run) -> None:
    took_s = []
    with under_load(run, "sqlite") as load:
        for _ in range(run.pick(8, 100)):
            pause(run.choose.uniform(0.3, 2.0))
            took_s.append(_stop(run, load.node))
            load.node.start()
            run.survived += 1
        _only_503_or_nobody(run, load)
    with under_load(run, "postgres", nodes=3) as rolling:
        for _ in range(run.pick(1, 10)):
            for node in rolling.nodes:
                pause(run.choose.uniform(0.3, 2.0))
                took_s.append(_stop(run, node))
                node.start()
                run.survived += 1
        _only_503_or_nobody(run, rolling)
    run.figure("stopping", f"{sorted(took_s)[len(took_s) // 2]:.1f} s, at most {max(took_s):.1f} s")
    repeats = run.explained_dups
    run.must(repeats == 0, f"a stop in order sends nothing twice, but {repeats} deliveries came twice")


def _stop(run: Run, node: Server) -> float:
    began = time.monotonic()
    code = node.stop()
    took_s = time.monotonic() - began
    run.must(code == 0, f"SIGTERM ended it with {code}, not with 0")
    run.must(took_s < STOPS_WITHIN_S, f"it took {took_s:.0f} s to stop")
    return took_s


def _only_503_or_nobody(run: Run, load: Load) -> None:
    kinds = load.publishers.kinds()
    run.figure(f"answers of {len(load.nodes)} node(s)", dict(kinds))
    nobody = {"ConnectionRefusedError", "ConnectionResetError", "RemoteDisconnected", "BrokenPipeError"}
    other = {what for what in kinds if what not in (202, 503) and what not in nobody}
    run.must(not other, f"a stopping node answers 503 or nothing, not {other}")


@scenario(
    "T17",
    "the next version migrates while nodes of this one serve",
    holds=f"publishers wait at most {PAUSES_AT_MOST_S:.0f} s on PostgreSQL; this version then refuses to start, in words",
    short=True,
)
def migrate_under_load(run: Run) -> None:
    """The next version is this one with a step more, which adds a column and an index."""
    for kind in ("sqlite", "postgres"):
        with under_load(run, kind) as load:
            pause(run.pick(3.0, 60.0))
            since = time.monotonic()
            _migrate(run, load, kind)
            migrated_s = time.monotonic() - since
            pause(3.0)
            slowest_s = load.publishers.slowest_s(since)
            run.figure(f"{kind}: slowest answer meanwhile", f"{slowest_s:.2f} s; the migration took {migrated_s:.1f} s")
            run.must(kind == "sqlite" or slowest_s < PAUSES_AT_MOST_S, f"{kind}: publishers waited {slowest_s:.1f} s")
            kinds = set(load.publishers.kinds(since))
            run.must(kinds == {202}, f"{kind}: while migrating answers were {kinds}")
            run.must(load.node.is_running, f"{kind}: this version goes on with the schema of the next")
            load.node.stop()
            load.node.launch()
            code = load.node.wait(20)
            said = load.node.log.read_text()[-600:]
            run.must(code not in (0, None), f"{kind}: this version starts on the schema of the next (code {code})")
            run.must("Start the newer program" in said, f"{kind}: it does not say why: {said}")
            load.node.program = ALTERED
            load.node.environment |= altered("next_version")
            load.node.start()
            run.survived += 1
            pause(1.0)


def _migrate(run: Run, load: Load, kind: str) -> None:
    """`dockbell migrate` of the next version; in the full set it is killed on the way, some times, and run again."""
    words = [*ALTERED, "migrate"]
    environment = {**load.node.environment, **altered("next_version")}
    for _ in range(run.pick(1, 10)):
        migrating = subprocess.Popen(
            words, cwd=load.node.folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        pause(run.choose.uniform(0.2, 1.5))
        migrating.kill()
        migrating.communicate()
        run.survived += 1
    done = subprocess.run(words, cwd=load.node.folder, env=environment, capture_output=True, text=True, timeout=120)
    run.must(
        done.returncode == 0,
        f"{kind}: dockbell migrate of the next version ended with {done.returncode}: {done.stderr}",
    )


@scenario(
    "T25",
    "backup while running, restored elsewhere",
    holds="the copy is sound, and has every event that was answered before it began",
    short=True,
)
def back_up(run: Run) -> None:
    with under_load(run, "sqlite") as load:
        copy = run.folder / "none"
        for _ in range(run.pick(2, 20)):
            pause(2.0)
            copy = run.below("restored") / "dockbell.sqlite"
            _copy(run, load, str(copy), lambda copy=copy: _in_place(load, copy))  # type: ignore[misc]
            run.must(integrity(copy) == "ok", "the copy is sound")
        _restore(run, load, str(copy))
    with a_cluster() as cluster, under_load(run, "postgres", address=cluster.url) as dumped:
        url = cluster.url
        for number in range(run.pick(2, 20)):
            pause(2.0)
            name = f"restored_{number}"
            url = cluster.url.replace(f"/{DATABASE}?", f"/{name}?")
            _copy(run, dumped, url, lambda name=name, url=url: _dump(cluster, name, url))  # type: ignore[misc]
        _restore(run, dumped, url)


def _copy(run: Run, load: Load, copy: str, make: Callable[[], None]) -> None:
    answered = {event for sent in load.publishers.sent for one in list(sent) for event in one.event_ids}
    began = time.monotonic()
    make()
    run.figure(f"a copy took, {'PostgreSQL' if '://' in copy else 'SQLite'}", f"{time.monotonic() - began:.2f} s")
    missing = answered - _events_in(copy)
    run.must(not missing, f"{len(missing)} events that were answered before the backup are not in it")
    run.survived += 1


def _in_place(load: Load, copy: Path) -> None:
    with sqlite3.connect(load.database) as source:
        source.execute("VACUUM INTO ?", [str(copy)])
    source.close()


def _dump(cluster: Cluster, name: str, url: str) -> None:
    file = cluster.directory / f"{name}.dump"
    cluster.program("pg_dump", "--format=custom", f"--file={file}", f"--dbname={cluster.url}")
    cluster.execute(f"CREATE DATABASE {name}")
    cluster.program("pg_restore", f"--dbname={url}", file)


def _events_in(copy: str) -> set[int]:
    with closing(open_database(copy)) as database:
        return {int(row["id"]) for row in database.submit_read(lambda tx: tx.all("SELECT id FROM events")).result()}


def _restore(run: Run, load: Load, copy: str) -> None:
    """A node starts on the copy with the key; one without the key does not."""
    folder = run.below("node")
    keyless = Server(copy, folder, program=DOCKBELL)
    keyless.launch()
    code = keyless.wait(20)
    keyless.stop()
    run.must(code not in (0, None), "a copy without its key file is not served")
    shutil.copy(load.folder / "dockbell.key", folder / "dockbell.key")
    # It knows the receivers of the one that lives on, and must reach none of them.
    restored = Server(copy, folder, DOCKBELL_EGRESS__ALLOW_LOOPBACK_FOR_TESTS="false")
    try:
        took_s = restored.start()
        run.figure("start on the copy", f"{took_s:.1f} s")
        run.survived += 1
    finally:
        run.must(restored.stop() == 0, "a node on the copy stops in order")
