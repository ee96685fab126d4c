"""Several nodes on one PostgreSQL: how soon a change is everywhere, and who does the work of a node that was killed."""

import array
import contextlib
import itertools
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bench import systems
from bench.generator import event_text
from bench.lab import POSTGRES, Lab
from bench.machine import Process, Unable, running
from bench.measure import Load, asked, drive
from bench.scenario import scenario
from bench.systems import PUBLISH, Shape, Site
from bench.targets import Run, Target
from dockbell.testing.client import Client

NODES = 3
CHANGES = 10
A_CHANGE_S = 0.5
FIRST_NUMBER = 300_000_000
KILLED_AFTER_S = 3.0
TAKEN_WITHIN_S = 90.0
HELD = "SELECT event_id, webhook_id, lease_until FROM deliveries WHERE status = 'sending' AND lease_node = 0"
ENDED = "SELECT event_id, webhook_id, ended_at FROM attempts WHERE status_code BETWEEN 200 AND 299"


@scenario(
    "changes",
    "A change reaches every node",
    Target(
        "s until the last node sent by the new settings, worst of all changes",
        "known everywhere after s",
        1,
        worst=True,
    ),
    tables=(("known everywhere after s", "changes", "events", "of these by old settings"),),
    rounds=1,
)
def changes(lab: Lab, turn: int) -> Iterator[Run]:  # noqa: ARG001
    """Three nodes; a webhook is pointed from one receiver to another and back through the first node, while all three
    accept events without pause. The time is that of the last event of any node, after the change was answered, that
    still went to the receiver of before.
    """
    if POSTGRES not in lab.databases:
        return
    with lab.site(POSTGRES, Shape(receivers=1)) as site, _another_receiver(site) as (other, port):
        with systems.dockbell(site, nodes=NODES) as target, contextlib.ExitStack() as stack:
            clients = [
                stack.enter_context(contextlib.closing(Client(f"http://127.0.0.1:{each}", site.key)))
                for each in target.ports
            ]
            published = list(_changed_while_publishing(clients, (site.ports[0], port)))
            if site.log.open_deliveries():
                time.sleep(1.0)
        yield _judged(published, [_arrived(site.receiver, site.folder), _arrived(other, site.folder / "other")])


@dataclass(frozen=True, slots=True)
class _Published:
    number: int
    place: int
    """Which of the two receivers the webhook points to since the last change."""
    after_s: float
    """How long after that change was answered."""


@contextlib.contextmanager
def _another_receiver(site: Site) -> Iterator[tuple[Process, int]]:
    folder = site.folder / "other"
    folder.mkdir()
    with systems.receivers(Shape(receivers=1), folder) as (process, [port]):
        yield process, port


def _changed_while_publishing(clients: list[Client], ports: tuple[int, int]) -> Iterator[_Published]:
    [owner] = Shape(receivers=1).goods_owners
    text, numbers = event_text(owner, f"changes-{time.time_ns()}"), itertools.count(FIRST_NUMBER)
    for change in range(1, CHANGES + 1):
        place = change % 2
        clients[0].patch("/api/v1/webhooks/1", {"targetUrl": f"http://127.0.0.1:{ports[place]}/hook"})
        changed_at = time.monotonic()
        while time.monotonic() < changed_at + A_CHANGE_S:
            for client in clients:
                number, after_s = next(numbers), time.monotonic() - changed_at
                client.post(PUBLISH, text % ((number,) * 4))
                yield _Published(number, place, after_s)


def _arrived(receiver: Process, folder: Path) -> set[int]:
    asked(receiver, f"report {folder}")
    return set(array.array("q", (folder / "numbers").read_bytes()))


