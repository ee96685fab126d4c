"""Bytes that are no honest request, sent to the program's own port."""

import socket
from contextlib import closing
from pathlib import Path

from tests.support.bad_inputs import cases
from tests.support.program import Node

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
