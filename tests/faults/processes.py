"""The processes of a fault run: Dockbells that are killed, stopped and held up, receivers that live on."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
STARTS_WITHIN_S = 60.0
_never = threading.Event()


class Unable(Exception):
    """The run could not be made; the message says why."""


def pause(seconds: float) -> None:
    """Let time pass where there is no event to wait for: a process outside is due to be killed, or to answer."""
    _never.wait(seconds)


def _environment(**variables: str) -> dict[str, str]:
    """Ours without what would configure a Dockbell, and with this repository's code first."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DOCKBELL_", "PG"))}
    return {**kept, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", **variables}


DOCKBELL = (sys.executable, "-m", "dockbell")
ALTERED = (sys.executable, "-m", "tests.faults.altered")
"""The same program with a mistake in it, or with an end at a chosen point: tests/faults/altered.py."""


class Server:
    """`dockbell serve` on one database and one port: started, killed, started again.

    `program` is what runs instead of the usual one, `around` what it runs in: `strace`, another clock.
    """

    def __init__(
        self,
        database: str,
        folder: Path,
        *,
        program: Sequence[str] = DOCKBELL,
        around: Sequence[str] = (),
        more: dict[str, str] | None = None,
        **variables: str,
    ) -> None:
        self.folder = folder
        self.log = folder / "dockbell.log"
        self.program = program
        self.around = around
        self.port = free_port()
        usual = {
            "DOCKBELL_DATABASE": database,
            "DOCKBELL_KEY_FILE": str(folder / "dockbell.key"),
            "DOCKBELL_SERVER__PORT": str(self.port),
            "DOCKBELL_EGRESS__ALLOW_LOOPBACK_FOR_TESTS": "true",
            "DOCKBELL_EGRESS__PER_ADDRESS": "1000",  # all receivers are at one
        }
        self.environment = _environment(**{**usual, **variables, **(more or {})})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> float:
        """Returns when it listens; the seconds that took."""
        began = time.monotonic()
        self.launch()
        self.wait_until_it_listens()
        return time.monotonic() - began

    def launch(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self.around, *self.program, "serve"],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def wait_until_it_listens(self) -> None:
        assert self._process is not None
        until = time.monotonic() + STARTS_WITHIN_S
        while time.monotonic() < until:
            if self._process.poll() is not None:
                raise Unable(f"Dockbell ended with code {self._process.returncode}:\n{self._end_of_log()}")
            with socket.socket() as trying:
                if trying.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            pause(0.01)
        raise Unable(f"Dockbell did not listen within {STARTS_WITHIN_S:.0f} s:\n{self._end_of_log()}")

    @property
    def pid(self) -> int:
        """Of Dockbell itself, also when it runs in something else that did not become it."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        below = children.read_text().split() if self.around else []
        return int(below[0]) if below else self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL to this very process."""
        assert self._process is not None
        self.signal(signal.SIGKILL)
        self._process.wait()

    def signal(self, which: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, which)

    def wait(self, timeout_s: float) -> int | None:
        """The exit code, negative for a signal; None if it did not end in time."""
        assert self._process is not None
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def stop(self) -> int | None:
        """SIGTERM; the exit code, None if it had to be killed."""
        if not self.is_running:
            return None
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        code = self.wait(30)
        if code is None:
            self.kill()
        return code

    def first_key(self) -> str:
        for word in self.log.read_text().split():
            if word.startswith("whk_"):
                return word
        raise Unable(f"Dockbell printed no administrator key:\n{self._end_of_log()}")

    def _end_of_log(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])


@contextlib.contextmanager
def receivers(
    file: Path, seed: int, signing: Sequence[str], *, fails: float = 0.15, late_s: float = 0.04
) -> Iterator[list[int]]:
    """One for each secret; their ports. See tests/faults/receiver.py."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.receiver", str(file), str(seed), str(fails), str(late_s), *signing],
        cwd=ROOT,
        env=_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
