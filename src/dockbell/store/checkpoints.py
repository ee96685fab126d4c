"""SQLite's log: copied back into the file beside the writer, made to start over when it is long, emptied on request.

To copy what no reader still needs from the log takes nothing from anybody. To make the log start over, SQLite holds the
lock of all writers while it waits for the last reader: a backup reads for minutes. So that is tried for a moment only, and
while somebody reads on, the log grows instead.
"""

import threading
import time
from collections.abc import Callable
from contextlib import closing

import apsw
import structlog

log = structlog.get_logger()

CHECKPOINT_PAGES = 8_000
COPIED_WITHIN_S = 60.0
RESTART_PAGES = 32_000
RESTART_TIMEOUT_MS = 50
RESTART_PAUSE_S = 3.0
"""After a restart that a reader did not allow: writers are held for a sixtieth of the time at most."""
EMPTY_TIMEOUT_MS = 500
EMPTY_TRIES = 5
EMPTY_PAUSE_S = 0.5


class Checkpoints:
    def __init__(self, connect: Callable[[], apsw.Connection], why_not: Callable[[], object]) -> None:
        """`why_not` tells why the file must be left alone by who is not asked, if it must."""
        self._connect = connect
        self._why_not = why_not
        self._due = threading.Event()
        self._one_at_a_time = threading.Lock()
        self._closing = threading.Event()
        self._pages = self._commits = self._copied = 0
        self._restart_from = 0.0
        self._is_long = False
        self._is_told = False
        self._thread = threading.Thread(target=self._loop, name="sqlite-checkpoint", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def note(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        """SQLite's hook: a commit made the log this long."""
        self._pages = pages
        self._commits += 1
        if pages >= CHECKPOINT_PAGES:
            self._due.set()
        return apsw.SQLITE_OK

    def between_commits(self) -> None:
        """Called by the writer: where several write all the time, nobody else finds a moment for a long log to start over."""
        if self._is_long and time.monotonic() >= self._restart_from and self._one_at_a_time.acquire(blocking=False):
            try:
                self._start_over()
            except apsw.Error as error:
                log.warning("store.checkpoint_failed", error=str(error))
            finally:
                self._one_at_a_time.release()

    def ask(self) -> None:
        self._due.set()

    def empty_log(self) -> bool:
        with closing(self._connect()) as connection:
            connection.set_busy_timeout(EMPTY_TIMEOUT_MS)  # meanwhile nobody can write
            for _ in range(EMPTY_TRIES):
                try:
                    with self._one_at_a_time:
                        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
                    return True
                except apsw.BusyError:  # somebody reads, or another process does the same
                    self._closing.wait(EMPTY_PAUSE_S)
        return False

    def close(self) -> None:
        self._closing.set()
        self._due.set()
        self._thread.join()

    def _loop(self) -> None:
        """For a log that is lost to hold little, what is in it is copied after a while however short it is."""
        self._connection = self._connect()
        self._connection.set_busy_timeout(RESTART_TIMEOUT_MS)
        while not self._closing.is_set():
            is_asked = self._due.wait(COPIED_WITHIN_S)
            if not is_asked and (self._commits == self._copied or self._why_not()):
                continue
            self._due.clear()
            try:
                with self._one_at_a_time:
                    self._copy_back()
                self._is_long = self._pages > RESTART_PAGES
            except apsw.Error as error:
                log.warning("store.checkpoint_failed", error=str(error))
        self._connection.close()

    def _copy_back(self) -> None:
        commits = self._commits
        in_log, copied = self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        if copied == in_log:  # or else a reader needs the file as it is
            self._copied = commits
            self._is_told = False

    def _start_over(self) -> None:
        """After a copy, because this one copies what is left while nobody can write."""
        self._is_long = False
        try:
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
            self._pages = 0
        except apsw.BusyError:
            self._restart_from = time.monotonic() + RESTART_PAUSE_S
            if not self._is_told:
                self._is_told = True  # once, not every few seconds
                log.info("store.log_kept", pages=self._pages, hint="Is another program reading the database for long?")
