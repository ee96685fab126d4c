"""The log never takes along who writes to it."""

import io

import pytest
import structlog

from dockbell import log


class Full(io.StringIO):
    def write(self, _: str) -> int:
        raise OSError(28, "No space left on device")


def closed() -> io.StringIO:
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.parametrize("stream", [Full(), closed()], ids=["full", "closed"])
def test_a_line_that_cannot_be_written_is_lost_and_nothing_else(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO):
    before = structlog.get_config()
    log.set_up(to_terminal=False)
    try:
        monkeypatch.setattr("sys.stderr", stream)
        structlog.get_logger().error("server.broken")
    finally:
        structlog.configure(**before)
