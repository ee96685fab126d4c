"""The audit trail's chain on both databases: whatever is done to a row, the first one touched is named."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest

from dockbell.actions import audit
from dockbell.domain.audit_chain import link
from dockbell.domain.permissions import SYSTEM
from dockbell.store.database import Database, Transaction
from dockbell.store.migrate import statements_of, steps
from tests.support.rows import NOW, Explained, read, rows_of, write

ROWS = 12


def note(database: Database, n: int) -> None:
    write(database, lambda tx: audit.note(tx, SYSTEM, "webhook.changed", f"webhook/{n}", now=NOW + n, after={"n": n}))


def verdict(database: Database, kept: str | None = None) -> Any:
    return read(database, lambda tx: audit.verify(tx, SYSTEM, kept=kept))


@pytest.fixture
def trail(database: Database) -> Database:
    for n in range(ROWS):
        note(database, n)
    assert verdict(database).broken is None
    assert verdict(database).rows == ROWS
    return database


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit SET actor_label = 'somebody else' WHERE id = 5",
        "UPDATE audit SET after = '{\"n\": 99}' WHERE id = 5",
        "UPDATE audit SET before = '{}' WHERE id = 5",
        "UPDATE audit SET at = at + 1 WHERE id = 5",
        "UPDATE audit SET address = '10.0.0.1' WHERE id = 5",
        "UPDATE audit SET goods_owners = ',114,' WHERE id = 5",
        "UPDATE audit SET hash = NULL WHERE id = 5",
        "UPDATE audit SET hash = 'abc' WHERE id = 5",
        "DELETE FROM audit WHERE id = 5",
        "DELETE FROM audit WHERE id >= 5",
    ],
)
def test_u12_a_row_that_was_changed_or_deleted_is_named(trail: Database, change: str) -> None:
    write(trail, lambda tx: tx.run(change))
    assert verdict(trail).broken == 5


def test_what_was_done_to_one_object_is_found_by_itself(trail: Database) -> None:
    """Each webhook's page asks for it, and rows stay for ever."""
    steps: list[str] = []

    def look(tx: Transaction) -> list[str]:
        if trail.dialect == "postgres":
            tx.run("SET LOCAL enable_seqscan = off")  # of a few rows it would read all
        explained = Explained(tx)
        found = audit.page(cast(Transaction, explained), SYSTEM, about="webhook/7")
        steps.extend(explained.steps)
        return [row["object"] for row in found]

    assert read(trail, look) == ["webhook/7"]
    assert any("audit_of_object" in step for step in steps), steps


@pytest.mark.parametrize("after", [ROWS, ROWS + 9, 5, 1])
def test_u12_nobody_leaves_rows_out_by_moving_the_beginning_of_the_chain(trail: Database, after: int) -> None:
    def forge(tx: Any) -> None:
        tx.run("UPDATE audit SET actor = 'user/1' WHERE id = 1")
        tx.run("UPDATE counters SET value = :after WHERE name = 'audit chained after'", after=after)

    write(trail, forge)
    assert verdict(trail).broken == 1
    assert f"begins after row {after}" in verdict(trail).why


def test_u12_rows_for_which_no_hash_vouches_are_not_sound(trail: Database) -> None:
    def forge(tx: Any) -> None:
        tx.run("UPDATE audit SET hash = NULL")
        tx.run("UPDATE counters SET value = :last WHERE name = 'audit chained after'", last=ROWS)
        tx.run("UPDATE counters SET value = 0 WHERE name = 'audit'")

    write(trail, forge)
    assert (verdict(trail).rows, verdict(trail).broken) == (0, 1)
    assert "nothing vouches" in verdict(trail).why


def test_u12_a_row_changed_with_its_hash_is_told_by_the_next(trail: Database) -> None:
    def forge(tx: Any) -> None:
        [before, row] = tx.all("SELECT * FROM audit WHERE id IN (4, 5) ORDER BY id")
        changed = {**row, "actor": "user/1"}
        tx.run("UPDATE audit SET actor = 'user/1', hash = :hash WHERE id = 5", hash=link(before["hash"], changed))

    write(trail, forge)
    assert verdict(trail).broken == 6


