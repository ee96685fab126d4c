"""A load for faults to happen under: Dockbells, receivers and publishers, and in the end the accounting of it all.

    with under_load(run, "sqlite") as load:
        ...                                  # the fault: kill load.node, take its disk away
    # here the load has ended, the backlog has drained, and the histories were held against each other

The publishers ask again with the same id until they are answered 202; the receivers live in a process of their own and write
down what comes before they answer. Histories are kept as files (tests/faults/histories.py).
"""

import base64
import contextlib
import hashlib
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from dockbell.clock import to_moment
from dockbell.testing.client import Client
from tests.faults import histories
from tests.faults.accounting import Account, Attempt, Logged, Publication, Receipt, Webhook, needs_attempts
from tests.faults.cluster import a_cluster
from tests.faults.processes import DOCKBELL, Server, Unable, pause, receivers
from tests.faults.proxy import Proxy
from tests.faults.publisher import FJORD, TEA, Publishers, Sent, ask_again
from tests.faults.scenario import Run

READERS = 4
DRAINS_WITHIN_S = 180.0
LOOKS = 3
QUICK_STEPS = (1, 1, 1, 1, 2, 2, 3, 3, 5, 5)
RATE = 150.0


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
class Load:
    """What a fault may lay hands on while the load is on, and what was found when it has ended."""

    folder: Path
    database: str
    nodes: list[Server]
    key: str
    ids: list[int]
    """The webhooks' ids, in the order of TARGETS."""
    publishers: Publishers
    ports: list[int]
    """Of the receivers."""
    others: set[int]
    """Webhooks that a scenario made itself; their deliveries are no matter of the accounting."""
    may_end: frozenset[str] = frozenset()
    """Statuses in which the scenario expects some deliveries to end, besides delivered; all others are faults."""
    account: Account | None = None
    drained_s: float = 0.0
    codes: Counter[str] | None = None
    """Of the attempts that the log was asked for."""

    @property
    def node(self) -> Server:
        return self.nodes[0]

    def client(self) -> Client:
        return Client(self.node.url, self.key)

    def receipts(self) -> list[Receipt]:
        return histories.receipts(self.folder, self.ids)

    def wait_for_receipts(self, more: int, within_s: float = 30.0) -> float:
        """Until so many requests have come from now on; the seconds that took."""
        began, file = time.monotonic(), self.folder / "received.jsonl"
        at = file.stat().st_size
        while time.monotonic() < began + within_s:
            with file.open("rb") as reading:
                reading.seek(at)
                if reading.read().count(b"\n") >= more:
                    return time.monotonic() - began
            pause(0.02)
        raise Unable(f"no {more} requests came within {within_s:.0f} s")


@contextlib.contextmanager
def under_load(
    run: Run,
    kind: str,
    *,
    address: str | None = None,
    folder: Path | None = None,
    data: Path | None = None,
    nodes: int = 1,
    rate: float = RATE,
    program: Sequence[str] = DOCKBELL,
    around: Sequence[str] = (),
    more: Mapping[str, str] | None = None,
    before: Mapping[int, Proxy] | None = None,
    fails: float = 0.15,
    late_s: float = 0.04,
    drains_within_s: float = DRAINS_WITHIN_S,
    may_end: Collection[str] = (),
    **settings: str,
) -> Iterator[Load]:
    """Dockbell on a database of the kind (or at `address`), under load while the `with` lasts; accounted for after it.

    `data` is where SQLite's file lies, if not beside the rest; `before` puts a proxy between Dockbell and the receiver of
    a place. `may_end` names statuses that the fault may leave a delivery in, besides delivered.
    """
    folder = folder or run.below(kind)
    (folder / "received.jsonl").touch()
    with contextlib.ExitStack() as at_the_end:
        if address is None and kind == "postgres":
            address = at_the_end.enter_context(a_cluster()).url
        database = address or str((data or folder) / "dockbell.sqlite")
        signing = ["whsec_" + base64.b64encode(hashlib.sha256(t.name.encode()).digest()).decode() for t in TARGETS]
        ports = at_the_end.enter_context(
            receivers(folder / "received.jsonl", run.seed, signing, fails=fails, late_s=late_s)
        )
        urls = [f"http://127.0.0.1:{port}/hook" for port in ports]
        for place, proxy in (before or {}).items():
            proxy.to_port, urls[place] = ports[place], f"http://127.0.0.1:{proxy.port}/hook"
        servers = _nodes(folder, database, nodes, program, around, {**(more or {}), **settings})
        for server in servers:  # one after the other: the first makes the schema and the key file
            at_the_end.callback(server.stop)
            server.start()
        key = servers[0].first_key()
        ids = _set_up(servers[0].url, key, urls, signing)
        publishers = Publishers([server.url for server in servers], key, rate=rate, seed=run.seed)
        load = Load(folder, database, servers, key, ids, publishers, ports, set(), frozenset(may_end))
        at_the_end.callback(publishers.finish)
        publishers.start()
        yield load
        _end(run, load, drains_within_s)


def _nodes(
    folder: Path,
    database: str,
    count: int,
    program: Sequence[str],
    around: Sequence[str],
    more: Mapping[str, str],
) -> list[Server]:
    """Each with a folder and a log of its own, all with one key file."""
    servers = []
    for number in range(count):
        below = folder / f"node-{number}"
        below.mkdir()
        variables = {"DOCKBELL_KEY_FILE": str(folder / "dockbell.key"), **more}
        servers.append(Server(database, below, program=program, around=around, more=variables))
    return servers


