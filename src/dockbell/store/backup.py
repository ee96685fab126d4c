"""A consistent copy of a SQLite database while programs write to it, by SQLite's own backup."""

import errno
import os
import tempfile
from contextlib import closing, suppress
from pathlib import Path

import apsw

from dockbell.errors import ConfigError, StorageFull
from dockbell.store.sqlite_file import advice
from dockbell.store.whole_file import give_name

BUSY_TIMEOUT_MS = 10_000


def back_up(database_file: Path, to: Path) -> int:
    """Copy everything committed by now into a new file; its size. The copy appears whole or not at all."""
    half: Path | None = None
    try:
        _need_nothing_at(to)
        with closing(_opened(database_file)) as source:
            # A name of its own: two backups to one name must not write into one file.
            opened, name = tempfile.mkstemp(prefix=f"{to.name}.", suffix=".part", dir=to.parent)
            os.close(opened)
            half = Path(name)
            _copy(source, half, database_file)
        with half.open("rb") as file:
            os.fsync(file.fileno())
        size = half.stat().st_size
        give_name(half, to)
    except apsw.FullError as error:
        raise StorageFull(f"There is no room for the backup {to}.") from error
    except apsw.Error as error:
        raise ConfigError(f"{database_file} cannot be copied to {to}: {_reason(error)}.", hint=advice(error)) from error
    except FileExistsError as error:
        raise ConfigError(f"{to} is there already; a backup overwrites nothing.", hint="Name a new file.") from error
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise StorageFull(f"There is no room for the backup {to}.") from error
        raise ConfigError(
            f"The backup {to} cannot be made: {error.strerror}.",
            hint="Name a new file in a folder that is there and that you may write to.",
        ) from error
    finally:
        if half is not None:
            _remove(half)
    return size


def _need_nothing_at(to: Path) -> None:
    if os.path.lexists(to):
        raise FileExistsError(to)


def _opened(database_file: Path) -> apsw.Connection:
    source = apsw.Connection(str(database_file), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        source.set_busy_timeout(BUSY_TIMEOUT_MS)
        source.pragma("schema_version")  # what is no database, or another program's alone, is refused before the copy
    except BaseException:
        source.close()
        raise
    return source


def _copy(source: apsw.Connection, half: Path, database_file: Path) -> None:
    with closing(apsw.Connection(str(half))) as target:
        # In one step: a reader in SQLite's WAL holds up writers for moments alone (those that `checkpoints` has for a long
        # log), and a copy in parts would begin anew at each write.
        with target.backup("main", source, "main") as copying:
            copying.step(-1)
        target.execute("PRAGMA journal_mode = DELETE")  # one file is all of it
        [[verdict]] = target.execute("PRAGMA quick_check(1)").fetchall()
    if verdict != "ok":
        raise ConfigError(f"The copy is not sound: {verdict}. Is {database_file} damaged?")


def _reason(error: apsw.Error) -> str:
    """A copy that fails in its step says `not an error`: SQLite keeps the text with the connection that had it."""
    match error:
        case apsw.BusyError():
            return "it is locked"
        case apsw.NotADBError():
            return "it is no database"
        case apsw.CorruptError():
            return "it is damaged"
        case _:
            return str(error)


def _remove(half: Path) -> None:
    for ending in ("", "-journal", "-wal", "-shm"):
        with suppress(OSError):  # no file, or a disk that takes nothing any more: that is told already
            half.with_name(half.name + ending).unlink()