def test_u12_a_row_that_is_not_there_is_said_to_be_missing(trail: Database) -> None:
    write(trail, lambda tx: tx.run("DELETE FROM audit WHERE id = 5"))
    assert (verdict(trail).broken, verdict(trail).why) == (5, "it is missing")


def test_u12_the_last_row_is_missed_too(trail: Database) -> None:
    write(trail, lambda tx: tx.run("DELETE FROM audit WHERE id = :id", id=ROWS))
    assert verdict(trail).broken == ROWS


def test_u12_rows_that_changed_places_are_named(trail: Database) -> None:
    def swap(tx: Any) -> None:
        for old, new in ((4, 100), (9, 4), (100, 9)):
            tx.run("UPDATE audit SET id = :new WHERE id = :old", old=old, new=new)

    write(trail, swap)
    assert verdict(trail).broken == 4


def test_u12_a_row_put_in_is_named(trail: Database) -> None:
    def forge(tx: Any) -> None:
        tx.run(
            """
            INSERT INTO audit (id, at, actor, actor_label, address, action, object, hash)
            VALUES (:id, 1, 'user/1', 'x', '', 'key.created', 'key/1', 'abc')
            """,
            id=ROWS + 1,
        )

    write(trail, forge)
    assert verdict(trail).broken == ROWS + 1


def test_u12_a_chain_written_anew_does_not_have_the_hash_that_was_kept(trail: Database) -> None:
    kept = verdict(trail).head
    note(trail, 99)
    assert verdict(trail, kept).broken is None

    def anew(tx: Any) -> None:
        tx.run("DELETE FROM audit")
        tx.run("UPDATE counters SET value = 0 WHERE name = 'audit'")

    write(trail, anew)
    note(trail, 1)
    assert verdict(trail).broken is None
    assert kept in verdict(trail, kept).why


def test_u12_many_at_once_make_one_chain(database: Database) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda n: note(database, n), range(80)))
    assert (verdict(database).rows, verdict(database).broken) == (80, None)


def test_u12_an_audit_row_of_a_change_that_was_rolled_back_leaves_no_gap(trail: Database) -> None:
    class Broken(Exception):
        pass

    def fail(tx: Any) -> None:
        audit.note(tx, SYSTEM, "webhook.changed", "webhook/1", now=NOW)
        raise Broken

    with pytest.raises(Broken):
        write(trail, fail)
    note(trail, 50)
    assert (verdict(trail).rows, verdict(trail).broken) == (ROWS + 1, None)


def test_u12_what_was_written_before_there_was_a_chain_is_left_out(database: Database) -> None:
    """As the step itself finds it: `migrate` would also repeat the steps after it."""

    def as_before(tx: Any) -> None:
        tx.run("ALTER TABLE audit DROP COLUMN hash")
        tx.run("DELETE FROM counters WHERE name = 'audit chained after'")
        for n in (1, 2):
            tx.run(
                """
                INSERT INTO audit (id, at, actor, actor_label, address, action, object)
                VALUES (:n, 1, 'system', 'x', '', 'key.created', 'key/1')
                """,
                n=n,
            )
        tx.run("UPDATE counters SET value = 2 WHERE name = 'audit'")

    def upgrade(tx: Any) -> None:
        for statement in statements_of(
            next(text for _, name, text in steps() if "audit_chain" in name), database.dialect
        ):
            tx.run(statement)

    write(database, as_before)
    write(database, upgrade)
    note(database, 3)
    assert (verdict(database).rows, verdict(database).broken) == (1, None)
    assert [row["hash"] is None for row in rows_of(database, "SELECT hash FROM audit ORDER BY id")] == [
        True,
        True,
        False,
    ]
    write(database, lambda tx: tx.run("UPDATE audit SET actor = 'user/1' WHERE id = 3"))
    assert verdict(database).broken == 3