def _set_up(url: str, key: str, targets: Sequence[str], signing: Sequence[str]) -> list[int]:
    """Goods owners and webhooks; the webhooks' ids in the order of TARGETS."""
    client = Client(url, key)
    client.put(f"/api/v1/goodsOwners/{TEA}", {"name": "Nordic Tea AB"})
    client.put(f"/api/v1/goodsOwners/{FJORD}", {"name": "Fjord Outdoor AS"})
    ids = []
    for target, target_url, secret in zip(TARGETS, targets, signing, strict=True):
        document = {
            "name": target.name,
            "kind": target.kind,
            "eventType": "order.picked",
            "goodsOwnerIds": list(target.goods_owners),
            "targetUrl": target_url,
            "signingSecret": secret,
            "filters": {"transporters": [] if target.transporter is None else [target.transporter]},
            "retryPolicy": {"name": "own", "stepsInSeconds": list(QUICK_STEPS)},
            "timeoutInSeconds": 2,
            "maxConcurrency": target.max_concurrency,
        }
        ids.append(int(client.post("/api/v1/webhooks", document)["id"]))
    client.close()
    return ids


def _end(run: Run, load: Load, drains_within_s: float) -> None:
    """End the load, let the backlog drain, read the log and hold the histories against each other."""
    ended_at = time.monotonic()
    sent = load.publishers.finish()
    client = load.client()
    ask_again(client, sent, run.choose)
    still_open, load.drained_s = _drain(client, load, ended_at, drains_within_s)
    client.close()
    receipts = load.receipts()
    log = _read_log(load, Counter(receipt.delivery_id for receipt in receipts))
    load.codes = Counter(attempt.code for row in log for attempt in row.attempt_list or ())
    webhooks = [
        Webhook(webhook_id, frozenset(target.goods_owners), "webhookOrdersId", load.may_end, QUICK_STEPS)
        for webhook_id, target in zip(load.ids, TARGETS, strict=True)
    ]
    histories.write(load.folder, webhooks, [_publication(one, load.ids) for one in sent], log)
    load.account = histories.check(load.folder)
    run.add(load.account, recovery_s=load.drained_s)
    run.must(not still_open, f"{still_open} or more deliveries were still open {load.drained_s:.0f} s after the load")
    unanswered = [one for one in sent if not one.event_ids]
    run.must(not unanswered, f"{len(unanswered)} events never got their 202: {[one.refused for one in unanswered[:2]]}")


def _publication(one: Sent, ids: Sequence[int]) -> Publication:
    wanted_by = frozenset(ids[n] for n, target in enumerate(TARGETS) if target.wants(one.goods_owner, one.transporter))
    return Publication(one.number, one.goods_owner, one.data, wanted_by, frozenset(one.event_ids))


def _drain(client: Client, load: Load, since: float, within_s: float) -> tuple[int, float]:
    """Wait until nothing is due or under way; what is still open, and the seconds that took."""
    empty = 0  # looks in a row: a delivery may pass from one status to the other between two questions
    while True:
        still_open = sum(
            len(client.get(f"/api/v1/deliveries?status={status}&webhookId={webhook}&limit=200")["items"])
            for status in ("pending", "sending")
            for webhook in load.ids
        )
        waited_s = time.monotonic() - since
        empty = 0 if still_open else empty + 1
        if empty == LOOKS or waited_s > within_s:
            return still_open, waited_s
        pause(0.25)


def _read_log(load: Load, received: Counter[str]) -> list[Logged]:
    """Every delivery over the API; with its attempts where one attempt and one receipt do not explain each other."""
    rows = [
        Logged(
            row["eventId"],
            row["webhookId"],
            row["goodsOwnerId"],
            int(row["object"].rpartition("/")[2]),
            row["status"],
            row["attempts"],
        )
        for row in _pages(load)
        if row["webhookId"] not in load.others
    ]
    with ThreadPoolExecutor(READERS) as pool:
        own = threading.local()

        def with_attempts(row: Logged) -> Logged:
            if not needs_attempts(row, received[row.delivery_id]):
                return row
            if not hasattr(own, "client"):
                own.client = load.client()
            listed = own.client.get(f"/api/v1/deliveries/{row.delivery_id}/attempts")["items"]
            return replace(row, attempt_list=tuple(map(_attempt, listed)))

        return list(pool.map(with_attempts, rows))


def _pages(load: Load) -> Iterator[dict[str, Any]]:
    client = load.client()
    path: str | None = "/api/v1/deliveries?limit=200"
    while path is not None:
        page = client.get(path)
        yield from page["items"]
        path = f"/api/v1/deliveries?limit=200&cursor={page['nextCursor']}" if page["nextCursor"] else None
    client.close()


def _attempt(told: dict[str, Any]) -> Attempt:
    started, ended = (told.get(name) for name in ("startedAt", "endedAt"))  # one under way has no end yet
    return Attempt(
        told["attemptNo"],
        told["code"],
        told.get("statusCode"),
        _moment(started),
        _moment(ended),
        has_next=told.get("nextAttemptAt") is not None,
    )


def _moment(text: str | None) -> int:
    return 0 if text is None else to_moment(datetime.fromisoformat(text))
