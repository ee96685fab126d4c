"""The real program as a child process: its environment, its output, its end by its own process id."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import pytest

from dockbell.testing.client import Client
from tests.support.node import TEA, a_webhook

PATIENCE_S = 60.0
"""Not how long anything takes: a start that takes one second takes twenty where eight other programs want the core."""
PROGRAM = (sys.executable, "-m", "dockbell")
SOURCE = Path(__file__).parents[2] / "src"
_never = threading.Event()
T = TypeVar("T")


def until(look: Callable[[], T], what: str, timeout_s: float = PATIENCE_S) -> T:
    """The first true answer of `look`; the test fails with `what` when none comes in time."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if found := look():
            return found
        _never.wait(0.02)
    pytest.fail(f"not within {timeout_s:.0f} s: {what}")


def environment(**variables: str) -> dict[str, str]:
    """Ours without what would configure a Dockbell; `server__port` becomes DOCKBELL_SERVER__PORT."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DOCKBELL_", "PG"))}
    given = {f"DOCKBELL_{name.upper()}": value for name, value in variables.items()}
    return {**kept, "PYTHONPATH": str(SOURCE), "COLUMNS": "200", **given}


def run(folder: Path, *words: str, stdin: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """A command from start to end, with what it printed."""
    return subprocess.run(
        [*PROGRAM, *words],
        cwd=folder,
        env=environment(**variables),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


class Program:
    """A `dockbell` that stays up; a context manager that kills its process, by its id, if the test left it running."""

    def __init__(self, folder: Path, *words: str, program: Sequence[str] = PROGRAM, **variables: str) -> None:
        self._output = folder / f"output-{time.monotonic_ns()}"
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [*program, *words],
                cwd=folder,
                env=environment(**variables),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    @property
    def output(self) -> str:
        return self._output.read_text(errors="replace")

    @property
    def keys(self) -> list[str]:
        return [word for word in self.output.split() if word.startswith("whk_")]

    def stop(self, timeout_s: float = PATIENCE_S) -> int:
        """SIGTERM; the exit code."""
        self.process.terminate()
        return self.process.wait(timeout_s)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.kill()


class Node(Program):
    """`dockbell serve`, listening when the constructor returns."""

    def __init__(self, folder: Path, database: str, *, program: Sequence[str] = PROGRAM, **variables: str) -> None:
        self.port = free_port()
        self._clients: list[Client] = []
        super().__init__(
            folder,
            "serve",
            program=program,
            **{
                "database": database,
                "key_file": str(folder / "dockbell.key"),
                "server__port": str(self.port),
                "egress__allow_loopback_for_tests": "true",
                "disk__ballast_mib": "0",
                **variables,
            },
        )
        try:
            until(self._listens, "the node listens")
        except BaseException:
            self.kill()
            raise

    def client(self, key: str) -> Client:
        """Closed with the node, also when the test fails: a socket left open is blamed on the test that runs next."""
        self._clients.append(Client(f"http://127.0.0.1:{self.port}", key))
        return self._clients[-1]

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for client in self._clients:
            client.close()
        super().__exit__(kind, error, at)

    def _listens(self) -> bool:
        assert self.process.poll() is None, self.output
        return answers(self.port)


def answers(port: int) -> bool:
    with socket.socket() as trying:
        return trying.connect_ex(("127.0.0.1", port)) == 0


def make_webhook(client: Client, url: str, **fields: Any) -> Any:
    """A webhook for the goods owner that events of `an_event` belong to."""
    client.put(f"/api/v1/goodsOwners/{TEA}", {"name": "Nordic Tea AB"})
    return client.post("/api/v1/webhooks", a_webhook(targetUrl=url, **fields))


def the_delivery(client: Client) -> Any:
    """The only delivery there is, with its attempts; None before it is there."""
    items = client.get("/api/v1/deliveries")["items"]
    if not items:
        return None
    [row] = items
    return client.get(f"/api/v1/deliveries/{row['id']}")


def delivered(client: Client, timeout_s: float = PATIENCE_S) -> Any:
    """The only delivery, once it is delivered."""

    def look() -> Any:
        delivery = the_delivery(client)
        return delivery if delivery and delivery["status"] == "delivered" else None

    return until(look, "the delivery is delivered", timeout_s)
