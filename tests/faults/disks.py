"""What happens to a disk: it is full, slow, or fails to sync."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from dockbell.testing.client import ApiError
from tests.faults.kills import integrity
from tests.faults.load import Load, under_load
from tests.faults.processes import Unable, pause
from tests.faults.scenario import Run, need, need_root, scenario

SMALL_MIB = 48
SMALL_MARGINS = {f"DOCKBELL_DISK__{name}_MIB": str(mib) for name, mib in (("FLOOR", 8), ("RELEASE", 4), ("BALLAST", 4))}
FULL_WITHIN_S = 90.0
RESUMES_WITHIN_S = 10.0


@scenario(
    "T13",
    "disk full, SQLite",
    holds="507 storage_full, health tells it, nothing is sent that could not be written, goes on alone within 10 s",
    short=True,
)
def full_disk(run: Run) -> None:
    need_root("a small file system of its own")
    with _a_small_disk(run) as disk:
        with under_load(run, "sqlite", data=disk, rate=100, more=SMALL_MARGINS) as load:
            pause(2.0)
            filler = disk / "filler"
            left = os.statvfs(disk)
            filler.write_bytes(bytes(max(0, left.f_bavail * left.f_frsize - 2 * 2**20)))
            since = time.monotonic()
            while not load.publishers.kinds(since)[507] and time.monotonic() < since + FULL_WITHIN_S:
                pause(0.1)
            full_at = time.monotonic()
            run.must(load.publishers.kinds(since)[507] > 0, "publishers are told 507 when the disk is full")
            pause(run.pick(8.0, 60.0))
            codes = {one.hint for one in load.publishers.answers(full_at) if one.what == 507}
            run.must(codes <= {"storage_full"}, f"the code of 507 is storage_full, not {codes}")
            other = {what for what in load.publishers.kinds(full_at) if what not in (202, 507)}
            run.must(not other, f"a full disk is answered 507 and nothing else, not {other}")
            run.figure("refused while it was full", f"{load.publishers.kinds(full_at)[507]:,}")
            run.figure("health while it was full", _health(load))
            run.must(load.node.is_running, "the node lives on a full disk")
            filler.unlink()
            freed = time.monotonic()
            while not load.publishers.kinds(freed)[202] and time.monotonic() < freed + 2 * RESUMES_WITHIN_S:
                pause(0.05)
            run.figure("202 again after space was freed", f"{time.monotonic() - freed:.1f} s")
            run.must(time.monotonic() - freed < RESUMES_WITHIN_S, "it goes on alone within 10 s of the space")
            run.survived += 1
            pause(2.0)
        run.must(run.explained_dups == 0, f"nothing is sent that cannot be written: {run.explained_dups} repeats")
        run.must(integrity(load.database) == "ok", "the file is sound after the disk was full")


@contextlib.contextmanager
def _a_small_disk(run: Run) -> Iterator[Path]:
    folder = run.below("disk")
    words = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_MIB}m", "tmpfs", str(folder)]
    mounted = subprocess.run(words, capture_output=True, text=True, check=False)
    if mounted.returncode:
        raise Unable(f"no small file system could be mounted: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def _health(load: Load) -> str:
    client = load.client()
    try:
        return str(client.get("/api/v1/health"))
    except ApiError as error:
        return f"{error.status} {error.document.get('code')}"
    finally:
        client.close()


@scenario(
    "T14",
    "disk slow, and failing to sync, SQLite",
    holds="no 202 after a failed sync unless it was stored again; goes on, or ends for a supervisor",
    needs=("strace",),
)
def bad_disk(run: Run) -> None:
    strace = need("strace")
    with under_load(run, "sqlite") as load:
        pause(1.0)
        usual = _p99_s(load, 0.0)
        since = time.monotonic()
        with _inject(strace, load.node.pid, "fdatasync:delay_enter=200000"):
            pause(run.pick(15.0, 60.0))
        run.figure(
            "each sync 200 ms later", f"answer p99 {1000 * _p99_s(load, since):.0f} ms, without {1000 * usual:.0f} ms"
        )
        run.survived += 1
    _fail(run, strace, "fdatasync:error=EIO:when=1+97", "sync fails with EIO, 1 of 97")
    _fail(run, strace, "pwrite64:error=ENOSPC:when=200+400", "write fails with ENOSPC, 1 of 400")
    _fail(run, strace, "pwrite64:error=EIO:when=200+400", "write fails with EIO, 1 of 400")


def _fail(run: Run, strace: str, injection: str, name: str) -> None:
    with under_load(run, "sqlite") as load:
        pause(1.0)
        since = time.monotonic()
        until = since + run.pick(15.0, 60.0)
        ends = 0
        with contextlib.ExitStack() as at_the_end:
            at_the_end.enter_context(_inject(strace, load.node.pid, injection))
            while time.monotonic() < until:
                pause(0.2)
                if not load.node.is_running:
                    ends += 1
                    run.must(
                        load.node.wait(1) != 0, f"{name}: a node that ends for it does so with another code than 0"
                    )
                    load.node.start()
                    at_the_end.enter_context(_inject(strace, load.node.pid, injection))
        run.figure(name, f"answers {dict(load.publishers.kinds(since))}, ended {ends} times")
        run.survived += 1
    run.must(integrity(load.database) == "ok", f"{name}: the file is sound afterwards")


def _p99_s(load: Load, since: float) -> float:
    took = sorted(one.took_s for one in load.publishers.answers(since) if one.what == 202)
    return took[int(len(took) * 0.99)] if took else 0.0


@contextlib.contextmanager
def _inject(strace: str, pid: int, what: str) -> Iterator[None]:
    """Into the running program and all its threads, until the `with` ends."""
    call = what.partition(":")[0]
    words = [strace, "-f", "-qq", "-p", str(pid), "-e", f"trace={call}", "-e", f"inject={what}", "-o", "/dev/null"]
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    pause(0.3)
    if process.poll() is not None:
        assert process.stderr is not None
        raise Unable(f"strace ended: {process.stderr.read().decode(errors='replace')[-300:]}")
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stderr is not None
        process.stderr.close()
