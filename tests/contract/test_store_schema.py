"""The schema: the same tables on both databases, brought up to date once, refused when it is not this program's."""

import re
import threading
from collections.abc import Callable

import pytest

from dockbell.errors import ConfigError
from dockbell.store import counters
from dockbell.store import migrate as migrations
from dockbell.store.database import Database, Transaction
from dockbell.store.migrate import migrate, statements_of, steps, verify
from tests.support.rows import read, rows_of, write

TYPES = {"INTEGER": "BIGINT", "bigint": "BIGINT", "text": "TEXT"}


def columns(database: Database) -> dict[str, list[tuple[str, str, bool]]]:
    """Each table's columns in order: name, type, whether a value is required."""
    if database.dialect == "sqlite":
        found = rows_of(
            database,
            """
            SELECT m.name AS place, c.name, c.type, c."notnull" = 1 OR c.pk > 0 AS needed
              FROM sqlite_schema m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' ORDER BY m.name, c.cid
            """,
        )
    else:
        found = rows_of(
            database,
            """
            SELECT table_name AS place, column_name AS name, data_type AS type, is_nullable = 'NO' AS needed
              FROM information_schema.columns WHERE table_schema = current_schema() ORDER BY table_name, ordinal_position
            """,
        )
    tables: dict[str, list[tuple[str, str, bool]]] = {}
    for row in found:
        kind = TYPES.get(row["type"], str(row["type"]))
        tables.setdefault(row["place"], []).append((row["name"], kind, bool(row["needed"])))
    return tables


def indexes(database: Database) -> set[str]:
    text = (
        "SELECT name FROM sqlite_schema WHERE type = 'index' AND name NOT LIKE 'sqlite_%'"
        if database.dialect == "sqlite"
        else "SELECT indexname AS name FROM pg_indexes WHERE schemaname = current_schema() AND indexname !~ '_(p?key)$'"
    )
    return {row["name"] for row in rows_of(database, text)}


def as_written() -> tuple[dict[str, list[tuple[str, str, bool]]], set[str]]:
    """Tables and indexes as the migrations' text says them: both databases are held against it, so they are equal."""
    tables = {"schema_steps": [("number", "BIGINT", True), ("applied_at", "BIGINT", True)]}
    names: set[str] = set()
    places: dict[str, str] = {}
    for _, _, text in steps():
        for statement in statements_of(text, "postgres"):
            words = statement.split()
            if words[:2] == ["CREATE", "TABLE"]:
                tables[words[2]] = _columns_of(statement)
            elif words[:2] == ["DROP", "TABLE"]:
                del tables[words[2].rstrip(";")]
                names -= {name for name, table in places.items() if table == words[2].rstrip(";")}
            elif words[:2] == ["ALTER", "TABLE"] and words[3:5] == ["RENAME", "TO"]:
                tables[words[5].rstrip(";")] = tables.pop(words[2])
            elif words[:2] == ["ALTER", "TABLE"]:
                tables[words[2]] += _columns_of(f"(\n{statement.partition(' ADD COLUMN ')[2].rstrip(';')}\n)")
            elif words[:2] == ["DROP", "INDEX"]:
                names.remove(words[2].rstrip(";"))
            elif "INDEX" in words[:3]:
                name = words[words.index("INDEX") + 1]
                names.add(name)
                places[name] = words[words.index("ON") + 1]
    return tables, names


def _columns_of(statement: str) -> list[tuple[str, str, bool]]:
    lines = [line.strip() for line in statement.splitlines()[1:-1]]
    key = next((line for line in lines if line.startswith("PRIMARY KEY")), "")
    in_key = set(re.findall(r"\w+", key))
    words = [(line.replace(",", " ").split()[:2], line) for line in lines]
    return [
        (name, kind, "NOT NULL" in line or "PRIMARY KEY" in line or name in in_key)
        for (name, kind), line in words
        if kind in ("BIGINT", "TEXT")
    ]


def test_both_databases_have_the_tables_columns_and_indexes_as_written(database: Database):
    tables, names = as_written()
    assert columns(database) == tables
    assert indexes(database) == names


def test_a_second_migration_does_nothing(database: Database):
    before = columns(database)
    assert migrate(database, now=2) == []
    assert columns(database) == before
    verify(database)


