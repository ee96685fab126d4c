"""Receivers that misbehave and names that lead elsewhere, beside webhooks that must not feel it."""

import contextlib
import json
import os
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import trustme
from dnslib import QTYPE, RCODE, RR, A, DNSRecord
from dnslib.server import BaseResolver, DNSServer

from tests.faults.altered import altered, watched
from tests.faults.fairness import p99_ms
from tests.faults.load import Load, under_load
from tests.faults.processes import ALTERED, pause
from tests.faults.publisher import an_event, ask
from tests.faults.scenario import Run, need, need_root, scenario
from tests.support.bad_inputs import Case, cases
from tests.support.bad_receivers import DEEP_NAME, NAME, black_hole, closed_port, receiver_for

STRANGER = 300
"""The goods owner whose receivers misbehave."""
ENDS_WITHIN_S = 120.0
FEW = 5
MOST_MIB = 50
OUTSIDE, INSIDE = "10.77.0.1", "192.168.77.1"
KEPT_ANSWERS_S = 10.5
"""For so long a judged answer of a name server is used again."""


@scenario(
    "T8",
    "every receiver that misbehaves, beside healthy ones, SQLite",
    holds=f"each attempt has the code of its fault; memory at most {MOST_MIB} MiB more; connections closed; the others' p99",
    short=True,
)
def misbehave(run: Run) -> None:
    authority = trustme.CA()
    ca_file = run.folder / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    listed = [case for case in cases("receiver") if case.input["name"] != "flap"]
    with a_name_server({}) as names, contextlib.ExitStack() as open_places:
        more = {**watched(f"resolver:{names.port}"), "DOCKBELL_EGRESS__CA_FILE": str(ca_file)}
        with under_load(run, "sqlite", program=ALTERED, more=more, rate=60) as load:
            pause(run.pick(6.0, 60.0))
            places = [(case, _place(case, authority, open_places)) for case in listed]
            ports = {urlsplit(url).port or 0 for _, url in places}
            memory = resident_mib(load.node.pid)
            usual, since = p99_ms(load, 0.0), time.monotonic()
            peak, attempts = 0.0, 0
            for turn in range(run.pick(1, 10)):  # each with webhooks of its own: their breakers hold back what is more
                webhooks = {_make(load, url, case): case for case, url in places}
                pause(2.0)
                peak = max(peak, _publish_to_strangers(run, load, FEW, first=FEW * turn))
                _wait_until_ended(run, load, webhooks)
                attempts += _judge_codes(run, load, webhooks)
                _delete(load, webhooks)
            run.figure("receivers, attempts", f"{len(places)}, {attempts:,}")
            meanwhile = p99_ms(load, since)
            run.figure("healthy webhooks, p99 from accepted to received", f"{meanwhile:.0f} ms, before {usual:.0f} ms")
            run.must(
                meanwhile < 1.2 * usual + 250, f"healthy webhooks waited {meanwhile:.0f} ms, before {usual:.0f} ms"
            )
            run.figure("memory", f"{memory:.0f} MiB before, at most {peak:.0f} MiB")
            run.must(peak - memory < MOST_MIB, f"memory grew from {memory:.0f} to {peak:.0f} MiB")
            pause(run.pick(10.0, 30.0))
            left = _connections(load.node.pid, ports)
            run.figure("connections kept to them in the end", left)
            run.must(left <= len(places), f"{left} connections to {len(places)} receivers are still open")
            broken = [line for line in load.node.log.read_text().splitlines() if "Traceback" in line]
            run.must(not broken, f"there are {len(broken)} tracebacks in the log")
            run.survived += len(places)


def _place(case: Case, authority: trustme.CA, until: contextlib.ExitStack) -> str:
    """Where the receiver of the case is."""
    name = case.input["name"]
    if name in ("refuse", "blackhole"):
        return until.enter_context(closed_port() if name == "refuse" else black_hole())
    receiver = until.enter_context(receiver_for(name, authority))
    if not name.startswith("tls"):
        return receiver.url
    return f"https://{DEEP_NAME if name == 'tls_wildcard_deep' else NAME}:{receiver.port}/hook"


