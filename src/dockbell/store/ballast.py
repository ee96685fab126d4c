"""A full disk: SQLite cannot even delete on one. A file of ballast beside the database is given up so that work can end.

Two floors. Below the first no event is accepted, so that attempts and retention have what is left. Below the second the
ballast goes; it comes back when there is room for it above the first. PostgreSQL's disk is its own server's.
"""

import os
from pathlib import Path

import structlog

from dockbell.errors import StorageFull

log = structlog.get_logger()
NAME = "-ballast"


class Ballast:
    """Beside one SQLite file. `look` is called every second; `need_room` before anything is accepted."""

    def __init__(self, database_file: Path, *, size: int, floor: int, release: int) -> None:
        self.file = Path(f"{database_file}{NAME}")
        self._folder = database_file.parent
        self._size = size
        self._floor = floor
        self._release = min(release, floor)
        self.full = False

    def look(self) -> None:
        """See how much is free, and act on it."""
        free = self._free()
        if free < self._release and self.size():
            self.file.unlink(missing_ok=True)
            log.error("disk.ballast_released", free_mib=free >> 20, hint="Free space: this was the last reserve.")
        elif self.size() < self._size and free > self._floor + self._size:
            self._make()
        # What the ballast gave back is for what was accepted before: nothing is accepted until the disk has room for both.
        full = free < self._floor + (self._size - self.size() if self.full else 0)
        if full != self.full:
            self.full = full
            say = log.error if full else log.info
            say("disk.full" if full else "disk.free_again", free_mib=free >> 20, floor_mib=self._floor >> 20)

    def need_room(self) -> None:
        if self.full:
            raise StorageFull(
                "The disk that holds the database is nearly full; nothing was accepted.",
                hint="Free space or enlarge the disk; Dockbell goes on by itself.",
            )

    def size(self) -> int:
        """What there is of it, in bytes."""
        return size_of(self.file)

    def _free(self) -> int:
        room = os.statvfs(self._folder)
        return room.f_bavail * room.f_frsize

    def _make(self) -> None:
        """All of it or nothing; real blocks, not a hole."""
        try:
            with self.file.open("wb") as file:
                self.file.chmod(0o600)
                os.posix_fallocate(file.fileno(), 0, self._size)
        except OSError as error:
            self.file.unlink(missing_ok=True)
            log.warning("disk.ballast_not_made", error=str(error))


def size_of(file: Path) -> int:
    try:
        return file.stat().st_blocks * 512
    except FileNotFoundError:
        return 0
