"""A warehouse on each database in turn, with the demo's goods in it."""

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psycopg
import pytest

from dockbell.store.database import Database
from tests.support.migrated import Schemas, a_filled_file, with_tables
from tests.warehouse.caller import Caller
from tests.warehouse.floor import Floor
from tests.warehouse.hall import Hall


@pytest.fixture(scope="session")
def key_of_goods(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the key of the databases lies that begin with goods."""
    return tmp_path_factory.mktemp("goods") / "key"


@pytest.fixture(scope="session")
def sqlite_to_copy(tmp_path_factory: pytest.TempPathFactory, key_of_goods: Path) -> Path:
    return a_filled_file(tmp_path_factory.mktemp("goods"), partial(_with_goods, key_of_goods))


@pytest.fixture(scope="session")
def schemas_to_lend(postgres_url: str, key_of_goods: Path) -> Iterator[Schemas]:
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        yield Schemas(postgres_url, admin, partial(_with_goods, key_of_goods))


def _with_goods(key: Path, database: Database) -> None:
    with_tables(database)
    Floor(database, key.parent)


@pytest.fixture
def floor(database: Database, tmp_path: Path, key_of_goods: Path) -> Floor:
    shutil.copy(key_of_goods, tmp_path)
    return Floor(database, tmp_path)


@pytest.fixture
def call(floor: Floor) -> Caller:
    return Caller(floor)


@pytest.fixture
def hall(floor: Floor, call: Caller) -> Hall:
    return Hall(floor, call)
