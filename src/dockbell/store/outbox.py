"""The outbox: a table in the warehouse system's own PostgreSQL, written in its transactions and drained by Dockbell.

A row that waits is taken out only by whoever holds the outbox's lock, and only in the transaction that has it.
"""

from collections.abc import Sequence
from importlib import resources

import psycopg
from psycopg.conninfo import conninfo_to_dict

from dockbell.clock import Moment
from dockbell.errors import ConfigError
from dockbell.store.database import Database, Row, Transaction
from dockbell.store.postgres import PostgresDatabase

TOPIC = "outbox"
LOCK = 727002
HAS_TIME = "published_at BETWEEN '0001-01-02' AND '9999-12-30'"
"""PostgreSQL knows moments that no event can have: `infinity`, the year 20000, those before Christ."""


def open_outbox(address: str) -> Database:
    try:
        conninfo_to_dict(address)
    except psycopg.ProgrammingError:  # its words may hold the password
        raise ConfigError(
            "outbox.dsn is no address of a PostgreSQL database.", hint="Write postgresql://user:password@host/name."
        ) from None
    return PostgresDatabase(address, connections=1, all_text=False)


def schema() -> str:
    """The outbox as SQL, for whoever may change the warehouse system's database."""
    return (resources.files("dockbell.store") / "outbox.sql").read_text("utf-8")


def install(tx: Transaction) -> None:
    try:
        for statement in schema().split("\n\n"):
            if "CREATE" in statement:
                tx.run(statement)
    except psycopg.errors.InsufficientPrivilege as error:
        raise ConfigError(
            f"The user of outbox.dsn may not install the outbox: {error.diag.message_primary}.",
            hint="Let the owner of that database run what `dockbell outbox install --print` prints.",
        ) from error


def need(tx: Transaction) -> None:
    """Say what is missing, before PostgreSQL says it in its own words."""
    row = tx.one(
        """
        SELECT o.name IS NOT NULL AS there,
               has_table_privilege(o.name, 'SELECT') AND has_table_privilege(o.name, 'UPDATE')
               AND has_table_privilege(o.name, 'DELETE') AS usable
          FROM (SELECT to_regclass('dockbell_outbox') AS name) o
        """
    )
    assert row is not None
    if not row["there"]:
        raise ConfigError(
            "There is no table dockbell_outbox in the database of outbox.dsn.",
            hint="Run `dockbell outbox install`, or let it print the SQL with --print.",
        )
    if not row["usable"]:
        raise ConfigError("The user of outbox.dsn may not SELECT, UPDATE and DELETE in dockbell_outbox: GRANT it that.")


def lock(tx: Transaction) -> bool:
    """Be the only one who drains, until this transaction ends; False if another is.

    A node that vanished with it loses it after a minute, and nobody waits long for who has locked rows or table.
    """
    tx.one(
        "SELECT set_config('idle_in_transaction_session_timeout', '60s', true), set_config('lock_timeout', '5s', true)"
    )
    row = tx.one(
        "SELECT pg_try_advisory_xact_lock(:lock, CAST(CAST('dockbell_outbox' AS regclass) AS oid)::int) AS ours",
        lock=LOCK,
    )
    return row is not None and bool(row["ours"])


def waiting(tx: Transaction, *, limit: int, largest_bytes: int) -> list[Row]:
    """The next rows in the order of their numbers; `event` is None where it is larger than an event may be, `published_at`
    where no event can have that time."""
    return tx.all(
        f"""
        SELECT number, CAST(id AS TEXT) AS id, octet_length(CAST(event AS TEXT)) AS bytes,
               CASE WHEN octet_length(CAST(event AS TEXT)) <= :largest_bytes THEN CAST(event AS TEXT) END AS event,
               CASE WHEN {HAS_TIME} THEN CAST(extract(epoch FROM published_at) * 1000000 AS BIGINT) END AS published_at
          FROM dockbell_outbox WHERE refused_at IS NULL ORDER BY number LIMIT :limit
        """,  # noqa: S608 - a constant of this file
        limit=limit,
        largest_bytes=largest_bytes,
    )


def remove(tx: Transaction, numbers: Sequence[int]) -> None:
    """Dockbell has committed these."""
    tx.run(
        "DELETE FROM dockbell_outbox WHERE number IN (SELECT r.number FROM :rows(number BIGINT) r)",
        rows=[(number,) for number in numbers],
    )


def set_aside(tx: Transaction, refused: Sequence[tuple[int, str]]) -> None:
    """Keep these with the reason; they hold up no other. A letter that the database may lack becomes `\\u0142`."""
    if not refused:
        return
    row = tx.one("SELECT current_setting('server_encoding') AS encoding")
    assert row is not None
    kept = "utf-8" if row["encoding"] == "UTF8" else "ascii"
    tx.run(
        """
        UPDATE dockbell_outbox AS o SET refused_at = clock_timestamp(), reason = r.reason
          FROM :rows(number BIGINT, reason TEXT) r WHERE o.number = r.number
        """,
        rows=[(number, reason.encode(kept, "backslashreplace").decode(kept)) for number, reason in refused],
    )


def retry(tx: Transaction) -> int:
    """Let everything that was set aside wait again; how many."""
    again = tx.run("UPDATE dockbell_outbox SET refused_at = NULL, reason = NULL WHERE refused_at IS NOT NULL")
    tx.wake(TOPIC)
    return again


def counts(tx: Transaction) -> tuple[int, Moment | None, int]:
    """How many wait, since when the oldest does, and how many were set aside."""
    row = tx.one(
        f"""
        SELECT count(*) FILTER (WHERE refused_at IS NULL) AS waiting, count(refused_at) AS refused,
               CAST(extract(epoch FROM min(published_at) FILTER (WHERE refused_at IS NULL AND {HAS_TIME})) * 1000000 AS BIGINT)
                 AS oldest
          FROM dockbell_outbox
        """  # noqa: S608 - a constant of this file
    )
    assert row is not None
    return int(row["waiting"]), row["oldest"], int(row["refused"])


def refused(tx: Transaction, *, limit: int, characters: int) -> list[Row]:
    """What was set aside, the newest first, with the beginning of the event.

    As text: PostgreSQL fails on reading a field of some of the JSON that it stores.
    """
    return tx.all(
        """
        SELECT number, CAST(extract(epoch FROM refused_at) * 1000000 AS BIGINT) AS refused_at, reason,
               left(CAST(event AS TEXT), :characters) AS event
          FROM dockbell_outbox WHERE refused_at IS NOT NULL ORDER BY refused_at DESC, number DESC LIMIT :limit
        """,
        limit=limit,
        characters=characters,
    )


def set_aside_after(tx: Transaction, number: int, *, limit: int) -> list[Row]:
    """What was set aside, by number, whole. As text: see `refused`."""
    return tx.all(
        """
        SELECT number, CAST(event AS TEXT) AS event FROM dockbell_outbox
         WHERE refused_at IS NOT NULL AND number > :number ORDER BY number LIMIT :limit
        """,
        number=number,
        limit=limit,
    )
