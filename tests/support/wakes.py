"""News of commits as PostgreSQL brings them from other nodes: a node wakes its own listeners without it."""

import threading

import psycopg
import pytest

from dockbell.store.database import Database
from dockbell.store.postgres import PostgresDatabase


def tell(database: Database, topic: str) -> None:
    """Wake whoever listens to the topic, as a commit of another node does. A SQLite file has no other node."""
    if isinstance(database, PostgresDatabase):
        with psycopg.connect(database._conninfo, autocommit=True) as another:
            another.execute("SELECT pg_notify('dockbell', %s)", [topic])


def await_listener(database: Database) -> None:
    """PostgreSQL's connects in a thread of its own, and then wakes everyone for what it did not hear."""
    if not isinstance(database, PostgresDatabase):
        return
    began = threading.Event()
    database.listen("anything", began.set)
    for _ in range(50):
        tell(database, "anything")
        if began.wait(0.2):
            return
    pytest.fail("nobody was woken by fifty commits")
