"""How it is with much in the store: a long log, a long queue, a start beside one, and many deliveries one after another."""

import time
from collections.abc import Iterator

from bench import systems
from bench.lab import Lab
from bench.machine import Process, Unable, rss_bytes, running
from bench.measure import asked
from bench.scenario import COSTS, RATES, scenario, turned
from bench.stocks import Contents
from bench.systems import Shape, Site
from bench.targets import Against, Run, Target

WEBHOOKS, ATTEMPTS = 100_000, 10_000_000
PENDING = 1_000_000


@scenario(
    "full-store",
    "(f) 100,000 webhooks and 10,000,000 attempts in the log",
    Target("of (a)'s rate on an empty store", "delivered and logged/s", 0.9, at_least=True, case="full store",
           against=Against()),
    tables=((*RATES, "built in s", "GB on disk", "MB in memory"), COSTS),
)  # fmt: skip
def full_store(lab: Lab, turn: int) -> Iterator[Run]:
    """(a) on an empty store and on a full one in turn. The full one is made once, by SQL of the bench's own: a month of
    events to four webhooks each, all delivered and counted, and as many webhooks of other goods owners. --scale makes
    it smaller.
    """
    contents = Contents(webhooks=lab.size(WEBHOOKS), attempts=lab.size(ATTEMPTS))
    for system in turned(lab.databases, turn):
        site = lab.stock(system, Shape(), contents)
        size = {"built in s": lab.took_s(site), "GB on disk": site.log.stored_bytes() / 1e9}
        yield lab.run(system, lab.load())
        run = lab.run(system, lab.load(), case="full store", site=site)
        note = f"{contents.webhooks:,} webhooks, {contents.attempts:,} attempts"
        yield Run(system, {**run.figures, **size}, run.case, run.events, run.judged, run.faults, (note,))


@scenario(
    "pending",
    "(j), (k) A start with 1,000,000 deliveries pending",
    Target("MB in memory", "most MB in memory", 300),
    Target("s from the start to the first delivery", "first delivery after s", 5),
    tables=(("first delivery after s", "listens after s", "most MB in memory", "delivered/s", "others' CPU %"),),
)
def pending(lab: Lab, turn: int) -> Iterator[Run]:
    """Dockbell is started on a store with so many deliveries due, 50 webhooks' by turns, and works them off for a while.
    Memory is the most that its process had resident, from the start to the end of that while.
    """
    for system in turned(lab.databases, turn):
        yield _started(lab, system, lab.stock(system, Shape(), Contents(pending=lab.size(PENDING))))


def _started(lab: Lab, system: str, site: Site) -> Run:
    asked(site.receiver, "forget")
    before, began = site.log.pending(), time.monotonic()
    port = systems.free_port()
    with running(systems.a_node(site, port)) as node:
        systems.await_port(port, node)
        listens_s = time.monotonic() - began
        first_at = _first_delivery(site, node, until=began + 60)
        time.sleep(lab.seconds)
        most = rss_bytes(node.pid, most=True)
        seconds, received = time.monotonic() - first_at, asked(site.receiver, "count")["requests"]
    report = asked(site.receiver, f"report {site.folder}")
    ids = (site.folder / "received").read_bytes().split()
    figures = {
        "first delivery after s": first_at - began,
        "listens after s": listens_s,
        "most MB in memory": most / 1e6,
        "delivered/s": received / seconds,
    }
    faults = [f"receivers found {report['problems']}"] if report["problems"] else []
    if len(ids) != len(set(ids)):
        faults.append(f"{len(ids) - len(set(ids))} requests arrived twice")
    return Run(system, figures, faults=tuple(faults), notes=(f"{before:,} deliveries were pending",))


def _first_delivery(site: Site, node: Process, *, until: float) -> float:
    while time.monotonic() < until:
        if first_at := asked(site.receiver, "count")["first_at"]:
            return float(first_at)
        time.sleep(0.02)
    raise Unable(f"nothing was delivered within a minute of the start:\n{node.end_of_log()}")
