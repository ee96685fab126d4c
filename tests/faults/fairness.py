"""Whether the bad receivers and the noisy publishers of some are felt by the others."""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from dockbell.domain.ids import COUNTER_BITS, FIRST_MS, NODE_BITS
from dockbell.testing.client import Client
from dockbell.testing.receiver import Receiver, Visit, answering
from tests.faults.load import Load, under_load
from tests.faults.processes import pause
from tests.faults.publisher import an_event, ask
from tests.faults.scenario import Run, scenario
from tests.support.bad_receivers import black_hole, closed_port

OTHERS = 400
"""The first of the goods owners that are not the load's own."""
A_BATCH = 100
CAPACITY = 50.0
OFFERED_AT_MOST = 1.5
REFUSED_AT_MOST = 0.1


@scenario(
    "T9",
    "one receiver of a hundred hangs, with 1 % and with half of the events, SQLite",
    holds="healthy receivers' p99 from accepted to received at most 1.2 and 1.5 times as long, or 100 ms more",
    short=True,
)
def one_hangs(run: Run) -> None:
    _compare(run, "1 % of events to the one that hangs", [hanging], share=0.01, times=1.2)
    _compare(run, "half of the events to the one that hangs", [hanging], share=0.5, times=1.5)


@scenario(
    "T10",
    "twenty receivers are dead: refuse, blackhole, hang, trickle, 500, SQLite",
    holds="healthy receivers' p99 at most 1.5 times as long, or 100 ms more",
)
def twenty_dead(run: Run) -> None:
    _compare(
        run,
        "half of the events to twenty dead ones",
        [_refusing, _black, hanging, _trickling, _failing] * 4,
        share=0.5,
        times=1.5,
    )


Dead = Callable[[ExitStack], str]


def hanging(until: ExitStack) -> str:
    return until.enter_context(Receiver("silent")).url


def _trickling(until: ExitStack) -> str:
    return until.enter_context(Receiver("trickle_head")).url


def _failing(until: ExitStack) -> str:
    return until.enter_context(Receiver(answering(500))).url


def _refusing(until: ExitStack) -> str:
    return until.enter_context(closed_port())


def _black(until: ExitStack) -> str:
    return until.enter_context(black_hole())


def _compare(run: Run, name: str, dead: Sequence[Dead], *, share: float, times: float) -> None:
    """The load's own webhooks are the healthy ones; events of other goods owners go to the dead ones."""
    with ExitStack() as until, under_load(run, "sqlite", rate=60) as load:
        seconds = run.pick(8.0, 600.0)
        pause(seconds)
        usual = p99_ms(load, 0.0)
        for number, make in enumerate(dead):
            a_webhook_of(OTHERS + number, load, make(until))
        since = time.monotonic()
        publishing = load.client()
        number = 0
        while time.monotonic() < since + seconds:
            ask(publishing, an_event(number, run.choose, run.seed, OTHERS + number % len(dead)))
            number += 1
            pause(max(0.0, since + number * (1 - share) / (share * 60) - time.monotonic()))
        publishing.close()
        meanwhile = p99_ms(load, since)
        run.figure(name, f"healthy p99 {meanwhile:.0f} ms, before {usual:.0f} ms")
        run.must(meanwhile < max(times * usual, usual + 100), f"{name}: {meanwhile:.0f} ms, before {usual:.0f} ms")
        run.survived += len(dead)
        client = load.client()
        for webhook in load.others:  # what waits for the dead is nobody's business any more
            client.delete(f"/api/v1/webhooks/{webhook}")
        client.close()


def a_webhook_of(owner: int, load: Load, url: str, **fields: object) -> int:
    client = load.client()
    client.put(f"/api/v1/goodsOwners/{owner}", {"name": f"Goods owner {owner}"})
    document = {
        "name": f"Of {owner}",
        "kind": "regular",
        "eventType": "order.picked",
        "goodsOwnerIds": [owner],
        "targetUrl": url,
        "retryPolicy": {"name": "own", "stepsInSeconds": [1, 2, 5]},
        "timeoutInSeconds": 15,
        **fields,
    }
    made = int(client.post("/api/v1/webhooks", document)["id"])
    client.close()
    load.others.add(made)
    return made


def p99_ms(load: Load, since: float) -> float:
    """From the acceptance, which an event's id tells, to the first receipt, of events accepted since then."""
    offset = time.time_ns() / 1e9 - time.monotonic()  # noqa: TID251 - receivers write wall-clock time
    first: dict[str, float] = {}
    for receipt in load.receipts():
        accepted_ms = _accepted_ms(int(receipt.delivery_id.partition("-")[0]))
        if accepted_ms / 1000 - offset >= since:
            first.setdefault(receipt.delivery_id, receipt.at / 1000 - accepted_ms)
    waited = sorted(first.values())
    return waited[int(len(waited) * 0.99)] if waited else 0.0


def _accepted_ms(event_id: int) -> int:
    return FIRST_MS + (event_id >> (NODE_BITS + COUNTER_BITS))


