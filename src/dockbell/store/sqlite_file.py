"""SQLite's file itself: made for its owner alone, told from any other, and what is wrong with it in words."""

import contextlib
import os
from pathlib import Path

import apsw

from dockbell.errors import StorageFull, Unavailable

FILE_GONE = "Put the file back, or stop Dockbell, restore a backup and start it again."
LOG_GONE = (
    "Stop Dockbell, but not by force: as it ends it writes what that file held into the database. Then start it again."
)


def identity(path: str) -> tuple[int, int] | None:
    """Which file stands there; None: no file."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def log_of(path: str) -> str:
    return f"{path}-wal"


def why_not_ours(path: str, file: tuple[int, int] | None, log: tuple[int, int] | None) -> Unavailable | None:
    """Why the file there is not the one that was opened, or the log beside it not its log; `log` None: not known yet."""
    if identity(path) != file:
        return Unavailable("The database file was deleted or replaced; nothing is accepted.", hint=FILE_GONE)
    if log is not None and identity(log_of(path)) != log:
        return Unavailable("The database's -wal file was deleted or replaced; nothing is accepted.", hint=LOG_GONE)
    return None


def make_ours_alone(path: str) -> None:
    """Make the file if there is none, readable by nobody else; SQLite gives its other files the same mode.

    One that is there must not be opened, not even for a moment: closing any descriptor of it gives back every lock that
    this process has on it, and another program would take itself for the last one and remove the log under us.
    """
    with contextlib.suppress(FileExistsError):
        os.close(ours_alone(path, os.O_RDWR | os.O_CREAT | os.O_EXCL))


def ours_alone(path: str, flags: int) -> int:
    """Open a file; if it is made now, no other user of the machine may read it. An older one keeps its mode."""
    return os.open(path, flags, 0o600)


def advice(error: BaseException) -> str:
    match error:
        case apsw.BusyError():
            return "Another program holds the file: end it, and keep the file on a disk of this machine."
        case apsw.CorruptError() | apsw.NotADBError():
            return "The file is damaged, or no database: restore a backup, or name another file in DOCKBELL_DATABASE."
        case apsw.ReadOnlyError() | apsw.CantOpenError() | OSError():
            return "File and folder must belong to the user that Dockbell runs as: look with ls -l, mend it with chown."
        case _:
            return "Look at the disk and its file system; `dockbell doctor` says more."


def in_our_words(error: BaseException) -> BaseException:
    match error:
        case apsw.FullError():
            return StorageFull(
                "The disk that holds the database is full; nothing was stored.",
                hint="Free space, or move the database; Dockbell goes on by itself.",
            )
        case (
            apsw.BusyError()
            | apsw.IOError()
            | apsw.CantOpenError()
            | apsw.ReadOnlyError()
            | apsw.CorruptError()
            | apsw.NoMemError()
        ):
            return Unavailable(f"The database cannot be written right now: {error}", hint=advice(error))
        case _:
            return error