def _make(load: Load, url: str, case: Case) -> int:
    client = load.client()
    client.put(f"/api/v1/goodsOwners/{STRANGER}", {"name": "Strange Goods"})
    document = {
        "name": f"{case.id} {case.input['name']}",
        "kind": "regular",
        "eventType": "order.picked",
        "goodsOwnerIds": [STRANGER],
        "targetUrl": url,
        "retryPolicy": {"name": "none"},
        "timeoutInSeconds": 15,
        "maxConcurrency": 16,
    }
    made = int(client.post("/api/v1/webhooks", document)["id"])
    client.close()
    load.others.add(made)
    return made


def _publish_to_strangers(run: Run, load: Load, times: int, *, first: int = 0) -> float:
    """The most memory, in MiB, that was seen meanwhile."""
    client = load.client()
    peak = 0.0
    for number in range(first, first + times):
        ask(client, an_event(1_000 + number, run.choose, run.seed, STRANGER))
        pause(0.2)
        peak = max(peak, resident_mib(load.node.pid))
    client.close()
    return peak


def _wait_until_ended(run: Run, load: Load, webhooks: dict[int, Case]) -> None:
    until = time.monotonic() + ENDS_WITHIN_S
    client = load.client()
    still_open = list(webhooks)
    while still_open and time.monotonic() < until:
        pause(0.5)
        still_open = [one for one in still_open if any(_statuses(load, one)[s] for s in ("pending", "sending"))]
    client.close()
    names = [webhooks[one].input["name"] for one in still_open]
    run.must(not still_open, f"attempts did not end within {ENDS_WITHIN_S:.0f} s: {names}")


def _statuses(load: Load, webhook: int) -> Counter[str]:
    client = load.client()
    items = client.get(f"/api/v1/deliveries?webhookId={webhook}&limit=200")["items"]
    client.close()
    return Counter(item["status"] for item in items)


def _judge_codes(run: Run, load: Load, webhooks: dict[int, Case]) -> int:
    """How many deliveries there were."""
    client = load.client()
    tried = 0
    for webhook, case in webhooks.items():
        items = client.get(f"/api/v1/deliveries?webhookId={webhook}&limit=200")["items"]
        codes = {item["lastCode"] for item in items}
        tried += len(items)
        run.must(
            bool(items) and codes <= set(case.verdict), f"{case.id} {case.input['name']}: {codes}, not {case.verdict}"
        )
    client.close()
    return tried


def _delete(load: Load, webhooks: Iterable[int]) -> None:
    client = load.client()
    for webhook in webhooks:
        client.delete(f"/api/v1/webhooks/{webhook}")
    client.close()


