"""Bring a database to this program's schema: forward-only steps, each in one transaction, recorded.

A newer schema than this program knows is refused: an old program would not keep the newer promises.
"""

from importlib import resources

from dockbell.clock import Moment
from dockbell.errors import ConfigError
from dockbell.store.database import Database, Transaction


def migrate(database: Database, *, now: Moment) -> list[str]:
    """Apply the missing steps; their names."""
    already = database.submit_write(lambda tx: _prepare(tx, database.dialect)).result()
    applied = []
    for number, name, text in (step for step in steps() if step[0] > already):
        if database.submit_write(lambda tx, n=number, t=text: _apply(tx, database.dialect, n, t, now)).result():  # type: ignore[misc]
            applied.append(name)
    return applied


def verify(database: Database) -> None:
    """Refuse to work on a schema that is not exactly this program's."""
    known = newest()
    applied = database.submit_read(lambda tx: found(tx, database.dialect)).result()
    if applied is None:
        raise ConfigError("The database has no Dockbell schema yet. Run `dockbell migrate`.")
    if applied > known:
        raise ConfigError(
            f"The database has schema {applied}; this program knows up to {known}. "
            "Start the newer program, or restore the backup made before the upgrade.",
        )
    if applied < known:
        raise ConfigError(f"The database has schema {applied}, this program needs {known}. Run `dockbell migrate`.")


def newest() -> int:
    """The schema that this program needs."""
    return max(number for number, _, _ in steps())


def found(tx: Transaction, dialect: str) -> int | None:
    """The schema that the database has; None if it has none."""
    there = tx.one(
        "SELECT to_regclass('schema_steps') AS name"
        if dialect == "postgres"
        else "SELECT name FROM sqlite_master WHERE name = 'schema_steps'"
    )
    if there is None or there["name"] is None:
        return None
    return _newest_applied(tx) or None


def steps() -> list[tuple[int, str, str]]:
    folder = resources.files("dockbell.store") / "migrations"
    files = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [(int(name[:4]), name, (folder / name).read_text("utf-8")) for name in files]


def _prepare(tx: Transaction, dialect: str) -> int:
    """The newest step that was applied."""
    if dialect == "postgres":
        tx.run("SELECT pg_advisory_xact_lock(727001)")
    tx.run("CREATE TABLE IF NOT EXISTS schema_steps (number BIGINT PRIMARY KEY, applied_at BIGINT NOT NULL)")
    return _newest_applied(tx)


def _newest_applied(tx: Transaction) -> int:
    row = tx.one("SELECT max(number) AS number FROM schema_steps")
    return 0 if row is None or row["number"] is None else int(row["number"])


def _apply(tx: Transaction, dialect: str, number: int, text: str, now: Moment) -> bool:
    if dialect == "postgres":
        tx.run("SELECT pg_advisory_xact_lock(727001)")
    if _newest_applied(tx) >= number:  # by another program, in the meantime
        return False
    for statement in statements_of(text, dialect):
        tx.run(statement)
    tx.run("INSERT INTO schema_steps (number, applied_at) VALUES (:number, :now)", number=number, now=now)
    return True


def statements_of(text: str, dialect: str) -> list[str]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("--")]
    statements = [part.strip() for part in "\n".join(lines).split(";\n") if part.strip()]
    if dialect == "sqlite":
        statements = [
            statement.replace("BIGINT", "INTEGER") + (" STRICT" if statement.startswith("CREATE TABLE") else "")
            for statement in (part.rstrip(";") for part in statements)
        ]
    return statements