def _judged(published: list[_Published], arrived: list[set[int]]) -> Run:
    late = [each for each in published if each.number in arrived[1 - each.place]]
    lost = [each for each in published if each.number not in arrived[0] | arrived[1]]
    figures = {
        "known everywhere after s": max((each.after_s for each in late), default=0.0),
        "changes": CHANGES,
        "events": len(published),
        "of these by old settings": len(late),
    }
    faults = (f"{len(lost)} events arrived nowhere",) if lost else ()
    return Run(POSTGRES, figures, faults=faults)


@scenario(
    "killed",
    "A node is killed",
    Target("s from the end of its last lease to the last outcome of what it held", "after the lease s", 2, worst=True),
    tables=(("after the lease s", "after the kill s", "lease s", "deliveries it held", "events", "sent again"),),
)
def killed(lab: Lab, turn: int) -> Iterator[Run]:  # noqa: ARG001
    """Three nodes; all events go to one of them, and it is killed (-9) at full speed. What it held is sent by the others
    when its leases have ended. Whatever was accepted must be delivered in the end; what the receivers may see twice is
    what the killed node held.
    """
    if POSTGRES not in lab.databases:
        return
    shape = Shape(timeout_s=1)
    with lab.site(POSTGRES, shape) as site, contextlib.ExitStack() as stack:
        ports = [systems.free_port() for _ in range(NODES)]
        nodes = []
        for port in ports:  # one by one: the first has number 0
            nodes.append(stack.enter_context(running(systems.a_node(site, port))))
            systems.await_port(port, nodes[-1])
        accepted = _killed_under_load(site, ports[0], nodes[0])
        yield _taken_over(site, accepted)


@dataclass(frozen=True, slots=True)
class _Held:
    """What the killed node was at work on."""

    accepted: int
    killed_at: float
    """Seconds since 1970."""
    deliveries: frozenset[tuple[int, int]]
    leased_until: float


def _killed_under_load(site: Site, port: int, node: Process) -> _Held:
    target = systems.a_target(site, [port], [node])
    with ThreadPoolExecutor(1) as beside:
        load = Load(10 * KILLED_AFTER_S, shape=site.shape)  # it ends when its connections break
        sending = beside.submit(drive, target, load, "load", load.seconds, site.folder)
        time.sleep(KILLED_AFTER_S)
        node.kill()
        killed_at = time.time()
        sent = sending.result()
    rows = site.log.rows(HELD)
    if not rows:
        raise Unable("The node held nothing when it was killed.")
    until = max(row[2] for row in rows) / 1e6
    return _Held(sent["requests"], killed_at, frozenset((event, webhook) for event, webhook, _ in rows), until)


def _taken_over(site: Site, held: _Held) -> Run:
    until = time.monotonic() + TAKEN_WITHIN_S
    while (left := site.log.open_deliveries()) and time.monotonic() < until:
        time.sleep(0.2)
    ended = {(event, webhook): at / 1e6 for event, webhook, at in site.log.rows(ENDED)}
    last_at = max((ended[each] for each in held.deliveries if each in ended), default=0.0)
    counts = site.log.counts()
    report = asked(site.receiver, f"report {site.folder}")
    ids = (site.folder / "received").read_bytes().split()
    faults = []
    if left:
        faults.append(f"{left} deliveries were not over {TAKEN_WITHIN_S:.0f} s after the kill")
    if counts.events < held.accepted:
        faults.append(f"{held.accepted} events were accepted, {counts.events} are stored")
    again = {each for each, times in Counter(ids).items() if times > 1}
    if unexplained := again - {b"%d-%d" % each for each in held.deliveries}:
        faults.append(f"{len(unexplained)} requests arrived twice that the killed node did not hold")
    if report["problems"]:
        faults.append(f"receivers found {report['problems']}")
    figures = {
        "after the lease s": last_at - held.leased_until,
        "after the kill s": last_at - held.killed_at,
        "lease s": held.leased_until - held.killed_at,
        "deliveries it held": len(held.deliveries),
        "events": counts.events,
        "sent again": len(ids) - len(set(ids)),
    }
    return Run(POSTGRES, figures, judged=report["judged"], faults=tuple(faults))
