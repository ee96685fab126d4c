"""kill -9, again and again, while events are published; then every history is held against the others.

    python -m tests.faults.kill [--kills 10] [--databases sqlite,postgres] [--seed N] [--rate 150]

For each database: `dockbell serve` is killed with SIGKILL at random moments under load and started again. The publisher
asks again with the same id until it is answered 202; the receivers live in a process of their own and write down what
comes before they answer. Then the load stops, the backlog drains, and what was published, what arrived and what the log
says over the API go through tests/faults/accounting.py. Prints a table; the exit code is 1 if a fault was found or the
backlog did not drain. Histories of a run with faults are kept.
"""

import argparse
import base64
import contextlib
import hashlib
import json
import random
import secrets
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from dockbell.clock import SECOND, SystemClock
from dockbell.testing.client import Client
from tests.faults.accounting import (
    FAULTS,
    Account,
    Attempt,
    Logged,
    Publication,
    Receipt,
    Webhook,
    account,
    needs_attempts,
)
from tests.faults.processes import Server, Unable, pause, postgres, receivers
from tests.faults.publisher import FJORD, TEA, Publishers, ask_again

READERS = 4
DRAINS_WITHIN_S = 180.0
ALIVE_S = (0.2, 8.0)
"""How long a Dockbell lives before it is killed, from the moment it answers."""
SHOWN_FAULTS = 5


@dataclass(frozen=True, slots=True)
class Target:
    """A webhook of the run, and which events it wants."""

    name: str
    kind: str
    goods_owners: tuple[int, ...]
    transporter: str | None = None
    max_concurrency: int = 64
    """Attempts that a killed Dockbell left behind count against it until their leases end: few would still the webhook,
    and later kills would find nothing under way. One webhook has the usual four, to be such a one."""

    def wants(self, goods_owner: int, transporter: str) -> bool:
        return goods_owner in self.goods_owners and self.transporter in (None, transporter)


TARGETS = (
    Target("Tea", "regular", (TEA,)),
    Target("Fjord", "regular", (FJORD,)),
    Target("All goods", "automation", (TEA, FJORD)),
    Target("DHL of Tea", "automation", (TEA,), transporter="DHL", max_concurrency=4),
)


@dataclass(slots=True)
class Run:
    """What one run found."""

    database: str
    account: Account
    figures: dict[str, Any] = field(default_factory=dict)
    open_at_the_end: int = 0

    @property
    def is_clean(self) -> bool:
        return self.account.is_clean and not self.open_at_the_end


# --- one run -------------------------------------------------------------------------------------------------------


