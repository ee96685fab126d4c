"""What `Store.inside` promises about an application's own connection, and which connections it refuses."""

import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dockbell.clock import MINUTE
from dockbell.domain.permissions import SYSTEM
from dockbell.embed import Store
from dockbell.errors import ConfigError, InvalidInput
from dockbell.settings import Settings
from dockbell.store import people
from dockbell.store.database import Transaction
from dockbell.testing.clock import ManualClock
from tests.support.node import TEA, a_webhook, an_event


@pytest.fixture
def open_store(fresh_schema: str, wms_schema: str, tmp_path: Path) -> Iterator[Callable[[], Store]]:
    opened: list[Store] = []

    def one() -> Store:
        opened.append(Store(Settings(database=fresh_schema, key_file=tmp_path / "key")))
        return opened[-1]

    yield one
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Callable[[], Store]) -> Store:
    made = open_store()
    made.database.submit_write(lambda tx: people.put_goods_owner(tx, TEA, "Nordic Tea AB", now=1)).result()
    return made


@pytest.fixture
def connection(wms_schema: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(wms_schema) as made:
        made.execute("CREATE TABLE orders (id bigint)")
        made.commit()
        yield made
        made.rollback()


def publish(store: Store, connection: Any, **fields: Any) -> int:
    with store.inside(connection) as tx:
        return store.publisher.publish(tx, SYSTEM, an_event(**fields), now=store.clock.now()).event_id


def kept(store: Store) -> list[int]:
    return [row["id"] for row in store.database.submit_read(lambda tx: tx.all("SELECT id FROM events")).result()]


def search_path(connection: psycopg.Connection[Any]) -> Any:
    row = connection.execute("SHOW search_path").fetchone()
    assert row is not None
    return row[0]


def test_the_search_path_is_as_it_was_afterwards(store: Store, connection: psycopg.Connection[Any]):
    connection.execute('SET search_path = "$user", orders, public')
    connection.commit()
    before = search_path(connection)
    publish(store, connection)
    assert search_path(connection) == before
    with pytest.raises(InvalidInput):
        publish(store, connection, data={})
    assert search_path(connection) == before
    connection.commit()
    assert search_path(connection) == before


def test_a_refused_event_leaves_the_transaction_usable(store: Store, connection: psycopg.Connection[Any]):
    connection.execute("INSERT INTO orders VALUES (1)")
    with pytest.raises(InvalidInput):
        publish(store, connection, data={})
    event_id = publish(store, connection)
    connection.commit()
    assert kept(store) == [event_id]
    assert connection.execute("SELECT id FROM orders").fetchall() == [(1,)]


def test_a_savepoint_rolled_back_takes_the_event_along(store: Store, connection: psycopg.Connection[Any]):
    before = search_path(connection)
    with connection.transaction(force_rollback=True):
        publish(store, connection)
    with pytest.raises(psycopg.errors.UndefinedTable), connection.transaction(), store.inside(connection):
        connection.execute("SELECT * FROM orders_of_nobody")
    assert search_path(connection) == before
    event_id = publish(store, connection)
    connection.commit()
    assert kept(store) == [event_id]


def test_a_temporary_table_of_the_application_is_not_mistaken_for_ours(
    store: Store, connection: psycopg.Connection[Any]
):
    connection.execute("CREATE TEMPORARY TABLE events (this_is_not text)")
    event_id = publish(store, connection)
    connection.commit()
    assert kept(store) == [event_id]


def test_connections_with_other_kinds_of_rows_and_cursors_do(store: Store, wms_schema: str):
    with psycopg.connect(
        wms_schema, row_factory=psycopg.rows.scalar_row, cursor_factory=psycopg.ClientCursor
    ) as connection:
        event_id = publish(store, connection)
    assert kept(store) == [event_id]


def test_a_connection_without_a_transaction_is_refused(store: Store, wms_schema: str):
    with psycopg.connect(wms_schema, autocommit=True) as connection:
        with pytest.raises(ValueError, match="No transaction is open"):
            publish(store, connection)
        with connection.transaction():
            event_id = publish(store, connection)
        assert kept(store) == [event_id]


def test_a_connection_that_is_not_psycopgs_is_refused(store: Store):
    connection = sqlite3.connect(":memory:")
    with pytest.raises(TypeError, match=r"not sqlite3.Connection\. In Django it is"):
        publish(store, connection)
    connection.close()


def test_a_connection_to_another_database_is_refused(store: Store, postgres_url: str):
    elsewhere = postgres_url.replace(f"/{psycopg.conninfo.conninfo_to_dict(postgres_url)['dbname']}?", "/postgres?")
    with psycopg.connect(elsewhere) as connection:
        with pytest.raises(ConfigError, match="one transaction needs one database"):
            publish(store, connection)
        connection.rollback()


def test_a_store_in_sqlite_shares_no_transaction(tmp_path: Path, connection: psycopg.Connection[Any]):
    store = Store(Settings(database=str(tmp_path / "data.sqlite")))
    with pytest.raises(ConfigError, match="only PostgreSQL can be shared"):
        publish(store, connection)
    store.close()


def test_a_program_that_stood_idle_makes_no_ids_of_another(
    open_store: Callable[[], Store], store: Store, connection: psycopg.Connection[Any]
):
    """Its node number may be another's by then; one number in two programs means one id for two events."""
    clock = ManualClock()
    store.clock = clock  # type: ignore[assignment]
    first = publish(store, connection)
    connection.commit()
    clock.advance(2 * MINUTE)
    later = people.NUMBER_KEPT_FOR + clock.now()

    def join(tx: Transaction) -> int:
        return people.join_node(tx, name="another", now=later)

    assert store.database.submit_write(join).result() == node_of(first)
    second = publish(store, connection)
    connection.commit()
    assert node_of(second) != node_of(first)
    assert node_of(second) == store.node


def node_of(event_id: int) -> int:
    return event_id >> 6 & 63


def test_a_webhook_made_since_is_matched(
    open_store: Callable[[], Store], store: Store, connection: psycopg.Connection[Any]
):
    publish(store, connection)
    connection.commit()
    node = open_store()
    document = a_webhook(targetUrl="https://8.8.8.8/hook")
    node.database.submit_write(lambda tx: node.webhooks.create(tx, SYSTEM, document, now=node.clock.now())).result()
    event_id = publish(store, connection)
    connection.commit()
    made = store.database.submit_read(lambda tx: tx.all("SELECT event_id FROM deliveries")).result()
    assert [row["event_id"] for row in made] == [event_id]


def test_a_program_that_embeds_it_loads_neither_web_server_nor_worker_nor_sender():
    program = "import sys, dockbell.embed; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "dockbell.embed" in loaded
    node_only = ("dockbell.web", "dockbell.delivery", "dockbell.egress.sender", "fastapi", "uvicorn", "jinja2")
    assert not [name for name in node_only if name in loaded]
