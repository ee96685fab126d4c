"""A simulated day: every event type happens, and the events tell exactly what the tables say."""

from pathlib import Path

import pytest

from dockbell.warehouse.day import Day
from dockbell.warehouse.reconciliation import differences, read_events
from dockbell.warehouse.simulation import run_day
from tests.support.program import run
from tests.warehouse.floor import CATALOG, Floor


def simulate(floor: Floor, *, seed: int, orders: int) -> Day:
    day = Day(seed)
    run_day(
        floor.database,
        floor.publisher,
        floor.clock,
        day,
        order_count=orders,
        orders_per_minute=0,
        wait=lambda seconds: floor.clock.advance(int(seconds * 1_000_000)),
    )
    return day


@pytest.mark.slow
def test_every_event_type_happens_in_a_day_and_the_events_are_what_was_done(floor: Floor):
    day = simulate(floor, seed=3, orders=100)
    told = floor.read(read_events)
    assert {each.key for each in CATALOG} - set(told.types) == set()
    assert floor.read(differences) == []
    assert sum(day.done.values()) > 300


def test_the_demo_begins_with_events_that_are_what_was_done(floor: Floor):
    assert floor.read(differences) == []


def test_an_event_that_is_missing_and_stock_that_nobody_told_of_are_found(floor: Floor):
    floor.write(lambda tx: tx.run("UPDATE wms_articles SET number_of_items = 501 WHERE number = 'TEA-001'"))
    floor.write(lambda tx: tx.run("INSERT INTO wms_inventories VALUES (1, 114, 0, '', 1)"))
    item = floor.rows("SELECT id, article_id FROM wms_article_items ORDER BY id LIMIT 1")[0]
    floor.write(
        lambda tx: tx.run(
            """
            INSERT INTO wms_inventory_lines (inventory_id, place, article_id, article_item_id, number_of_items)
            VALUES (1, 1, :article_id, :item_id, 3)
            """,
            article_id=item["article_id"],
            item_id=item["id"],
        )
    )
    found = floor.read(differences)
    assert found[0] == "inventory.performed: 1 changes in the tables, 0 events"
    assert found[1].startswith("article TEA-001 (items on the shelves, allocated): the article's sums say 501 and 0;")
    assert found[2:] == ["article TEA-001: 501 items on the shelves, 500 in the ledger"]


@pytest.mark.slow
def test_the_command_simulates_reconciles_and_wants_the_warehouse_switched_on(tmp_path: Path):
    command = ("warehouse", "simulate", "--orders", "3", "--orders-per-minute", "0", "--database", "data.sqlite")
    off = run(tmp_path, *command)
    assert (off.returncode, "warehouse.enabled" in off.stderr) == (78, True)
    assert not (tmp_path / "data.sqlite").exists()
    ended = run(tmp_path, *command, warehouse__enabled="true")
    assert ended.returncode == 0, ended.stderr
    assert "Reconciled: the events tell what the tables say" in ended.stdout
    again = run(tmp_path, *command, warehouse__enabled="true")
    assert again.returncode == 0, again.stderr
