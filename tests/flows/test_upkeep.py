"""What keeps a node's store sound goes on whatever its disk does, and does not end unseen."""

import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from dockbell.app import App
from dockbell.clock import SystemClock
from dockbell.embed import Store
from dockbell.errors import Unavailable
from dockbell.settings import DiskSettings, ServerSettings, Settings
from dockbell.store.ballast import size_of
from dockbell.store.database import Database
from dockbell.upkeep import Upkeep
from tests.support.program import free_port

MIB = 1 << 20


class Quick(SystemClock):
    """Every pause is a moment."""

    async def sleep(self, seconds: float) -> None:
        await super().sleep(min(seconds, 0.01))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_r10_the_disk_is_looked_at_again_when_it_was_away(database: Database, tmp_path: Path):
    folder, away = tmp_path / "disk", tmp_path / "away"
    folder.mkdir()
    settings = Settings(database=str(folder / "data.sqlite"), disk=DiskSettings(floor_mib=0, ballast_mib=1))
    folder.rename(away)
    upkeep = Upkeep(settings, database, Quick())
    with capture_logs() as told:
        running = asyncio.ensure_future(upkeep.run(alone=False))

        async def until(holds) -> None:
            while not holds():
                assert not running.done(), running
                await asyncio.sleep(0.01)  # noqa: TID251 - the upkeep has no event to wait for

        await until(lambda: any(line["event"] == "disk.not_read" for line in told))
        away.rename(folder)
        await until(lambda: size_of(folder / "data.sqlite-ballast") == MIB)
        assert [line["event"] for line in told].count("disk.not_read") == 1
        running.cancel()
        await asyncio.wait({running})


async def test_a_node_whose_upkeep_ended_says_so_and_ends(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async def broken(*_: object, alone: bool) -> None:
        raise RuntimeError(f"on purpose, {alone=}")

    monkeypatch.setattr(Upkeep, "run", broken)
    settings = Settings(database=database_url, key_file=tmp_path / "key", server=ServerSettings(port=free_port()))
    app = App(settings, Store(settings))
    await app.start()
    with pytest.raises(Unavailable, match="upkeep ended"):
        await asyncio.wait_for(app.serve(), 20)
