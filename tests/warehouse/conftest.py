"""A warehouse on each database in turn, with the demo's goods in it."""

from pathlib import Path

import pytest

from dockbell.store.database import Database
from tests.warehouse.caller import Caller
from tests.warehouse.floor import Floor
from tests.warehouse.hall import Hall


@pytest.fixture
def floor(database: Database, tmp_path: Path) -> Floor:
    return Floor(database, tmp_path)


@pytest.fixture
def call(floor: Floor) -> Caller:
    return Caller(floor)


@pytest.fixture
def hall(floor: Floor, call: Caller) -> Hall:
    return Hall(floor, call)
