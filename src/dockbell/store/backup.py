"""A consistent copy of a SQLite database while programs write to it, by SQLite's own backup."""

import os
from pathlib import Path

import apsw

from dockbell.errors import ConfigError, StorageFull


def back_up(database_file: Path, to: Path) -> int:
    """Copy everything committed by now into a new file; its size. The copy appears whole or not at all."""
    if to.exists():
        raise ConfigError(f"{to} is there already; a backup overwrites nothing.", hint="Name a new file.")
    half = to.with_name(to.name + ".part")
    half.unlink(missing_ok=True)
    os.close(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    source, target = apsw.Connection(str(database_file), flags=apsw.SQLITE_OPEN_READWRITE), apsw.Connection(str(half))
    try:
        # In one step: a reader in SQLite's WAL holds up no writer, and a copy in parts would begin anew at each write.
        with target.backup("main", source, "main") as copying:
            copying.step(-1)
        target.execute("PRAGMA journal_mode = DELETE")  # one file is all of it
        [[verdict]] = target.execute("PRAGMA quick_check(1)").fetchall()
        if verdict != "ok":
            raise ConfigError(f"The copy is not sound: {verdict}. Is {database_file} damaged?")
    except apsw.FullError as error:
        half.unlink(missing_ok=True)
        raise StorageFull(f"There is no room for the backup {to}.") from error
    except BaseException:
        half.unlink(missing_ok=True)
        raise
    finally:
        target.close()
        source.close()
    with half.open("rb") as file:
        os.fsync(file.fileno())
    half.rename(to)
    return to.stat().st_size