def resident_mib(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def _connections(pid: int, ports: set[int]) -> int:
    """How many a process has open to these ports of this machine."""
    mine = set()
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            mine.add(str(file.readlink()).removeprefix("socket:[").removesuffix("]"))
    rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    return sum(row[9] in mine and int(row[2].rpartition(":")[2], 16) in ports for row in rows)


# --- names ---------------------------------------------------------------------------------------------------------


class Names(BaseResolver):  # type: ignore[misc]  # dnslib has no types
    """Answers 127.0.0.1 for every name but those that have answers of their own, in turn; counts who asked."""

    def __init__(self, answers: dict[str, list[str]]) -> None:
        self._answers = answers
        self.asked: Counter[str] = Counter()
        self._one_at_a_time = threading.Lock()

    def resolve(self, request: DNSRecord, _handler: object) -> DNSRecord:
        reply = request.reply()
        name = str(request.q.qname).rstrip(".")
        if QTYPE[request.q.qtype] != "A":
            reply.header.rcode = RCODE.NOERROR
            return reply
        with self._one_at_a_time:
            answers = self._answers.get(name, ["127.0.0.1"])
            address = answers[self.asked[name] % len(answers)]
            self.asked[name] += 1
        reply.add_answer(*(RR(request.q.qname, QTYPE.A, rdata=A(each), ttl=0) for each in address.split()))
        return reply


class NameServer:
    def __init__(self, answers: dict[str, list[str]]) -> None:
        self.names = Names(answers)
        self._server = DNSServer(self.names, address="127.0.0.1", port=0, logger=_Silent())
        self.port = int(self._server.server.server_address[1])
        self._server.start_thread()

    def close(self) -> None:
        self._server.stop()
        self._server.server.server_close()


class _Silent:
    def __getattr__(self, _name: str) -> object:
        return lambda *_: None


@contextlib.contextmanager
def a_name_server(answers: dict[str, list[str]]) -> Iterator[NameServer]:
    server = NameServer(answers)
    try:
        yield server
    finally:
        server.close()


class Sentinel:
    """Answers 200 on an address of this namespace, and counts who came."""

    def __init__(self, address: str, port: int = 0) -> None:
        self.visits = 0
        self._listener = socket.create_server((address, port))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                visitor, _ = self._listener.accept()
                self.visits += 1
                with visitor, contextlib.suppress(OSError):
                    visitor.settimeout(5)
                    visitor.recv(64 * 1024)
                    visitor.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@scenario(
    "T8b",
    "names that lead inside at every other look (DNS rebinding), SQLite",
    holds="no connection to the address inside; at most one look for an attempt",
    needs=("ip",),
)
def rebind(run: Run) -> None:
    need_root("addresses of a network namespace of its own")
    ip = need("ip")
    for address in (OUTSIDE, INSIDE):
        subprocess.run([ip, "addr", "replace", f"{address}/32", "dev", "lo"], check=True)
    visits = _rebind(run, allow=OUTSIDE)
    run.must(visits == 0, f"the address inside was connected to {visits} times")
    control = run.as_control("allowed")
    harm = _rebind(control, allow=INSIDE)
    run.control("the address inside is allowed", did_harm=harm > 0, harm=f"connected to {harm} times")


def _rebind(run: Run, *, allow: str) -> int:
    """How often the address inside was connected to."""
    names = [f"flapping-{number}.example.com" for number in range(40)]
    answers = [OUTSIDE, INSIDE, f"{OUTSIDE} {INSIDE}", f"{INSIDE} {OUTSIDE}"]
    with contextlib.ExitStack() as stack:
        outside = stack.enter_context(contextlib.closing(Sentinel(OUTSIDE)))
        inside = stack.enter_context(contextlib.closing(Sentinel(INSIDE, outside.port)))
        server = stack.enter_context(a_name_server(dict.fromkeys(names, answers)))
        rules = json.dumps([f"{STRANGER} {address}/32:{outside.port}" for address in {OUTSIDE, allow}])
        more = {**altered(f"resolver:{server.port}"), "DOCKBELL_EGRESS__ALLOW": rules}
        with under_load(run, "sqlite", program=ALTERED, more=more, rate=30) as load:
            case = cases("receiver")[0]
            webhooks = [_make(load, f"http://{name}:{outside.port}/", case) for name in names]
            for turn in range(run.pick(4, 24)):  # another event each time: the same one again would be no attempt
                _publish_to_strangers(run, load, 1, first=turn)
                pause(KEPT_ANSWERS_S)
            client = load.client()
            items = [
                item
                for webhook in webhooks
                for item in client.get(f"/api/v1/deliveries?webhookId={webhook}&limit=200")["items"]
            ]
            client.close()
        looks = sum(server.names.asked[name] for name in names)  # the node also asks where it listens itself
        run.figure("attempts, looks, connections outside", f"{len(items)}, {looks}, {outside.visits}")
        run.figure("codes", dict(Counter(item["lastCode"] for item in items)))
        run.must(looks <= len(items), f"{looks} looks for {len(items)} attempts")
        run.must(outside.visits > 0, "the address outside is reached when it is the only answer")
        run.survived += len(items)
        return inside.visits
