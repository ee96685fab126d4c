"""The machine that measures: processes with their CPU time, programs that must be there, and what to write beside a figure."""

import contextlib
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[1]
TICKS = os.sysconf("SC_CLK_TCK")
ENDS_WITHIN_S = 30.0


class Unable(Exception):
    """Something that measuring needs is not there; the message says what to do."""


class Process:
    """A program we started; ended by its own id, never by its name."""

    def __init__(
        self, name: str, command: Sequence[str | Path], log: Path, *, talks: bool = False, **options: Any
    ) -> None:
        self.name = name
        self._log_path = log
        self._log: IO[bytes] = log.open("ab")
        pipe = subprocess.PIPE if talks else None
        self._running: subprocess.Popen[str] = subprocess.Popen(
            [str(word) for word in command],
            stdin=pipe or subprocess.DEVNULL,
            stdout=pipe or self._log,
            stderr=self._log,
            text=True,
            **options,
        )
        self.pid = self._running.pid

    def line(self) -> str:
        """The next line it prints; Unable with the end of its log if there is none."""
        assert self._running.stdout is not None
        line = self._running.stdout.readline()
        if not line:
            raise Unable(f"{self.name} ended with code {self._running.wait()}:\n{self.end_of_log()}")
        return line

    def say(self, line: str) -> None:
        assert self._running.stdin is not None
        self._running.stdin.write(line + "\n")
        self._running.stdin.flush()

    def ended(self) -> int | None:
        return self._running.poll()

    def kill(self) -> None:
        self._running.kill()
        self._running.wait()

    def stop(self) -> None:
        if self.ended() is None:
            self._running.send_signal(signal.SIGTERM)
            try:
                self._running.wait(ENDS_WITHIN_S)
            except subprocess.TimeoutExpired:
                self._running.kill()
                self._running.wait()
        for stream in (self._running.stdin, self._running.stdout):
            if stream is not None:
                stream.close()
        self._log.close()

    def end_of_log(self) -> str:
        return "\n".join(self._log_path.read_text(errors="replace").splitlines()[-15:])


@contextlib.contextmanager
def running(process: Process) -> Iterator[Process]:
    try:
        yield process
    finally:
        process.stop()


def python(module: str, *words: str) -> list[str | Path]:
    return [sys.executable, "-m", module, *words]


def environment(**variables: str) -> dict[str, str]:
    """Ours without what would configure a Dockbell, and with this repository's code first."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DOCKBELL_", "PG"))}
    return {**kept, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", **variables}


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, all that descend from it, and those among them that have ended."""
    seconds = 0.0
    for each in _tree(pid):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{each}/stat").read_text().rsplit(")", 1)[1].split()
            seconds += sum(map(int, fields[11:15])) / TICKS
    return seconds


def rss_bytes(pid: int, *, most: bool = False) -> int:
    """Resident memory of a process: now, or the most there ever was."""
    wanted = "VmHWM:" if most else "VmRSS:"
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(wanted):
                return int(line.split()[1]) * 1024
    return 0


def machine_seconds() -> tuple[float, float]:
    """CPU seconds all cores have worked since the machine started, and those they could have."""
    fields = [int(each) / TICKS for each in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    idle = fields[3] + fields[4]
    return sum(fields) - idle, sum(fields)


def _tree(pid: int) -> list[int]:
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rsplit(")", 1)[1].split()
            parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found = [pid]
    for each in found:
        found += parents.get(each, ())
    return found


def program(name: str, package: str) -> Path:
    """A program of the system; installed when we may, else Unable with what to install."""
    path = f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin{os.pathsep}/usr/local/sbin"
    found = shutil.which(name, path=path)
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"Installing {package}, which the comparison needs ...", file=sys.stderr)
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        # Debian starts a server when it is installed, unless this file says no.
        with _no_services():
            for words in (["update"], ["install", "-y", "--no-install-recommends", package]):
                subprocess.run(["apt-get", "-qq", *words], env=quiet, check=False, stdout=subprocess.DEVNULL)
        found = shutil.which(name, path=path)
    if found is None:
        raise Unable(f"{name} is needed for the comparison and is not here. Debian, Ubuntu: apt-get install {package}")
    return Path(found)


@contextlib.contextmanager
def _no_services() -> Iterator[None]:
    policy = Path("/usr/sbin/policy-rc.d")
    if policy.exists():
        yield
        return
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink()


def facts(programs: Sequence[tuple[str, Sequence[str | Path]]], folder: Path) -> dict[str, str]:
    """What a figure means nothing without: machine, disk, commit, versions."""
    versions = [f"{name} {metadata.version(name)}" for name in ("uvloop", "uvicorn", "httptools", "apsw", "psycopg")]
    return {
        "Machine": f"{os.cpu_count()} cores of {_cpu_model()}, {_memory_gib():.0f} GiB, {platform.system()} {platform.release()}",
        "Disk": f"{_filesystem(folder)}; one fsync of 4 KiB takes {_fsync_ms(folder):.2f} ms (median of 100)",
        "Commit": _commit(),
        "Versions": ", ".join(
            [
                f"Python {platform.python_version()}",
                *(f"{name} {_version(command)}" for name, command in programs),
                *versions,
            ]
        ),
    }


def _cpu_model() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _filesystem(folder: Path) -> str:
    kinds = {}
    for line in Path("/proc/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        kinds[where] = kind
    for place in (folder.resolve(), *folder.resolve().parents):
        if str(place) in kinds:
            kind = kinds[str(place)]
            return kind + (" (memory, not a disk: nothing here is durable)" if kind in ("tmpfs", "ramfs") else "")
    return "unknown"


def _fsync_ms(folder: Path) -> float:
    spent = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(100):
            file.write(b"\0" * 4096)
            file.flush()
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            spent.append(1000 * (time.perf_counter() - began))
    return statistics.median(spent)


def _commit() -> str:
    def git(*words: str) -> str:
        command = ["git", "-c", "safe.directory=*", *words]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()

    commit = git("rev-parse", "--short", "HEAD")
    if not commit:
        return "unknown (no git here)"
    changed = git("status", "--porcelain", "--untracked-files=all", "--", "src", "bench")
    return commit + (f", with {len(changed.splitlines())} changed files" if changed else "")


def _version(command: Sequence[str | Path]) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    said = (done.stdout or done.stderr).splitlines()[0]
    return next((word for word in said.replace("/", " ").split() if word[0].isdigit()), said)