@scenario(
    "T11",
    "a noisy goods owner publishes tens of thousands of events at once, SQLite",
    holds="the others' p99 from accepted to received at most twice as long, or 250 ms more; the noisy one's drain meanwhile",
)
def noisy_owner(run: Run) -> None:
    events = run.pick(5_000, 100_000)
    counted: dict[str, int] = defaultdict(int)

    def count(visit: Visit) -> None:
        while visit.request():
            counted["here"] += 1
            visit.answer(200)

    with Receiver(count) as receiver, under_load(run, "sqlite", rate=20) as load:
        pause(run.pick(6.0, 60.0))
        usual = p99_ms(load, 0.0)
        a_webhook_of(OTHERS, load, receiver.url, maxConcurrency=4)
        since = time.monotonic()
        _publish_many(run, load, events)
        published_s = time.monotonic() - since
        until = since + run.pick(120.0, 600.0)
        while counted["here"] < events and time.monotonic() < until:
            pause(0.2)
        drained_s = time.monotonic() - since
        meanwhile = p99_ms(load, since)
        run.figure(
            "the noisy one",
            f"{events:,} events published in {published_s:.1f} s, {counted['here']:,} received in {drained_s:.1f} s",
        )
        run.figure("the others, p99", f"{meanwhile:.0f} ms, before {usual:.0f} ms")
        run.must(counted["here"] >= events, f"only {counted['here']:,} of the noisy one's {events:,} events arrived")
        run.must(
            meanwhile < max(2 * usual, usual + 250), f"the others waited {meanwhile:.0f} ms, before {usual:.0f} ms"
        )
        run.survived += 1


def _publish_many(run: Run, load: Load, events: int) -> None:
    """Events of the goods owner OTHERS, as fast as they are taken."""
    client = Client(load.node.url, load.key, timeout_s=60)
    for start in range(0, events, A_BATCH):
        some = [an_event(number, run.choose, run.seed, OTHERS).document for number in range(start, start + A_BATCH)]
        client.post("/api/v1/events", b"[" + b",".join(some) + b"]")
    client.close()


class _Narrow:
    """A receiver that is down, and then takes CAPACITY requests a second and answers the rest 429."""

    def __init__(self) -> None:
        self.is_down = True
        self.answers: list[tuple[float, int]] = []
        self.taken: set[str] = set()
        self._lock = threading.Lock()
        self._tokens, self._at = CAPACITY, 0.0

    def __call__(self, visit: Visit) -> None:
        while (request := visit.request()) is not None:
            visit.answer(self._status(time.monotonic(), request.header("webhook-id") or ""))

    def _status(self, now: float, delivery: str) -> int:
        with self._lock:
            self._tokens, self._at = min(CAPACITY, self._tokens + (now - self._at) * CAPACITY), now
            status = 503 if self.is_down else 200 if self._tokens >= 1 else 429
            if status == 200:
                self._tokens -= 1
                self.taken.add(delivery)
            self.answers.append((now, status))
            return status


@scenario(
    "T12",
    f"a receiver with room for {CAPACITY:.0f} a second comes back to thousands that wait, SQLite",
    holds=(
        f"after a while at most {OFFERED_AT_MOST} times its room is offered, {REFUSED_AT_MOST:.0%} of it answered 429; "
        "all of it drains; the others' p99 at most 1.2 times as long, or 100 ms more"
    ),
)
def herd(run: Run) -> None:
    events, settles_s = run.pick(1_500, 50_000), run.pick(15.0, 60.0)
    narrow = _Narrow()
    with Receiver(narrow) as receiver, under_load(run, "sqlite", rate=20) as load:
        pause(run.pick(6.0, 60.0))
        usual = p99_ms(load, 0.0)
        steps = {"name": "own", "stepsInSeconds": [30] * 10}
        a_webhook_of(OTHERS, load, receiver.url, maxConcurrency=16, retryPolicy=steps)
        _publish_many(run, load, events)
        pause(run.pick(10.0, 300.0))
        since = time.monotonic()
        narrow.is_down = False
        until = since + 3 * events / CAPACITY + 180
        while len(narrow.taken) < events and time.monotonic() < until:
            pause(0.2)
        meanwhile = p99_ms(load, since)
        _judge_herd(run, narrow, events, since, settles_s)
        run.figure("the others, p99", f"{meanwhile:.0f} ms, before {usual:.0f} ms")
        run.must(meanwhile < max(1.2 * usual, usual + 100), f"others waited {meanwhile:.0f} ms, before {usual:.0f} ms")
        run.survived += 1


def _judge_herd(run: Run, narrow: _Narrow, events: int, since: float, settles_s: float) -> None:
    run.must(len(narrow.taken) >= events, f"only {len(narrow.taken):,} of {events:,} that waited were delivered")
    first = next((at for at, status in narrow.answers if at >= since and status == 200), since)
    last = narrow.answers[-1][0]
    run.figure(
        "drained",
        f"{len(narrow.taken):,} in {last - first:.0f} s after the first was taken, {first - since:.0f} s after it was back; "
        f"ideal {events / CAPACITY:.0f} s",
    )
    settled = [(at, status) for at, status in narrow.answers if at >= first + settles_s]
    offered = Counter(int(at - first) for at, _ in settled)
    peak = max(offered.values(), default=0)
    refused = sum(status == 429 for _, status in settled) / max(1, len(settled))
    run.figure(
        f"offered later than {settles_s:.0f} s after that", f"{peak} in a second at most, {refused:.1%} answered 429"
    )
    run.must(bool(settled), "it drained before anything could be seen")
    run.must(peak <= OFFERED_AT_MOST * CAPACITY, f"{peak} requests in a second, with room for {CAPACITY:.0f}")
    run.must(refused < REFUSED_AT_MOST, f"{refused:.0%} of the requests were answered 429")
