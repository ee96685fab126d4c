"""What every test can rely on: it talks to this machine only, warnings are errors, and runs can be repeated.

PostgreSQL comes from `tests.support.postgres`, `database` (both of them, in turn) from `tests.support.databases`.
"""

import ipaddress
import os
import sys
from collections.abc import Iterator

import hypothesis
import pytest
import structlog

pytest_plugins = [
    "tests.support.postgres",
    "tests.support.migrated",
    "tests.support.databases",
    "tests.support.running",
]

# Two busy cores make no promise about how long an example takes; CI tries the same examples each time, so that a change
# is not stopped by something that stood there before.
hypothesis.settings.register_profile("here", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "here")

# A traceback as Python writes it: the default draws it with all that stood in each frame, which may take a minute.
structlog.configure(
    processors=[
        *structlog.get_config()["processors"][:-1],
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)


class OutsideContact(BaseException):
    """Not an `Exception`: code under test that catches those must not turn it into an ordinary outcome."""


_outside: list[str] = []


def _is_here(host: object) -> bool:
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    if not name:
        return True
    if not isinstance(name, str):
        return False
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    return mapped.is_loopback or mapped.is_unspecified


def _is_address(host: object) -> bool:
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True


def _refuse(what: str) -> None:
    _outside.append(what)
    raise OutsideContact(what)


def _watch(event: str, args: tuple[object, ...]) -> None:
    if event in {"socket.connect", "socket.sendto", "socket.sendmsg"}:
        to = args[1]
        if isinstance(to, tuple) and to and not _is_here(to[0]):
            _refuse(f"{event} to {to[0]!r}")
    elif event in {"socket.getaddrinfo", "socket.gethostbyname"}:
        host = args[0]
        if not _is_here(host) and not _is_address(host):
            _refuse(f"looking up {host!r}")


# An audit hook sees each socket of Python's whoever made it. It does not see those of uvloop: there the guard
# of `dockbell.egress` judges, and its tests are in tests/contract.
sys.addaudithook(_watch)


@pytest.fixture(autouse=True)
def _only_this_machine() -> Iterator[None]:
    _outside.clear()
    yield
    if _outside:
        pytest.fail(
            "this test reached for another machine: " + "; ".join(_outside) + ". "
            "Tests connect to loopback addresses only; give the code under test a resolver or a receiver of your own.",
        )


@pytest.hookimpl
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests recorded under "print", also those that ran in another process."""
    for report in terminalreporter.stats.get("passed", []):
        for name, value in getattr(report, "user_properties", []):
            if name == "print":
                terminalreporter.write_line(str(value))
