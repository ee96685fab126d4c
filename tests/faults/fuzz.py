"""Parsers against a fuzzer that looks at which lines it reaches: whatever they are fed, they answer or refuse, and never break.

    make fuzz [ARGS="--minutes 10 --only url"]

Each target runs in a process of its own for so many minutes. atheris is brought for this command alone (build/fuzz); where it has
no package for this Python, the command says so and ends with 2. What breaks a parser is printed and kept in build/fuzz/found.
"""

import argparse
import contextlib
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from dockbell.domain.addresses import AddressPolicy
from dockbell.domain.event_json import read_envelope, split_events
from dockbell.domain.headers import parse_header_lines, problems_with_headers
from dockbell.domain.retry_after import parse_retry_after
from dockbell.domain.target_url import masked, parse_target_url
from dockbell.errors import DockbellError
from dockbell.testing.clock import START
from tests.faults.processes import ROOT

FOUND = ROOT / "build" / "fuzz" / "found"
RESERVED = ("host", "content-length", "transfer-encoding", "connection", "authorization", "webhook-id", "cookie")


def url(data: Any) -> None:
    """What is accepted is what was entered, and its host is inside what was entered."""
    text = data.ConsumeUnicode(2_100)
    masked(text)
    accepted = parse_target_url(text, AddressPolicy(), frozenset({1}))
    assert accepted.text == text
    assert text.isascii() and text.isprintable() and "@" not in text.partition("//")[2].partition("/")[0]
    assert accepted.host in text.lower()


def headers(data: Any) -> None:
    """Of lines that are accepted none is reserved, has a line end in it, or is no token."""
    pairs = parse_header_lines(data.ConsumeUnicode(5_000))
    if problems_with_headers(pairs):
        return
    for name, value in pairs:
        assert name.lower() not in RESERVED
        assert name and name.isascii() and not set(name) & set(' \t\r\n:()<>@,;\\"/[]?={}')
        assert not set(value) & set("\r\n\x00")


def retry_after(data: Any) -> None:
    wait = parse_retry_after(data.ConsumeUnicode(200), now=START)
    assert wait >= 0, wait


def event(data: Any) -> None:
    """The data of an accepted event is in what was posted, byte for byte."""
    raw = data.ConsumeBytes(20_000)
    for one in split_events(raw)[0]:
        envelope, _ = read_envelope(one)
        assert bytes(envelope.data) in raw


TARGETS: dict[str, Callable[[Any], None]] = {"url": url, "headers": headers, "retry_after": retry_after, "event": event}


def fuzz(name: str, seconds: int) -> None:
    """Never returns: atheris ends the process."""
    import atheris

    target = TARGETS[name]

    def once(raw: bytes) -> None:
        with contextlib.suppress(DockbellError):  # refused in words
            target(atheris.FuzzedDataProvider(raw))

    FOUND.mkdir(parents=True, exist_ok=True)
    atheris.instrument_all()  # the libraries' parsers under ours too
    atheris.Setup(
        [sys.argv[0], f"-max_total_time={seconds}", f"-artifact_prefix={FOUND}/{name}-", "-max_len=20000"], once
    )
    atheris.Fuzz()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.fuzz", description="Parsers against a fuzzer.")
    parser.add_argument("--minutes", type=float, default=10.0, help="for each parser")
    parser.add_argument("--only", default=",".join(TARGETS))
    parser.add_argument("--this", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    seconds = int(60 * asked.minutes)
    if asked.this:
        fuzz(asked.this, seconds)
    try:
        import atheris  # noqa: F401
    except ImportError as error:
        print(f"Not run: needs atheris ({error}). `make fuzz` brings it where there is a package for this Python.")
        return 2
    broken = [name for name in asked.only.split(",") if not _run(name, seconds)]
    return int(bool(broken))


def _run(name: str, seconds: int) -> bool:
    began = time.monotonic()
    words = [sys.executable, "-m", "tests.faults.fuzz", "--this", name, "--minutes", str(seconds / 60)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    lines = done.stderr.splitlines()
    told = next((line for line in reversed(lines) if line.startswith("Done ")), "")
    held = done.returncode == 0
    print(
        f"{name}: {'held' if held else 'BROKEN'}; {told or 'ended early'}; {time.monotonic() - began:.0f} s", flush=True
    )
    if not held:
        print("\n".join(lines[-40:]))
    return held


if __name__ == "__main__":
    sys.exit(main())
