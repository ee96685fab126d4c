"""kill -9 of a warehouse system and of Dockbell, again and again, while one publishes through the other's outbox.

    python -m tests.faults.outbox [--transactions 10000] [--kills 20] [--databases sqlite,postgres] [--nodes 1]

The warehouse system (tests/faults/business.py) commits two of three business transactions in its own PostgreSQL; each
changes an order's version and publishes it. In each round both sides are killed with SIGKILL, each when a random number of
transactions has ended, and started again. At the end every committed transaction must be one event in Dockbell, no other
event may be there, and an order's versions must have come one after the other. Prints a table; the exit code is 1 if a fault
was found.
"""

import argparse
import contextlib
import random
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg

from dockbell.store import events
from dockbell.store.database import open_database
from dockbell.testing.client import Client
from tests.faults.business import GOODS_OWNER, ended, prepare
from tests.faults.cluster import a_cluster
from tests.faults.processes import ROOT, Server, Unable, _environment, pause
from tests.support.outbox import install_outbox, status

ENDS_WITHIN_S = 300.0
SHOWN_FAULTS = 5


@dataclass(frozen=True, slots=True)
class Change:
    """A business transaction: the order it changed, and the version it made."""

    number: int
    order: int
    version: int


def account(committed: Iterable[Change], arrived: Sequence[Change]) -> dict[str, list[str]]:
    """What was committed there against what arrived here, in the order of the events' ids. Faults by their word:

    LOST     committed, and no event
    TWICE    one transaction, several events
    PHANTOM  an event of a transaction that was never committed, or not so
    ORDER    an event of an order behind one that came later
    """
    wanted = {change.number: change for change in committed}
    counted = Counter(change.number for change in arrived)
    versions = defaultdict(list)
    for change in arrived:
        versions[change.order].append(change.version)
    return {
        "LOST": [f"transaction {number}" for number in wanted if not counted[number]],
        "TWICE": [f"transaction {number}: {times} events" for number, times in counted.items() if times > 1],
        "PHANTOM": [f"{change}" for change in arrived if wanted.get(change.number) != change],
        "ORDER": [
            f"order {order}: version {after} behind {before}"
            for order, some in versions.items()
            for before, after in pairwise(some)
            if after < before
        ],
    }


@dataclass(slots=True)
class Run:
    """What one run found."""

    database: str
    faults: dict[str, list[str]]
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def is_clean(self) -> bool:
        return not any(self.faults.values())


