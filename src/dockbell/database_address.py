"""Which database an address means: a SQLite file, or PostgreSQL. A mistyped address is refused and makes no file."""

import re
from pathlib import Path

from dockbell.errors import ConfigError

POSTGRES = re.compile(r"postgres(ql)?://|[a-z_]+ *=")
"""An address, or libpq's own `host=... dbname=...`."""
MISTYPED = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(:|//)")
"""A scheme, or what was meant as one: a path that begins so can be written with ./ before it."""
PASSWORD = re.compile(r"(?<=password=)('[^']*'|[^\s&]+)|(?<=:)[^/]+(?=@)")


def file_in(address: str) -> Path | None:
    """SQLite's file; None if the address is PostgreSQL's."""
    if POSTGRES.match(address):
        return None
    path = address.removeprefix("sqlite:///")
    if path == address and (found := MISTYPED.match(address)):
        raise ConfigError(
            f"The database address begins with {found[0]}, which is no known kind of database.",
            hint="Write postgresql://user@host/name, sqlite:///path/to/file, or the file's path alone.",
        )
    return Path(path)


def shown(address: str) -> str:
    """The address without its password."""
    return PASSWORD.sub("***", address)
