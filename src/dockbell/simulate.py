"""`dockbell warehouse simulate`: a day in the warehouse with a display of how far it is, reconciled at the end."""

import threading
from collections import Counter

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from dockbell.embed import Store
from dockbell.errors import ConfigError
from dockbell.settings import Settings
from dockbell.warehouse.day import Day
from dockbell.warehouse.demo_data import load_demo
from dockbell.warehouse.reconciliation import differences, read_events
from dockbell.warehouse.simulation import run_day

console = Console(soft_wrap=True, highlight=False)
SHOWN_EVERY = 10


def run_simulation(settings: Settings, *, orders: int, orders_per_minute: float, seed: int) -> bool:
    """Load what the demo has if it is not there, let the orders come in, and compare events with tables: do they agree?"""
    if not settings.warehouse.enabled:
        raise ConfigError(
            "The reference warehouse is off (warehouse.enabled).",
            hint="Set DOCKBELL_WAREHOUSE__ENABLED=true where simulated goods may be.",
        )
    store = Store(settings)
    try:
        store.database.submit_write(lambda tx: load_demo(tx, store.publisher, store.clock.now())).result()
        # Numbers go on where an earlier day ended: no order, purchase order or label comes twice.
        day = Day(seed, first_number=store.clock.now() // 1_000_000)
        with Progress(
            TextColumn("Orders"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.fields[now]}"),
            console=console,
        ) as progress:  # fmt: skip
            bar = progress.add_task("orders", total=orders, now="")

            def show(day: Day) -> None:
                if sum(day.done.values()) % SHOWN_EVERY == 0:
                    steps = f"{sum(day.done.values()):,} steps, {day.waiting} wait"
                    progress.update(bar, completed=day.done["order comes"], now=steps)

            run_day(
                store.database, store.publisher, store.clock, day, order_count=orders,
                orders_per_minute=orders_per_minute, on_step=show, wait=threading.Event().wait,
            )  # fmt: skip
            progress.update(bar, completed=orders)
        told = store.database.submit_read(read_events).result()
        wrong = store.database.submit_read(differences).result()
    finally:
        store.close()
    _report(day, told.types, wrong)
    return not wrong


def _report(day: Day, types: Counter[str], wrong: list[str]) -> None:
    refused = sum(day.refused.values())
    console.print(
        f"{sum(day.done.values()):,} steps taken, {refused:,} refused as impossible; "
        f"{types.total():,} events of {len(types)} types are in the database."
    )
    for sentence in wrong:
        console.print(f"[red]Not reconciled:[/red] {escape(sentence)}")
    if not wrong:
        console.print("[green]Reconciled: the events tell what the tables say, by count and by quantity.[/green]")
