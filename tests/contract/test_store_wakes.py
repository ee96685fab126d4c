"""Who listens to a topic is woken by commits, on both databases: its own node's, another node's and another process's."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from dockbell.store import webhooks
from dockbell.store.database import Database, Transaction, open_database
from dockbell.store.postgres import PostgresDatabase
from tests.support.rows import put_webhook, write
from tests.support.wakes import await_listener, tell

PATIENCE_S = 10.0


def test_a_change_of_webhooks_wakes_the_other_node(database: Database, open_again: Callable[[], Database]):
    assert hears(open_again(), webhooks.TOPIC, lambda: put_webhook(database, 1, goods_owners=()))


def test_a_commit_wakes_listeners_on_the_same_node_before_it_returns(database: Database):
    """Who revoked a key and tries it at once is refused: the node does not wait for its own news."""
    heard: list[str] = []
    for number in range(20):
        topic = f"topic {number}"
        database.listen(topic, lambda topic=topic: heard.append(topic))  # type: ignore[misc]
        write(database, lambda tx, topic=topic: tx.wake(topic))
        assert heard[-1:] == [topic]


def test_a_commit_of_another_process_wakes_listeners(database: Database, database_url: str):
    program = (
        "import sys\n"
        "from dockbell.store.database import open_database\n"
        "database = open_database(sys.argv[1])\n"
        "def work(tx):\n"
        "    tx.run(\"UPDATE counters SET value = value + 1 WHERE name = 'webhook'\")\n"
        "    tx.wake('deliveries')\n"
        "database.submit_write(work).result()\n"
        "database.close()\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert hears(
        database,
        "deliveries",
        lambda: subprocess.run([sys.executable, "-c", program, database_url], check=True, env=environment),
    )


def test_a_commit_of_another_node_wakes_listeners_while_this_one_always_writes(
    database: Database, open_again: Callable[[], Database]
):
    """A key that was revoked elsewhere must not be good for as long as somebody publishes."""
    another, stop = open_again(), threading.Event()

    def write_on() -> None:
        while not stop.wait(0.02):
            write(database, lambda tx: tx.run("UPDATE counters SET value = value + 1 WHERE name = 'event'"))

    def work(tx: Transaction) -> None:
        tx.run("UPDATE counters SET value = value + 1 WHERE name = 'webhook'")
        tx.wake("topic")

    busy = threading.Thread(target=write_on)
    busy.start()
    try:
        assert hears(database, "topic", lambda: write(another, work))
    finally:
        stop.set()
        busy.join()


def hears(database: Database, topic: str, commit: Callable[[], object]) -> bool:
    """Whether a listener is called by this commit."""
    await_listener(database)
    heard = threading.Event()
    database.listen(topic, heard.set)
    commit()
    return heard.wait(PATIENCE_S)


def test_a_failing_transaction_wakes_nobody(database: Database):
    await_listener(database)
    heard: list[str] = []
    done = threading.Event()
    database.listen("failed", lambda: heard.append("failed"))
    database.listen("committed", done.set)

    def half(tx: Transaction) -> None:
        tx.wake("failed")
        raise LookupError("changed my mind")

    with pytest.raises(LookupError):
        write(database, half)
    write(database, lambda tx: tx.wake("committed"))
    assert done.wait(PATIENCE_S)
    assert heard == []


def test_who_listens_before_postgresql_does_is_woken_for_what_it_did_not_hear(
    fresh_schema: str, monkeypatch: pytest.MonkeyPatch
):
    """A node looks at its database first and hears its news a little later: what was committed between would wait a minute."""
    connect, looked = psycopg.connect, threading.Event()

    def late(*args: Any, **options: Any) -> psycopg.Connection[Any]:
        if threading.current_thread().name == "postgres-listen":
            assert looked.wait(PATIENCE_S)
        return connect(*args, **options)

    monkeypatch.setattr(psycopg, "connect", late)
    database = open_database(fresh_schema)
    try:
        woken = threading.Event()
        database.listen("topic", woken.set)
        tell(database, "topic")
        looked.set()
        assert woken.wait(PATIENCE_S)
    finally:
        looked.set()
        database.close()


def test_a_server_that_is_parted_from_us_is_noticed_by_whoever_only_listens(fresh_schema: str):
    """A firewall that forgets an idle connection says nothing; by the system's own settings that is noticed after two hours."""
    database = PostgresDatabase(fresh_schema)
    try:
        await_listener(database)
        assert database._listening is not None
        asked = database._listening.info.get_parameters()
        assert int(asked["keepalives_idle"]) + int(asked["keepalives_interval"]) * int(asked["keepalives_count"]) < 30
    finally:
        database.close()
