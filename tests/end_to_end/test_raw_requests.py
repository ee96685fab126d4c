"""Bytes that are no honest request, sent to the program's own port."""

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.bad_inputs import cases
from tests.support.program import Node, until

QUIET_S = 1.0
HONEST = b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def test_bytes_that_are_no_request_are_refused_and_the_next_client_is_served(tmp_path: Path) -> None:
    with Node(tmp_path, str(tmp_path / "data.sqlite")) as node:
        wrong = []
        for case in cases("raw_request"):
            raw = case.input if isinstance(case.input, bytes) else case.input.encode("latin-1")
            statuses = answers_to(node.port, raw)
            if len(statuses) > 1 or not all(400 <= status <= 499 for status in statuses):
                wrong.append((case.id, statuses, case.why))
            assert answers_to(node.port, HONEST) == [200]
        assert not wrong


def answers_to(port: int, raw: bytes) -> list[int]:
    """The statuses of all answers that come before it is quiet or the connection ends."""
    with closing(socket.create_connection(("127.0.0.1", port), 5)) as connection:
        connection.settimeout(QUIET_S)
        told = b""
        try:
            connection.sendall(raw)
            while received := connection.recv(65_536):
                told += received
        except (TimeoutError, ConnectionError):
            pass
    lines = told.split(b"\r\n")
    return [int(line.split(b" ")[1]) for line in lines if line.startswith(b"HTTP/1.")]


@pytest.mark.parametrize(
    "raw",
    [
        b"GET /api/v1/health\r\n\r\n",
        b"GET /api/v1/health HTTP/0.9\r\n\r\n",
        b"GET /api/v1/health HTTP/2.0\r\nHost: x\r\n\r\n",
        b"GET /api/v1/health HTTP/1.1\r\n\r\n",
        b"GET /api/v1/health HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n",
        b"POST /api/v1/events HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
def test_versions_without_what_a_head_needs_are_refused(node: Node, raw: bytes) -> None:
    assert answers_to(node.port, raw) == [400]


def test_an_old_client_is_served(node: Node) -> None:
    assert answers_to(node.port, b"GET /api/v1/health HTTP/1.0\r\n\r\n") == [200]


def test_what_clients_do_wrong_leaves_nothing_in_the_log(tmp_path: Path) -> None:
    """Not what cannot be read, and not many requests whose answers nobody reads."""
    with Node(tmp_path, str(tmp_path / "data.sqlite"), server__body_timeout_s="1") as node:
        until(lambda: "server.started" in node.output, "it says that it has started")
        before = len(node.output)
        for _ in range(3):
            assert answers_to(node.port, b"NONSENSE\r\n\r\n") == [400]
        with closing(socket.socket()) as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
            deaf.connect(("127.0.0.1", node.port))
            deaf.sendall(b"GET /api/v1/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 40)
            until(lambda: _is_reset(deaf), "the server gives up", 30)
        assert answers_to(node.port, HONEST) == [200]
        assert node.output[before:] == ""


def _is_reset(connection: socket.socket) -> bool:
    """Whether the other side has broken the connection off; nothing is read."""
    return connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0 or not _still_there(connection)


def _still_there(connection: socket.socket) -> bool:
    try:
        connection.send(b" ")
    except BlockingIOError:
        return True
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    folder = tmp_path_factory.mktemp("node")
    with Node(folder, str(folder / "data.sqlite")) as running:
        yield running
