"""What keeps a node's store sound beside the events: room on the disk, retention. Events come and go without it."""

import asyncio
from collections.abc import Sequence

import structlog

from dockbell.actions.clock_jump import follow
from dockbell.actions.retention import Retention
from dockbell.clock import DAY, HOUR, SystemClock
from dockbell.domain.findings import MIB, Installation
from dockbell.errors import ConfigError
from dockbell.settings import Settings
from dockbell.store.ballast import Ballast
from dockbell.store.database import Database

log = structlog.get_logger()
WATCH_S = 1.0
WATCH_CLOCK_S = 5.0


class Upkeep:
    def __init__(self, settings: Settings, database: Database, clock: SystemClock) -> None:
        self._database = database
        keep, disk, file = settings.retention, settings.disk, settings.database_file()
        self._clock = clock
        self._retention = Retention(database, clock, days=keep.days, payload_days=keep.payload_days)
        self._ballast: Ballast | None = None
        if file is not None:
            self._ballast = Ballast(
                file, size=disk.ballast_mib * MIB, floor=disk.floor_mib * MIB, release=disk.release_mib * MIB
            )

    def has_room(self) -> bool:
        """Whether the disk has room for more events."""
        return self._ballast is None or not self._ballast.full

    def need_room(self) -> None:
        """Raises StorageFull when it has not."""
        if self._ballast is not None:
            self._ballast.need_room()

    async def run(self, *, alone: bool) -> None:
        """`alone`: no other program serves the database."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._retention.run())
            tasks.create_task(self._watch_disk())
            tasks.create_task(self._watch_clock(alone=alone))

    async def _watch_clock(self, *, alone: bool) -> None:
        """Every few seconds: was the clock set?"""
        while True:
            await self._clock.sleep(WATCH_S if alone else WATCH_CLOCK_S)
            try:
                jump = await follow(self._database, self._clock, alone=alone)
            except Exception as error:  # noqa: BLE001 - a database that is away will be back
                log.warning("clock.not_read", error=str(error))
                continue
            if jump > HOUR:  # a clock that runs ahead by mistake must not delete anything before somebody can see it
                self._retention.wait(DAY)

    async def _watch_disk(self) -> None:
        """Every second: is there room on the disk? While nobody can say, what was last seen stands, and one line tells why."""
        told = ""
        while self._ballast is not None:
            try:
                await asyncio.to_thread(self._ballast.look)
                told = ""
            except Exception as error:  # noqa: BLE001 - a disk that is away will be back
                if str(error) != told:
                    told = str(error)
                    log.warning("disk.not_read", error=told, hint="Is the database's folder there?")
            await self._clock.sleep(WATCH_S)


def installation_of(settings: Settings, refused: Sequence[ConfigError] = ()) -> Installation:
    """What `dockbell doctor` and the system page judge of these settings; a running node was `refused` nothing."""
    file = settings.database_file()
    return Installation(
        host=settings.server.host,
        behind_proxy=settings.server.behind_proxy,
        base_url=settings.server.base_url,
        allow=() if any("egress.allow[" in each.message for each in refused) else settings.egress.allow,
        loopback=settings.egress.allow_loopback_for_tests,
        warehouse=settings.warehouse.enabled,
        retention_days=settings.retention.days,
        floor_bytes=settings.disk.floor_mib * MIB,
        ballast_bytes=0 if file is None else settings.disk.ballast_mib * MIB,
        key_file=None if settings.secret_keys is not None else str(settings.key_path()),
        given_keys=settings.given_keys(),
        database_file=None if file is None else str(file),
        has_mail_server=settings.smtp.host is not None,
        refused=[f"{each.message} {each.hint}".strip() for each in refused],
    )
