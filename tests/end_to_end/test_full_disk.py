"""A small disk fills up under a real node: it refuses events, ends what it has, and goes on when there is room."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockbell.testing.client import ApiError, Client
from dockbell.testing.receiver import Receiver, Visit
from tests.support.node import an_event
from tests.support.program import PATIENCE_S, Node, make_webhook, until

MIB = 1024 * 1024
DISK = {"disk__floor_mib": "24", "disk__release_mib": "8", "disk__ballast_mib": "16"}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small disk needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def leave_free(folder: Path, mib: int) -> None:
    """Fill the disk with a file until this much is free."""
    filler = folder / "filler"
    had = filler.stat().st_size if filler.exists() else 0
    size = shutil.disk_usage(folder).free + had - mib * MIB
    with filler.open("r+b" if had else "wb") as file:
        file.truncate(size)
        file.seek(had)
        for _ in range((size - had) // MIB):
            file.write(b"x" * MIB)


def code_of(client: Client) -> str:
    try:
        client.post("/api/v1/events", an_event())
    except ApiError as error:
        return f"{error.status} {error.document['code']}"
    return "202"


def test_r10_a_full_disk_refuses_events_ends_work_and_heals(tmp_path: Path, small_disk: Path) -> None:
    working: list[bool] = []

    def behave(visit: Visit) -> None:
        if visit.request() is not None:
            visit.answer(200 if working else 500)

    with Receiver(behave) as receiver, Node(tmp_path, str(small_disk / "data.sqlite"), **DISK) as node:
        client = node.client(node.keys[0])
        ballast = small_disk / "data.sqlite-ballast"
        until(ballast.exists, "the ballast is made")
        make_webhook(client, receiver.url, retryPolicy={"name": "own", "stepsInSeconds": [2] * 20})
        assert code_of(client) == "202"
        leave_free(small_disk, 20)
        # The health is asked, and no event is tried: ten that fail would make the breaker hold back what is looked for below.
        until(lambda: client.get("/api/v1/health") == {"status": "storage_full"}, "the node sees that the disk is full")
        assert code_of(client) == "507 storage_full"
        assert ballast.exists()
        leave_free(small_disk, 4)
        until(lambda: not ballast.exists(), "the ballast is given up")
        assert code_of(client) == "507 storage_full"
        # What was accepted before is still attempted, and its outcome is on disk.
        working.append(True)
        until(
            lambda: not client.get("/api/v1/deliveries?status=pending")["items"],
            "the deliveries that waited end",
            PATIENCE_S,  # a slow machine may fail it ten times before: the breaker then waits for half a minute
        )
        assert {row["status"] for row in client.get("/api/v1/deliveries")["items"]} <= {"delivered", "sending"}
        (small_disk / "filler").unlink()
        until(lambda: code_of(client) == "202", "events are accepted again", 10)
        until(ballast.exists, "the ballast is back")
        assert client.get("/api/v1/health") == {"status": "ok"}
