"""How long an event takes: at half speed, beside receivers that hang, beside a backlog."""

import time
from collections.abc import Iterator
from dataclasses import replace

from bench.lab import RELAY, Lab
from bench.measure import Load
from bench.scenario import COSTS, TIMES, scenario, turned
from bench.stocks import Contents
from bench.systems import Shape, Site
from bench.targets import Against, Run, Target

SENT_P99 = "sent to received p99 ms"
PACED = (("accepted/s", *TIMES, "last outcome after s", "others' CPU %"), COSTS)


@scenario(
    "latency",
    "(e) Latency at half of (a)'s rate",
    *(
        Target(
            "p99 from sent to received, of the relay's at that rate",
            SENT_P99,
            10,
            case=f"half of {system}'s rate",
            against=Against(f"half of {system}'s rate", RELAY),
        )
        for system in ("SQLite", "PostgreSQL")
    ),
    tables=PACED,
)
def latency(lab: Lab, turn: int) -> Iterator[Run]:
    """Events become due at an even pace, whether or not the last ones were answered. A relay accepts an event only when
    the receiver has it, so both are measured from the moment the event was sent; what a publisher of Dockbell sees, from
    accepted to received, stands beside it.
    """
    for database in turned(lab.databases, turn):
        rate = lab.plain_rate(database) / 2
        case = f"half of {database.rpartition(' ')[2]}'s rate"
        for system in (RELAY, database)[:: -1 if turn % 2 else 1]:
            yield lab.run(system, lab.load(rate=rate), case=case)


HEALTHY, HANGING = Shape(receivers=100, unwatched=20, timeout_s=2), Shape(100, unwatched=20, silent=20, timeout_s=2)


@scenario(
    "hanging",
    "(g) 20 of 100 receivers hang",
    Target("p99 of the healthy, of that when all answer", SENT_P99, 1.2, case="20 hang, half speed",
           against=Against(case="all answer, half speed")),
    tables=(("events/s", "accepted/s", *TIMES, "answer p99 ms", "others' CPU %"), ("Dockbell us", "PostgreSQL us")),
)  # fmt: skip
def hanging(lab: Lab, turn: int) -> Iterator[Run]:
    """100 receivers get the same number of events each; 20 of them take requests and never answer, until the webhooks'
    timeout of 2 s. Rates (events/s) and times are those of the other 80. At full speed for the rate, at half of (a)'s
    for the times.
    """
    for system in turned(lab.databases, turn):
        half = lab.plain_rate(system) / 2
        for rate, speed in ((None, "full speed"), (half, "half speed")):
            for shape, case in ((HEALTHY, "all answer"), (HANGING, "20 hang")):
                # Longer than the others: the warm-up must see attempts end by their timeout.
                load = lab.load(seconds=1.5 * lab.seconds, shape=shape, rate=rate)
                yield lab.run(system, load, case=f"{case}, {speed}")


BESIDE = Shape(receivers=100, aside=50)
BACKLOG = 500_000


@scenario(
    "backlog",
    "(h) Fresh events beside a backlog of 500,000",
    Target("p99 of the fresh, of that without backlog", SENT_P99, 2, case="backlog", against=Against(case="idle")),
    tables=(("backlog/s", *TIMES, "answer p99 ms", "accepted/s", "others' CPU %"), ("Dockbell us", "PostgreSQL us")),
)
def backlog(lab: Lab, turn: int) -> Iterator[Run]:
    """Fresh events of 50 webhooks at a quarter of (a)'s rate, while deliveries of 50 other webhooks are due that were
    stored before. The backlog is not drained to its end: what is measured is the time while it is there.
    """
    for system in turned(lab.databases, turn):
        load = lab.load(shape=BESIDE, rate=lab.plain_rate(system) / 4)
        yield lab.run(system, load, case="idle", site=lab.stock(system, BESIDE, Contents()))
        site = lab.stock(system, BESIDE, Contents(pending=lab.size(BACKLOG)))
        yield with_backlog(lab, system, load, site)


def with_backlog(lab: Lab, system: str, load: Load, site: Site) -> Run:
    before, began = site.log.pending(), time.monotonic()
    run = lab.run(system, load, case="backlog", site=site)
    left, took = site.log.pending(), time.monotonic() - began
    notes = () if left else ("the backlog was drained before the end, so a part of this ran without it",)
    return replace(run, figures={**run.figures, "backlog/s": (before - left) / took}, notes=notes)
