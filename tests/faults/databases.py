"""What happens to a PostgreSQL: it stops, is killed, falls silent, has no place left, is locked, and is replaced by another."""

import contextlib
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import psycopg

from tests.faults.cluster import DATABASE, DURABLE, Cluster, a_cluster, a_standby
from tests.faults.load import Load, under_load
from tests.faults.processes import Unable, pause
from tests.faults.proxy import Proxy, a_proxy
from tests.faults.scenario import Run, scenario
from tests.support.postgres import NoPostgres

HANGS_AFTER_S = 10.0
HEALS_WITHIN_S = 5.0
LOOKS_S = 20.0


@scenario(
    "T5",
    "PostgreSQL stops, is killed, falls silent, is full, is locked",
    holds=f"no answer takes longer than {HANGS_AFTER_S:.0f} s, 202 again within {HEALS_WITHIN_S:.0f} s, same process",
    short=True,
)
def faults_of_the_database(run: Run) -> None:
    with a_cluster(settings=DURABLE, listens=True) as cluster, a_proxy(cluster.port) as proxy:
        address = f"postgresql://postgres@127.0.0.1:{proxy.port}/{DATABASE}"
        for name, fault in FAULTS.items():
            with under_load(run, "postgres", address=_fresh(cluster, address, name)) as load:
                for _ in range(run.pick(1, 20)):
                    pause(1.5)
                    _suffer(run, load, name, lambda fault=fault: fault(run, cluster, proxy))  # type: ignore[misc]


def _fresh(cluster: Cluster, address: str, name: str) -> str:
    """A database for each fault: their accounts are apart."""
    with psycopg.connect(cluster.url, autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}"')
    return address.replace(f"/{DATABASE}", f"/{name}").replace(" ", "%20")


def _suffer(run: Run, load: Load, name: str, fault: Callable[[], None]) -> None:
    since = time.monotonic()
    fault()
    over = time.monotonic()
    while not load.publishers.kinds(over)[202] and time.monotonic() < over + LOOKS_S:
        pause(0.05)
    pause(HANGS_AFTER_S / 4)  # whoever was held up hears of it now, or hung for longer than anyone should
    healed = min((a.at + a.took_s for a in load.publishers.answers(over) if a.what == 202), default=over + LOOKS_S)
    kinds = {what: count for what, count in load.publishers.kinds(since, over).items() if what != 202}
    slowest_s = load.publishers.slowest_s(since)
    run.figure(
        name, f"healed in {healed - over:.1f} s; slowest answer {slowest_s:.1f} s; meanwhile {kinds or 'only 202'}"
    )
    run.must(healed - over < HEALS_WITHIN_S, f"{name}: 202 again only after {healed - over:.1f} s")
    run.must(slowest_s < HANGS_AFTER_S, f"{name}: an answer took {slowest_s:.1f} s")
    run.must(set(kinds) <= {503}, f"{name}: meanwhile there were answers other than 503: {kinds}")
    run.must(load.node.is_running, f"{name}: the same process goes on")
    run.survived += 1


# --- faults, each over when it returns -----------------------------------------------------------------------------


def _stop_at_once(_run: Run, cluster: Cluster, _proxy: Proxy) -> None:
    cluster.control("stop", "-m", "immediate")
    pause(2.0)
    cluster.control("start")


def _kill(_run: Run, cluster: Cluster, _proxy: Proxy) -> None:
    cluster.kill()
    for _ in range(20):  # its children may hold the shared memory a little longer
        pause(0.5)
        with contextlib.suppress(NoPostgres):
            return cluster.control("start")
    raise Unable("PostgreSQL did not start after it was killed")


def _restart(_run: Run, cluster: Cluster, _proxy: Proxy) -> None:
    cluster.control("restart", "-m", "fast")


def _fall_silent(run: Run, _cluster: Cluster, proxy: Proxy) -> None:
    proxy.weather.is_black_hole = True
    pause(run.pick(14.0, 30.0))
    proxy.weather.is_black_hole = False


def _reset(_run: Run, _cluster: Cluster, proxy: Proxy) -> None:
    for _ in range(5):
        proxy.reset()
        pause(0.2)


