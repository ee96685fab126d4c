"""What 5,000,000 deliveries, one after another, leave of the table they all go through."""

import contextlib
import statistics
import time
from collections.abc import Iterator

from bench import systems
from bench.lab import POSTGRES, Lab
from bench.logs import Log
from bench.measure import await_drained, drive
from bench.scenario import scenario
from bench.systems import Shape, Site
from bench.targets import Against, Run, Target
from dockbell.store import deliveries
from dockbell.store.database import Database, Transaction, open_database

DELIVERIES = 5_000_000
CHURNED = Shape(receivers=51, fan_out=10, aside=1)
ASIDE = 501
"""The webhook that gets no events: what waits for it is due in a far future, when only we look."""
WAITING = 1_000
FAR = 1 << 52
CLAIMED, CLAIMS = 32, 21
A_PORTION_S = 60.0
LOOKS = 5
SIZES = """
    SELECT c.relname, pg_relation_size(c.oid) FROM pg_class c
      JOIN pg_index i ON i.indexrelid = c.oid JOIN pg_class t ON t.oid = i.indrelid
     WHERE t.relname = 'deliveries'
"""
TABLE = "SELECT pg_relation_size('deliveries')"
DEAD = "SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 'deliveries'"
HOT = ("deliveries_due", "deliveries_next_due", "deliveries_sending", "deliveries_at_rest")
BEGINNING, END = "at the beginning", "at the end"


@scenario(
    "bloat",
    "5,000,000 deliveries through one PostgreSQL",
    Target("slowest claim of all looks, of that at the beginning", "slowest claim ms", 2, case=END,
           against=Against(BEGINNING)),
    Target("table's bytes a delivery, of those at the beginning", "table bytes a delivery", 1.2, case=END,
           against=Against(BEGINNING)),
    Target("MB of the indices that only hold what waits or is being sent", "hot indices MB", 32, case=END),
    tables=(("deliveries", "delivered/s", "claim ms", "slowest claim ms", "table bytes a delivery", "all indices bytes a delivery",
             "hot indices MB", "dead rows"),),
    rounds=1,
    long=True,
)  # fmt: skip
def bloat(lab: Lab, turn: int) -> Iterator[Run]:  # noqa: ARG001
    """Events to ten webhooks each at full speed until so many deliveries are done, autovacuum as it comes. Delivered ones
    stay in the table (retention deletes them later), so its bytes are told by the delivery; the indices of what waits or
    is being sent should stay as small as they were. A claim is that of 32 of 1,000 deliveries that wait for one webhook,
    the median of 21, rolled back; dead rows make it slower until autovacuum comes, so the slowest look counts.
    """
    if POSTGRES not in lab.databases:
        return
    wanted = lab.size(DELIVERIES)
    load = lab.load(shape=CHURNED)
    with lab.site(POSTGRES, CHURNED) as site, contextlib.closing(open_database(site.database)) as database:
        database.submit_write(_put_aside).result()
        site.log.since = WAITING  # the events that those are of have these numbers
        with systems.dockbell(site) as target:
            drive(target, load, "load", lab.seconds, site.folder)
            await_drained(target)
            done, looks, began = _done(site.log), 0, time.monotonic()
            run = _look(site, database, BEGINNING, done / lab.seconds, 0.0)
            yield run
            while done < wanted:
                drive(target, load, "load", min(A_PORTION_S, 10 * lab.seconds), site.folder)
                await_drained(target)
                before, done = done, _done(site.log)
                speed, began = (done - before) / (time.monotonic() - began), time.monotonic()
                if done >= wanted or done >= (looks + 1) * wanted / LOOKS:
                    looks += 1
                    case = END if done >= wanted else f"after {looks}/{LOOKS}"
                    run = _look(site, database, case, speed, run.figures["slowest claim ms"])
                    yield run


def _put_aside(tx: Transaction) -> None:
    owner = CHURNED.goods_owners[-1]
    deliveries.insert(tx, [(number, ASIDE, owner, FAR) for number in range(1, WAITING + 1)])


def _done(log: Log) -> int:
    return log.number("SELECT count(*) FROM deliveries WHERE status = 'delivered'")


def _look(site: Site, database: Database, case: str, speed: float, slowest_ms: float) -> Run:
    log = site.log
    rows = _done(log) + WAITING
    indices = {str(name): int(size) for name, size in log.rows(SIZES)}
    claim_ms = statistics.median(_claim_ms(database) for _ in range(CLAIMS))
    figures = {
        "deliveries": rows,
        "delivered/s": speed,
        "claim ms": claim_ms,
        "slowest claim ms": max(claim_ms, slowest_ms),
        "table bytes a delivery": log.number(TABLE) / rows,
        "all indices bytes a delivery": sum(indices.values()) / rows,
        "hot indices MB": sum(indices.get(name, 0) for name in HOT) / 1e6,
        "dead rows": log.number(DEAD),
    }
    return Run(POSTGRES, figures, case)


class _Undone(Exception):
    """Rolls the claim back."""

    def __init__(self, took_ms: float) -> None:
        self.took_ms = took_ms


def _claim_ms(database: Database) -> float:
    def claim(tx: Transaction) -> None:
        began = time.perf_counter()
        due = deliveries.webhooks_with_due(tx, now=FAR, after=0, limit=64)
        for webhook in due:
            deliveries.claim_due(tx, webhook_id=webhook, now=FAR, lease_until=FAR + 1, node=63, limit=CLAIMED)
        deliveries.next_due_at(tx)
        raise _Undone(1000 * (time.perf_counter() - began))

    try:
        database.submit_write(claim).result()
    except _Undone as undone:
        return undone.took_ms
    raise AssertionError("unreachable")