def test_steps_are_applied_once_however_many_nodes_start_together(open_again: Callable[[], Database]):
    nodes = [open_again(), open_again()]
    applied: list[str] = []
    problems: list[BaseException] = []

    def start(node: Database) -> None:
        try:
            applied.extend(migrate(node, now=1))
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=start, args=(node,)) for node in nodes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert problems == []
    assert sorted(applied) == [name for _, name, _ in steps()]


def test_a_newer_schema_is_refused(database: Database):
    write(database, lambda tx: tx.run("INSERT INTO schema_steps (number, applied_at) VALUES (9000, 1)"))
    with pytest.raises(ConfigError, match="has schema 9000; this program knows up to"):
        verify(database)


def test_an_older_schema_is_refused(database: Database):
    write(database, lambda tx: tx.run("DELETE FROM schema_steps"))
    with pytest.raises(ConfigError, match="dockbell migrate"):
        verify(database)


def test_an_empty_database_is_refused(open_again: Callable[[], Database]):
    with pytest.raises(ConfigError, match="no Dockbell schema yet"):
        verify(open_again())


def test_a_step_that_breaks_leaves_nothing_of_itself(
    open_again: Callable[[], Database], monkeypatch: pytest.MonkeyPatch
):
    database = open_again()
    broken = [(1, "0001_first.sql", "CREATE TABLE one (\n  a BIGINT\n);\nCREATE TABLE one (\n  a BIGINT\n);\n")]
    monkeypatch.setattr(migrations, "steps", lambda: broken)
    with pytest.raises(Exception, match="already exists"):
        migrate(database, now=1)
    assert set(columns(database)) == {"schema_steps"}
    monkeypatch.undo()
    assert migrate(database, now=1) == [name for _, name, _ in steps()]


def test_the_named_numbers_of_webhooks_and_keys_begin_at_nought(database: Database):
    def all_of_them(tx: Transaction) -> list[int]:
        names = (counters.WEBHOOK_ID, counters.WEBHOOKS_CHANGED, counters.KEYS_CHANGED, counters.CATALOG_CHANGED)
        return [counters.current(tx, name) for name in names]

    assert read(database, all_of_them) == [0, 0, 0, 0]


def test_the_table_of_deliveries_is_vacuumed_long_before_a_fifth_of_it_is_dead(database: Database) -> None:
    if database.dialect == "sqlite":
        pytest.skip("SQLite leaves no dead rows")
    [row] = rows_of(database, "SELECT reloptions AS said FROM pg_class WHERE oid = 'deliveries'::regclass")
    assert set(row["said"]) == {"autovacuum_vacuum_scale_factor=0.02", "autovacuum_vacuum_threshold=20000"}


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)  # SQLite has one writer
def test_what_an_older_node_does_to_a_run_while_the_table_is_made_anew_is_kept(
    open_again: Callable[[], Database], monkeypatch: pytest.MonkeyPatch
):
    """Nodes are upgraded one after the other: a batch that was forgotten would be resent."""
    older, newer, looking = open_again(), open_again(), open_again()
    everything = steps()
    monkeypatch.setattr(migrations, "steps", lambda: [step for step in everything if step[0] < 16])
    migrate(older, now=1)
    monkeypatch.undo()
    write(
        older,
        lambda tx: tx.run(
            """
            INSERT INTO bulk_runs (id, action, actor, actor_label, chosen, position_event, position_webhook, started_at)
            VALUES ('run', 'resend', 'user/1', 'Admin', '{}', 900, 1, 1)
            """
        ),
    )
    done, commit, never = threading.Event(), threading.Event(), threading.Event()

    def a_batch(tx: Transaction) -> None:
        tx.run("UPDATE bulk_runs SET position_event = 700, changed = 200 WHERE id = 'run'")
        done.set()
        assert commit.wait(30)

    batch = older.submit_write(a_batch)
    assert done.wait(30)
    migrating = threading.Thread(target=migrate, args=(newer,), kwargs={"now": 2})
    migrating.start()
    waiting = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    while not rows_of(looking, waiting):
        assert migrating.is_alive()
        never.wait(0.01)
    commit.set()
    batch.result(30)
    migrating.join(30)
    [run] = rows_of(newer, "SELECT position_event, changed FROM bulk_runs")
    assert dict(run) == {"position_event": 700, "changed": 200}
