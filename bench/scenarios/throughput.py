"""How many events: one a request, many a request, to many webhooks, over TLS, and what PostgreSQL does for one."""

from collections.abc import Iterator

from bench.lab import DIRECT, POSTGRES, RELAY, SQLITE, Lab
from bench.scenario import COSTS, RATES, scenario, turned
from bench.systems import Shape
from bench.targets import Against, Run, Target

DELIVERED = "delivered and logged/s"
TO_RELAY = Against(system=RELAY)


@scenario(
    "one-event",
    "(a) One event a request",
    Target("of the relay's rate", DELIVERED, 0.35, at_least=True, against=TO_RELAY, systems=frozenset({SQLITE})),
    Target("of the relay's rate", DELIVERED, 0.30, at_least=True, against=TO_RELAY, systems=frozenset({POSTGRES})),
)
def one_event(lab: Lab, turn: int) -> Iterator[Run]:
    """64 connections, each sending its next event when the last one was answered; 50 goods owners take turns, each with
    one webhook and a receiver of its own.
    """
    for system in turned((DIRECT, RELAY, *lab.databases), turn):
        yield lab.run(system, lab.load())


@scenario(
    "batches",
    "(b) 100 events a request",
    Target("events/s, of (a)'s", DELIVERED, 2, at_least=True, case="100 a request", against=Against()),
)
def batches(lab: Lab, turn: int) -> Iterator[Run]:
    """16 connections; the events of a request are all of one goods owner, so of one receiver. Counted are events that
    were delivered and logged, not those that were only accepted.
    """
    for system in turned(lab.databases, turn):
        yield lab.run(system, lab.load())
        yield lab.run(system, lab.load(connections=16, events_a_request=100), case="100 a request")


@scenario(
    "fan-out",
    "(c) One event to ten webhooks",
    Target("deliveries/s, of (a)'s", DELIVERED, 1.5, at_least=True, case="ten webhooks", against=Against()),
)
def fan_out(lab: Lab, turn: int) -> Iterator[Run]:
    """CPU is per event, so for ten deliveries; accepted is events, delivered is deliveries."""
    for system in turned(lab.databases, turn):
        yield lab.run(system, lab.load())
        yield lab.run(system, lab.load(shape=Shape(fan_out=10)), case="ten webhooks")


@scenario(
    "https",
    "(d) Receivers over TLS",
    Target("of (a)'s rate", DELIVERED, 0.7, at_least=True, case="TLS", against=Against()),
)
def https(lab: Lab, turn: int) -> Iterator[Run]:
    """Connections are kept alive, as receivers do: handshakes fall into the warm-up."""
    for system in turned(lab.databases, turn):
        yield lab.run(system, lab.load())
        yield lab.run(system, lab.load(shape=Shape(tls=True)), case="TLS")


@scenario(
    "nodes",
    "(i) PostgreSQL with one, two and three nodes",
    Target("CPU an event, of one node's", "product us", 1.2, case="3 nodes", against=Against(case="1 node")),
    tables=((*RATES, "product us"), COSTS),
)
def nodes(lab: Lab, turn: int) -> Iterator[Run]:
    """The load of (a), its connections shared out among the nodes. CPU is that of all nodes and PostgreSQL together
    ("product"); the ids that arrived are counted, so work done twice would be a fault.
    """
    if POSTGRES in lab.databases:
        for count in (1, 2, 3)[:: -1 if turn % 2 else 1]:
            case = f"{count} nodes" if count > 1 else "1 node"
            yield lab.run(POSTGRES, lab.load(), nodes=count, case=case)


@scenario("postgres", "What PostgreSQL does for an event", tables=(RATES, COSTS))
def postgres(lab: Lab, turn: int) -> Iterator[Run]:  # noqa: ARG001
    """The load of (a), at full speed and at a tenth of it, where fewer events share a commit. Statements and commits are
    counted by pg_stat_statements, which is on for this scenario alone; BEGIN and COMMIT are not among the statements.
    """
    if POSTGRES in lab.databases:
        slow = lab.plain_rate(POSTGRES) / 10
        yield lab.run(POSTGRES, lab.load(), case="full speed", counted=True)
        yield lab.run(POSTGRES, lab.load(rate=slow), case="a tenth of it", counted=True)