def _be_away(_run: Run, _cluster: Cluster, proxy: Proxy) -> None:
    """As a pooler that is started anew: connections end, and for a while there is nobody."""
    proxy.weather.is_refusing = True
    proxy.reset()
    pause(4.0)
    proxy.weather.is_refusing = False


def _take_every_place(run: Run, cluster: Cluster, proxy: Proxy) -> None:
    with contextlib.ExitStack() as taken:
        proxy.reset()  # Dockbell's own places are among those that others take
        with contextlib.suppress(psycopg.OperationalError):
            for _ in range(250):
                taken.enter_context(contextlib.closing(psycopg.connect(cluster.url)))
        pause(run.pick(5.0, 10.0))


def _lock(run: Run, cluster: Cluster, _proxy: Proxy) -> None:
    [(name,)] = _query(
        cluster, "SELECT datname FROM pg_stat_activity WHERE query <> '' AND datname <> current_database() LIMIT 1"
    )
    with psycopg.connect(cluster.url.replace(f"/{DATABASE}", f"/{name.replace(' ', '%20')}")) as locking:
        locking.execute("LOCK TABLE deliveries IN ACCESS EXCLUSIVE MODE")
        pause(run.pick(14.0, 20.0))
        locking.rollback()


def _stop_backends(run: Run, cluster: Cluster, _proxy: Proxy) -> None:
    sql = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    pids = [pid for (pid,) in _query(cluster, sql)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    pause(run.pick(14.0, 20.0))
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def _query(cluster: Cluster, sql: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(cluster.url, autocommit=True) as asking:
        return asking.execute(sql).fetchall()


FAULTS: dict[str, Callable[[Run, Cluster, Proxy], None]] = {
    "stop -m immediate": _stop_at_once,
    "kill -9 of the postmaster": _kill,
    "restart -m fast": _restart,
    "silence, no RST": _fall_silent,
    "RST": _reset,
    "pooler away": _be_away,
    "no connections left": _take_every_place,
    "LOCK TABLE": _lock,
    "SIGSTOP of backends": _stop_backends,
}


# --- failover ------------------------------------------------------------------------------------------------------


@scenario("T6", "PostgreSQL failover to a synchronous standby", holds="goes on against the standby, same process")
def fail_over(run: Run) -> None:
    for _ in range(run.pick(1, 5)):
        _fail_over(run, synchronous=True)
    control = run.as_control("asynchronous")
    _fail_over(control, synchronous=False)
    lost = control.counts["LOST"]
    run.control(
        "asynchronous standby that lags",
        did_harm=lost > 0,
        harm=f"LOST {lost} of {control.events} events; not promised",
    )


def _fail_over(run: Run, *, synchronous: bool) -> None:
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(a_cluster(settings=DURABLE, listens=True))
        second = stack.enter_context(a_standby(first, name="standby"))
        if synchronous:
            first.execute("ALTER SYSTEM SET synchronous_standby_names = 'standby'")
            first.execute("SELECT pg_reload_conf()")
        proxy = stack.enter_context(a_proxy(first.port))
        address = f"postgresql://postgres@127.0.0.1:{proxy.port}/{DATABASE}"
        with under_load(run, "postgres", address=address) as load:
            pause(3.0)
            lagging = None if synchronous else _wal_receiver(second)
            if lagging is not None:
                os.kill(lagging, signal.SIGSTOP)
                pause(2.0)
            first.kill()
            if lagging is not None:
                os.kill(lagging, signal.SIGTERM)  # before it reads on: what it has not got is gone with the first
                os.kill(lagging, signal.SIGCONT)
            proxy.weather.is_refusing = True
            proxy.reset()
            second.control("promote")
            proxy.to_port = second.port
            proxy.weather.is_refusing = False
            over = time.monotonic()
            while not load.publishers.kinds(over)[202] and time.monotonic() < over + LOOKS_S:
                pause(0.05)
            run.figure("202 again after the promotion", f"{time.monotonic() - over:.1f} s")
            run.must(load.node.is_running, "the same process goes on after a failover")
            run.survived += 1
            pause(2.0)


def _wal_receiver(standby: Cluster) -> int:
    [(pid,)] = _query(standby, "SELECT pid FROM pg_stat_wal_receiver")
    return int(pid)