def run(name: str, database: str, folder: Path, *, kills: int, seed: int, rate: float) -> Run:
    choose = random.Random(f"{seed} {name}")
    signing = ["whsec_" + base64.b64encode(hashlib.sha256(t.name.encode()).digest()).decode() for t in TARGETS]
    received = folder / "received.jsonl"
    received.touch()
    server = Server(database, folder)
    with contextlib.ExitStack() as at_the_end:
        ports = at_the_end.enter_context(receivers(received, seed, signing))
        at_the_end.callback(server.stop)
        server.start()
        key = server.first_key()
        ids = _set_up(server, key, ports, signing)
        publishers = Publishers(server.url, key, rate=rate, seed=seed)
        at_the_end.callback(publishers.finish)
        publishers.start()
        starts_s = _kill_and_start(server, kills, choose, name)
        load_ended_at = SystemClock().now()
        sent = publishers.finish()
        stopped_at = time.monotonic()
        client = Client(server.url, key)
        asked_again = ask_again(client, sent, choose)
        still_open, drained_s = _drain(client, stopped_at)
        receipts = [_receipt(line, ids) for line in received.read_text().splitlines()]
        log = _read_log(server.url, key, Counter(receipt.delivery_id for receipt in receipts))
        client.close()
    publications = [
        Publication(
            one.number,
            one.goods_owner,
            one.data,
            frozenset(ids[n] for n, t in enumerate(TARGETS) if t.wants(one.goods_owner, one.transporter)),
            frozenset(one.event_ids),
        )
        for one in sent
    ]
    webhooks = [Webhook(ids[n], frozenset(t.goods_owners), "webhookOrdersId") for n, t in enumerate(TARGETS)]
    found = account(webhooks, publications, receipts, log)
    for kind, histories in (("published", publications), ("log", log)):
        lines = (json.dumps(asdict(one), default=sorted, ensure_ascii=False) for one in histories)
        (folder / f"{kind}.jsonl").write_text("\n".join(lines))
    if refused := [one.refused for one in sent if one.refused]:
        raise Unable(f"Dockbell refused {len(refused)} events: {refused[0]}")
    codes = Counter(attempt.code for row in log for attempt in row.attempt_list or ())
    return Run(
        name,
        found,
        {
            "kills": kills,
            "events published": found.published,
            "  asked again, answer lost": sum(bool(one.unanswered) for one in sent),
            "  asked again, answer known": asked_again,
            "events accepted": found.accepted,
            "deliveries wanted": found.wanted,
            "requests received": found.received,
            "  answered 500": sum(receipt.answered == 500 for receipt in receipts),
            "deliveries delivered": found.statuses["delivered"],
            "  pending, sending, held": sum(found.statuses[s] for s in ("pending", "sending", "held")),
            "  failed, cancelled": found.statuses["failed"] + found.statuses["cancelled"],
            "attempts interrupted": codes["interrupted"],
            "start, longest": f"{max(starts_s, default=0):.1f} s",
            "a webhook's longest silence": f"{_longest_silence_s(receipts, load_ended_at):.1f} s",
            "backlog drained after": f"{drained_s:.0f} s",
        },
        still_open,
    )


def _set_up(server: Server, key: str, ports: Sequence[int], signing: Sequence[str]) -> list[int]:
    """Goods owners and webhooks; the webhooks' ids in the order of TARGETS."""
    client = Client(server.url, key)
    client.put(f"/api/v1/goodsOwners/{TEA}", {"name": "Nordic Tea AB"})
    client.put(f"/api/v1/goodsOwners/{FJORD}", {"name": "Fjord Outdoor AS"})
    ids = []
    for target, port, secret in zip(TARGETS, ports, signing, strict=True):
        document = {
            "name": target.name,
            "kind": target.kind,
            "eventType": "order.picked",
            "goodsOwnerIds": list(target.goods_owners),
            "targetUrl": f"http://127.0.0.1:{port}/hook",
            "signingSecret": secret,
            "filters": {"transporters": [] if target.transporter is None else [target.transporter]},
            "retryPolicy": {"name": "own", "stepsInSeconds": [1, 1, 1, 1, 2, 2, 3, 3, 5, 5]},
            "timeoutInSeconds": 2,
            "maxConcurrency": target.max_concurrency,
        }
        ids.append(int(client.post("/api/v1/webhooks", document)["id"]))
    client.close()
    return ids


def _kill_and_start(server: Server, kills: int, choose: random.Random, name: str) -> list[float]:
    """How many seconds each later Dockbell took until it listened."""
    starts_s = []
    for number in range(1, kills + 1):
        alive_s = choose.uniform(*ALIVE_S)
        pause(alive_s)
        server.kill()
        starts_s.append(server.start())
        print(f"  {name}: kill {number} after {alive_s:.2f} s, up again in {starts_s[-1]:.2f} s", flush=True)
    pause(1.0)
    return starts_s


def _drain(client: Client, stopped_at: float) -> tuple[int, float]:
    """Wait until nothing is due or under way; what is still open, and the seconds since the load stopped."""
    while True:
        still_open = sum(
            len(client.get(f"/api/v1/deliveries?status={status}&limit=200")["items"])
            for status in ("pending", "sending")
        )
        waited_s = time.monotonic() - stopped_at
        if not still_open or waited_s > DRAINS_WITHIN_S:
            return still_open, waited_s
        pause(0.25)


