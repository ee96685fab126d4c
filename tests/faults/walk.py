"""A random walk beside a model of Dockbell (tests/faults/model.py), for many seeds and on both databases.

    python -m tests.faults --only T24 [--full] [--seed N] [--minutes N]

--full is 50 seeds of 10,000 steps on both databases (why so many: docs/decisions/0014-walks.md), as many at once as there are
cores, which takes hours; after --minutes no further one begins.
"""

import contextlib
import logging
import math
import multiprocessing
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import psycopg
import structlog
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from dockbell.domain import breaker
from dockbell.store import backlog
from dockbell.store.database import open_database
from dockbell.store.migrate import migrate
from dockbell.testing.clock import START
from tests.faults.cluster import DATABASE, a_cluster
from tests.faults.model import Addresses, Machine
from tests.faults.scenario import Run, scenario

STEPS_A_WALK = 100
"""Planted mistakes are met after fewer steps than in longer walks: docs/decisions/0014-walks.md."""


@scenario(
    "T24",
    "a random walk of publishing, failing, switching, moving, deleting, resending, sending what was missed and crashing, beside a model",
    holds="after each step the log is what the model says",
    short=True,
)
def walk(run: Run) -> None:
    seeds, steps = run.pick(2, 50), run.pick(500, 10_000)
    until = time.monotonic() + 60 * run.minutes if run.minutes else math.inf
    with a_cluster() as cluster:
        places = {"sqlite": str(run.below("sqlite")), "postgres": cluster.url}
        with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as processes:
            walks = [
                (kind, processes.submit(_walk_apart, kind, place, run.seed + number, steps, until))
                for number in range(seeds)
                for kind, place in places.items()
            ]
            try:
                ended = [(kind, one.result()) for kind, one in walks]
            finally:
                processes.shutdown(cancel_futures=True)
    for kind in places:
        compared = [steps for of, steps in ended if of == kind and steps is not None]
        run.survived += len(compared)
        run.figure(
            f"seeds on {kind}",
            f"{len(compared)} of {seeds}, each with {steps:,} steps; {sum(compared):,} of them changed something and were compared",
        )
    _walk_with_a_mistake(run)


def _walk_with_a_mistake(run: Run) -> None:
    """The control: what was held stays held when its webhook is switched on."""
    usual = backlog._RELEASE
    backlog._RELEASE = backlog._RELEASE.replace("status = 'pending'", "status = 'held'")
    told = "none found"
    try:
        Machine.address = staticmethod(_sqlite_files(run.as_control("mistake").below("sqlite")))
        for number in range(10):  # by chance a walk never switches on what has something held
            _walk(run.seed + number, 2_000)
    except AssertionError as found:
        told = str(found)[:120]
    finally:
        backlog._RELEASE = usual
    run.control("what was held is never released", did_harm=told.startswith("the node has"), harm=told)


def _walk_apart(kind: str, place: str, number: int, steps: int, until: float) -> int | None:
    """In a process of its own: how many steps were compared; None if it is too late to begin."""
    if time.monotonic() > until:
        return None
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    addresses = _postgres_databases(place, f"walk-{number}") if kind == "postgres" else _sqlite_files(Path(place))
    Machine.address, Machine.steps = staticmethod(addresses), 0
    _walk(number, steps)
    return Machine.steps


def _walk(number: int, steps: int) -> None:
    """So many steps, by the STEPS_A_WALK on an empty database."""
    # The breaker holds deliveries back by rates and clocks of its own, and has tests of its own: here it never opens.
    breaker.IN_A_ROW = breaker.WATCHED = 1 << 30
    chosen = settings(
        max_examples=max(2, steps // STEPS_A_WALK),
        stateful_step_count=STEPS_A_WALK,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    seed(number)(Machine)
    run_state_machine_as_test(Machine, settings=chosen)


def _sqlite_files(folder: Path) -> Addresses:
    @contextlib.contextmanager
    def a_file() -> Iterator[str]:
        with tempfile.TemporaryDirectory(dir=folder) as below:
            yield f"{below}/dockbell.sqlite"

    return a_file


def _postgres_databases(url: str, name: str) -> Addresses:
    """Copies of one that has its tables already: to make those takes longer than many steps."""
    made = 0

    def address(of: str) -> str:
        return url.replace(f"/{DATABASE}?", f"/{of}?")

    def execute(sql: str) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(sql)

    execute(f'CREATE DATABASE "{name}"')
    with contextlib.closing(open_database(address(name))) as database:
        migrate(database, now=START)

    @contextlib.contextmanager
    def a_database() -> Iterator[str]:
        nonlocal made
        made += 1
        execute(f'CREATE DATABASE "{name}-{made}" TEMPLATE "{name}" STRATEGY FILE_COPY')
        try:
            yield address(f"{name}-{made}")
        finally:
            execute(f'DROP DATABASE "{name}-{made}" WITH (FORCE)')

    return a_database