class Business:
    """The warehouse system as a process: started, killed, started again until its work is done."""

    def __init__(self, address: str, folder: Path, *, seed: int, rate: float) -> None:
        self._command = [sys.executable, "-m", "tests.faults.business", address, str(seed), str(rate)]
        self.log = folder / "business.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, transactions: int) -> None:
        """It ends by itself when so many have ended, those of its forerunners included."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._command, str(transactions)],
                cwd=ROOT,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def kill(self) -> bool:
        """SIGKILL to this very process; whether it was at work still."""
        if self._process is None:
            return False
        was_working = self._process.poll() is None
        self._process.kill()
        self._process.wait()
        return was_working

    def finish(self) -> None:
        assert self._process is not None
        try:
            code = self._process.wait(ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            raise Unable(f"The warehouse system did not end within {ENDS_WITHIN_S:.0f} s") from None
        if code:
            raise Unable(f"The warehouse system ended with code {code}:\n{self.log.read_text()[-2000:]}")


# --- one run -------------------------------------------------------------------------------------------------------


def run(
    name: str,
    database: str,
    address: str,
    folder: Path,
    *,
    transactions: int,
    kills: int,
    seed: int,
    rate: float,
    nodes: int = 1,
) -> Run:
    """`database` is Dockbell's, `address` that of the warehouse system's own."""
    choose = random.Random(f"{seed} {name}")
    install_outbox(address)
    prepare(address)
    (folder / "outbox.dsn").write_text(address)
    servers = _servers(database, folder, nodes)
    business = Business(address, folder, seed=seed, rate=rate)
    began = time.monotonic()
    with contextlib.ExitStack() as at_the_end:
        for server in servers:  # one after the other: the first makes the schema and the key file
            at_the_end.callback(server.stop)
            server.start()
        client = Client(servers[0].url, servers[0].first_key())
        client.put(f"/api/v1/goodsOwners/{GOODS_OWNER}", {"name": "Nordic Tea AB"})
        client.close()
        at_the_end.callback(business.kill)
        at_work, between = 0, 0
        for number in range(1, kills + 1):
            share = range((number - 1) * transactions // kills, number * transactions // kills)
            business.start(share.stop)
            sides = choose.sample(["Dockbell", "the warehouse system"], 2)
            for side, at in zip(sides, sorted(choose.sample(share, 2)), strict=True):
                _wait_for(address, at)
                if side == "Dockbell":
                    server = choose.choice(servers)
                    server.kill()
                    between += _rows_between(database, address)
                    server.launch()
                else:
                    at_work += business.kill()
                    business.start(share.stop)
                print(f"  {name}: round {number}: {side} killed after {at} transactions", flush=True)
            business.finish()
            for server in servers:
                server.wait_until_it_listens()
        drained_s = _drain(address)
        arrived = _read_events(servers[0])
        told = status(address)
    with psycopg.connect(address) as connection:
        _, rolled_back = ended(connection)
        rows = connection.execute("SELECT number, order_id, version FROM changes").fetchall()
    committed = [Change(*row) for row in rows]
    faults = account(committed, arrived)
    faults["REFUSED"] = [f"{row}" for row in told["newest_refused"]]
    faults["LEFT"] = [f"{told['waiting']} rows in the outbox"] if told["waiting"] else []
    return Run(
        name,
        faults,
        {
            "transactions": len(committed) + len(rolled_back),
            "  committed": len(committed),
            "  rolled back": len(rolled_back),
            "events": len(arrived),
            "nodes": nodes,
            "kills of Dockbell": kills,
            "  rows between the two commits": between,
            "kills of the warehouse system": kills,
            "  while it was at work": at_work,
            "outbox drained after": f"{drained_s:.1f} s",
            "whole run": f"{time.monotonic() - began:.0f} s",
        },
    )


def _servers(database: str, folder: Path, nodes: int) -> list[Server]:
    servers = []
    for number in range(nodes):
        below = folder / f"node-{number}"
        below.mkdir()
        variables = {"KEY_FILE": folder / "dockbell.key", "OUTBOX__DSN_FILE": folder / "outbox.dsn"}
        named = {f"DOCKBELL_{name}": str(value) for name, value in variables.items()}
        servers.append(Server(database, below, more=named))
    return servers


def _wait_for(address: str, transactions: int) -> None:
    """Until so many have ended, one way or the other."""
    began = time.monotonic()
    with psycopg.connect(address, autocommit=True) as connection:
        while sum(map(len, ended(connection))) < transactions:
            if time.monotonic() > began + ENDS_WITHIN_S:
                raise Unable(f"The warehouse system made no {transactions} transactions in {ENDS_WITHIN_S:.0f} s")
            pause(0.02)


def _rows_between(database: str, address: str) -> int:
    """Rows in the outbox whose events a killed Dockbell had committed: the moment between the two commits was hit."""
    with psycopg.connect(address) as connection:
        ids = [str(row[0]) for row in connection.execute("SELECT id FROM dockbell_outbox")]
    opened = open_database(database)
    try:
        return opened.submit_read(
            lambda tx: sum(events.by_publisher_id(tx, GOODS_OWNER, one) is not None for one in ids)
        ).result()
    finally:
        opened.close()


def _drain(address: str) -> float:
    """Wait until nothing waits in the outbox, but not for ever; the seconds that took."""
    began = time.monotonic()
    while status(address)["waiting"] and time.monotonic() < began + ENDS_WITHIN_S:
        pause(0.2)
    return time.monotonic() - began


def _read_events(server: Server) -> list[Change]:
    """Every event over the API, in the order of the ids."""
    client = Client(server.url, server.first_key())
    found = []
    path: str | None = "/api/v1/events?limit=200"
    while path is not None:
        page = client.get(path)
        for item in page["items"]:
            told = item["attributes"]
            found.append((item["id"], Change(told["number"], int(item["key"].rpartition("/")[2]), told["version"])))
        path = f"/api/v1/events?limit=200&cursor={page['nextCursor']}" if page["nextCursor"] else None
    client.close()
    return [change for _, change in sorted(found, key=lambda one: one[0])]


# --- the table -----------------------------------------------------------------------------------------------------


def _print_table(runs: Sequence[Run], seed: int) -> None:
    rows = [("", *(one.database for one in runs))]
    rows += [(name, *(str(one.figures[name]) for one in runs)) for name in runs[0].figures]
    rows += [(name, *(str(len(one.faults[name])) for one in runs)) for name in runs[0].faults]
    print(f"\nSeed {seed}")
    for row in rows:
        print(f"{row[0]:<32}" + "".join(f"{cell:>12}" for cell in row[1:]))
    for one in runs:
        for name, found in one.faults.items():
            for text in found[:SHOWN_FAULTS]:
                print(f"{one.database}: {name}: {text}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.outbox", description="kill -9 on both sides.")
    parser.add_argument("--transactions", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=20, help="of each side")
    parser.add_argument("--databases", default="sqlite,postgres", help="of Dockbell")
    parser.add_argument("--nodes", type=int, default=1, help="of Dockbell; more than one on PostgreSQL only")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    parser.add_argument("--rate", type=float, default=150.0, help="transactions a second")
    asked = parser.parse_args()
    databases = asked.databases.split(",")
    if unknown := set(databases) - {"sqlite", "postgres"}:
        parser.error(f"--databases knows sqlite and postgres, not {', '.join(sorted(unknown))}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the processes of the run end with it
    folder = Path(tempfile.mkdtemp(prefix="dockbell-outbox-"))
    runs: list[Run] = []
    try:
        for name in databases:
            below = folder / name
            below.mkdir()
            with a_cluster() as cluster:
                ours = cluster.url
                with psycopg.connect(ours, autocommit=True) as admin:
                    admin.execute("CREATE DATABASE wms")
                database = str(below / "dockbell.sqlite") if name == "sqlite" else ours
                runs.append(
                    run(
                        name,
                        database,
                        ours.replace("/killed?", "/wms?"),
                        below,
                        transactions=asked.transactions,
                        kills=asked.kills,
                        seed=asked.seed,
                        rate=asked.rate,
                        nodes=asked.nodes if name == "postgres" else 1,
                    )
                )
        _print_table(runs, asked.seed)
    except Unable as error:
        print(f"{error}\nLogs: {folder}", file=sys.stderr)
        return 2
    if all(one.is_clean for one in runs):
        shutil.rmtree(folder)
        return 0
    print(f"Logs: {folder}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
