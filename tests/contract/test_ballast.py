"""The ballast beside a SQLite file, on a disk whose free space the test says."""

from pathlib import Path

import pytest

from dockbell.errors import StorageFull
from dockbell.store.ballast import Ballast

KIB = 1024
SIZE, FLOOR, RELEASE = 64 * KIB, 100 * KIB, 20 * KIB


class OnADisk(Ballast):
    """`free` is what there is without the ballast."""

    free = 10_000 * KIB

    def _free(self) -> int:
        return self.free - self.size()


@pytest.fixture
def ballast(tmp_path: Path) -> OnADisk:
    made = OnADisk(tmp_path / "data.sqlite", size=SIZE, floor=FLOOR, release=RELEASE)
    made.look()
    return made


def test_r10_it_lies_beside_the_database_in_real_blocks_for_its_owner_alone(ballast: OnADisk) -> None:
    assert ballast.file.name == "data.sqlite-ballast"
    assert ballast.size() == SIZE
    assert ballast.file.stat().st_mode & 0o777 == 0o600
    ballast.need_room()


def test_r10_below_the_floor_nothing_is_accepted_and_the_ballast_stays(ballast: OnADisk) -> None:
    ballast.free = SIZE + FLOOR - 1
    ballast.look()
    assert (ballast.full, ballast.size()) == (True, SIZE)
    with pytest.raises(StorageFull):
        ballast.need_room()
    ballast.free = SIZE + FLOOR
    ballast.look()
    ballast.need_room()


def test_r10_below_the_lower_floor_it_is_given_up_and_still_nothing_is_accepted(ballast: OnADisk) -> None:
    ballast.free = SIZE + RELEASE - 1
    ballast.look()
    assert (ballast.full, ballast.size()) == (True, 0)
    # What it gave back is not for new events, though there is more than the floor now.
    ballast.free = FLOOR + SIZE - 1
    ballast.look()
    assert (ballast.full, ballast.size()) == (True, 0)


def test_r10_it_comes_back_when_there_is_room_for_it_above_the_floor(ballast: OnADisk) -> None:
    ballast.free = SIZE + RELEASE - 1
    ballast.look()
    ballast.free = SIZE + FLOOR + 4 * KIB
    ballast.look()
    assert (ballast.full, ballast.size()) == (False, SIZE)


def test_r10_none_is_made_where_none_is_wanted(tmp_path: Path) -> None:
    OnADisk(tmp_path / "data.sqlite", size=0, floor=FLOOR, release=RELEASE).look()
    assert list(tmp_path.iterdir()) == []