def _read_log(url: str, key: str, received: Counter[str]) -> list[Logged]:
    """Every delivery over the API; with its attempts where one attempt and one receipt do not explain each other."""
    client = Client(url, key)
    rows: list[Logged] = []
    path: str | None = "/api/v1/deliveries?limit=200"
    while path is not None:
        page = client.get(path)
        rows += [
            Logged(
                row["eventId"],
                row["webhookId"],
                row["goodsOwnerId"],
                int(row["object"].rpartition("/")[2]),
                row["status"],
                row["attempts"],
            )
            for row in page["items"]
        ]
        path = f"/api/v1/deliveries?limit=200&cursor={page['nextCursor']}" if page["nextCursor"] else None
    client.close()
    with ThreadPoolExecutor(READERS) as pool:
        own = threading.local()

        def with_attempts(row: Logged) -> Logged:
            if not needs_attempts(row, received[row.delivery_id]):
                return row
            if not hasattr(own, "client"):
                own.client = Client(url, key)
            listed = own.client.get(f"/api/v1/deliveries/{row.delivery_id}/attempts")["items"]
            attempts = tuple(Attempt(a["attemptNo"], a["code"], a.get("statusCode")) for a in listed)
            return replace(row, attempt_list=attempts)

        return list(pool.map(with_attempts, rows))


def _receipt(line: str, ids: Sequence[int]) -> Receipt:
    told = json.loads(line)
    return Receipt(
        ids[told["place"]], told["id"], told["body"], told["signed"], told["answered"], told["at"], told["connection"]
    )


def _longest_silence_s(receipts: Sequence[Receipt], until: int) -> float:
    """How long a webhook heard nothing while events for it were published, at worst."""
    at: dict[int, list[int]] = {}
    for receipt in receipts:
        if receipt.at < until:
            at.setdefault(receipt.webhook, []).append(receipt.at)
    return (
        max((after - before for each in at.values() for before, after in pairwise([*each, until])), default=0) / SECOND
    )


# --- the table -----------------------------------------------------------------------------------------------------


def _print_table(runs: Sequence[Run], seed: int) -> None:
    rows = [("", *(one.database for one in runs))]
    rows += [(name, *(str(one.figures[name]) for one in runs)) for name in runs[0].figures]
    rows += [("explained DUP", *(str(one.account.explained_dups) for one in runs))]
    rows += [(name, *(str(len(one.account.faults[name])) for one in runs)) for name in FAULTS]
    print(f"\nSeed {seed}")
    for row in rows:
        print(f"{row[0]:<28}" + "".join(f"{cell:>12}" for cell in row[1:]))
    for one in runs:
        for name, found in one.account.faults.items():
            for text in found[:SHOWN_FAULTS]:
                print(f"{one.database}: {name}: {text}")
        if one.open_at_the_end:
            print(f"{one.database}: {one.open_at_the_end} or more deliveries still open after {DRAINS_WITHIN_S:.0f} s")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.kill", description="kill -9 under load, and account.")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--databases", default="sqlite,postgres")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    parser.add_argument("--rate", type=float, default=150.0, help="events a second")
    parser.add_argument("--keep", action="store_true", help="keep the histories also when all is well")
    asked = parser.parse_args()
    databases = asked.databases.split(",")
    if unknown := set(databases) - {"sqlite", "postgres"}:
        parser.error(f"--databases knows sqlite and postgres, not {', '.join(sorted(unknown))}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the processes of the run end with it
    print(f"Seed {asked.seed}; {asked.kills} kills on each of {', '.join(databases)}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="dockbell-kill-"))
    runs: list[Run] = []
    try:
        for name in databases:
            below = folder / name
            below.mkdir()
            with contextlib.ExitStack() as stack:
                database = str(below / "dockbell.sqlite") if name == "sqlite" else stack.enter_context(postgres())
                runs.append(run(name, database, below, kills=asked.kills, seed=asked.seed, rate=asked.rate))
        _print_table(runs, asked.seed)
    except Unable as error:
        print(f"{error}\nHistories: {folder}", file=sys.stderr)
        return 2
    if asked.keep or not all(one.is_clean for one in runs):
        print(f"Histories: {folder}")
    else:
        shutil.rmtree(folder)
    return 0 if all(one.is_clean for one in runs) else 1


if __name__ == "__main__":
    sys.exit(main())
