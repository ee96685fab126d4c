"""Clients that abuse our doors, and publishers that all say the same at the same instant."""

import contextlib
import json
import random
import resource
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from dockbell.testing.client import ApiError, Client
from tests.faults.load import Load, under_load
from tests.faults.processes import pause
from tests.faults.publisher import TEA, Sent, an_event
from tests.faults.scenario import Run, scenario

LARGE = 256 * 1024


@scenario(
    "T20",
    "slow and abusive clients: slow heads, slow bodies, slow readers, bad keys, large bodies, SQLite",
    holds="honest publishers get 202 throughout, p99 at most twice as long (or 150 ms more); no 5xx but 503",
)
def abuse(run: Run) -> None:
    with under_load(run, "sqlite", rate=100) as load:
        pause(run.pick(5.0, 60.0))
        usual = _p99_ms(load, 0.0)
        run.figure("honest publishers before, p99", f"{usual:.0f} ms")
        for name, attack in ATTACKS.items():
            since = time.monotonic()
            with contextlib.ExitStack() as attackers:
                told = attack(run, load, attackers)
                pause(run.pick(8.0, 60.0))
                meanwhile = _p99_ms(load, since)
                kinds = load.publishers.kinds(since)
            run.figure(name, f"honest p99 {meanwhile:.0f} ms; {told() or 'no answers'}")
            run.must(set(kinds) == {202}, f"{name}: honest publishers heard {dict(kinds)}")
            run.must(
                meanwhile < 2 * usual + 150,
                f"{name}: honest publishers waited {meanwhile:.0f} ms, before {usual:.0f} ms",
            )
            server_errors = [what for what in told() if isinstance(what, int) and what >= 500 and what != 503]
            run.must(not server_errors, f"{name}: answered {server_errors}")
            run.survived += 1


Told = Callable[[], Counter[int | str]]


def _slow(first: bytes, piece: bytes) -> Callable[[Run, Load, contextlib.ExitStack], Told]:
    """Many connections that send a beginning and then a little now and then."""

    def attack(run: Run, load: Load, until: contextlib.ExitStack) -> Told:
        sockets = list(_connections(run, load, until))
        ended = threading.Event()
        told: Counter[int | str] = Counter()

        def trickle() -> None:
            for each in sockets:
                with contextlib.suppress(OSError):
                    each.sendall(first)
            while not ended.wait(1.0):
                for each in sockets:
                    with contextlib.suppress(OSError):
                        each.sendall(piece)

        thread = threading.Thread(target=trickle, daemon=True)
        thread.start()
        until.callback(thread.join)
        until.callback(ended.set)
        return lambda: told

    return attack


def _slow_readers(run: Run, load: Load, until: contextlib.ExitStack) -> Told:
    """Ask for large pages again and again, and read none of it."""
    ask = f"GET /api/v1/deliveries?limit=200 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {load.key}\r\n\r\n".encode()
    for each in _connections(run, load, until, count=run.pick(50, 200)):
        each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        with contextlib.suppress(OSError):
            each.sendall(ask * 3)
    return Counter


def _connections(
    run: Run, load: Load, until: contextlib.ExitStack, count: int | None = None
) -> Iterator[socket.socket]:
    for _ in range(count or run.pick(300, 1_000)):
        with contextlib.suppress(OSError):
            made = socket.create_connection(("127.0.0.1", load.node.port), timeout=5)
            made.setblocking(False)
            until.callback(made.close)
            yield made


def _many(
    make: Callable[[int], tuple[str, bytes]], per_second: float
) -> Callable[[Run, Load, contextlib.ExitStack], Told]:
    """A steady stream of requests, each with a key and a body of its own."""

    def attack(_run: Run, load: Load, until: contextlib.ExitStack) -> Told:
        ended = threading.Event()
        told: Counter[int | str] = Counter()

        def go_on() -> None:
            number = 0
            while not ended.wait(1 / per_second):
                number += 1
                key, body = make(number)
                client = Client(load.node.url, key or load.key, timeout_s=10)
                try:
                    client.post("/api/v1/events", body)
                    told[202] += 1
                except ApiError as error:
                    told[error.status] += 1
                except Exception as error:
                    told[type(error).__name__] += 1
                finally:
                    client.close()

        thread = threading.Thread(target=go_on, daemon=True)
        thread.start()
        until.callback(thread.join)
        until.callback(ended.set)
        return lambda: told

    return attack


def _bad_key(number: int) -> tuple[str, bytes]:
    return f"whk_{number:08d}_{'a' * 43}", b"{}"


def _large_body(number: int) -> tuple[str, bytes]:
    document = {"type": "order.picked", "goodsOwnerId": 999_999, "data": {"orderId": number, "filling": "a" * LARGE}}
    return "", json.dumps(document).encode()


HEAD = b"POST /api/v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
ATTACKS: dict[str, Callable[[Run, Load, contextlib.ExitStack], Told]] = {
    "heads that never end": _slow(HEAD, b"X-a: b\r\n"),
    "bodies that never end": _slow(HEAD + b"Content-Length: 100000\r\n\r\n", b"a"),
    "nothing at all": _slow(b"", b""),
    "answers that nobody reads": _slow_readers,
    "bad keys": _many(_bad_key, 300),
    "bodies that are too large": _many(_large_body, 50),
}


def _p99_ms(load: Load, since: float) -> float:
    took = sorted(one.took_s for one in load.publishers.answers(since) if one.what == 202)
    return 1000 * took[int(len(took) * 0.99)] if took else 0.0


@scenario(
    "T19",
    "few open files: 256 for everything, and receivers that hang, SQLite",
    holds="lives; publishers are answered; goes on when the receivers are gone",
)
def few_files(run: Run) -> None:
    with under_load(run, "sqlite", rate=60) as load:
        resource.prlimit(load.node.pid, resource.RLIMIT_NOFILE, (256, 256))
        with contextlib.ExitStack() as until:
            made = list(_connections(run, load, until, count=400))
            pause(run.pick(8.0, 60.0))
            run.figure("connections held open by others", len(made))
        run.must(load.node.is_running, "it lives with all its files taken")
        since = time.monotonic()
        pause(3.0)
        run.must(load.publishers.kinds(since)[202] > 0, "publishers are answered 202 again when files are free")
        run.figure("open files it may have", f"256; answers throughout: {dict(load.publishers.kinds())}")
        run.survived += 1


@scenario(
    "T23",
    "fifty publishers send the same id at the same instant, two nodes, PostgreSQL",
    holds="one event each, the same answer to all; another body is 409",
    short=True,
)
def race(run: Run) -> None:
    times, racers = run.pick(20, 1_000), 50
    with under_load(run, "postgres", nodes=2, rate=20) as load:
        with ThreadPoolExecutor(racers) as pool:
            start = threading.Barrier(racers)
            for number in range(times):
                one = an_event(1_000 + number, random.Random(number), run.seed, TEA)
                load.publishers.sent[0].append(one)
                answers = list(pool.map(lambda place, one=one: _race(load, start, place, one), range(racers)))
                kinds = Counter(str(what) for what in answers)
                one.event_ids.update(what for what in answers if isinstance(what, int))
                run.must(len(kinds) == 1, f"one id was answered in {len(kinds)} ways: {dict(kinds)}")
                run.survived += 1
        _another_body(run, load, load.publishers.sent[0][-1])
    run.figure("same id, same instant", f"{times} times {racers}")


_of_thread = threading.local()


def _race(load: Load, start: threading.Barrier, place: int, one: Sent) -> int | str:
    """The event's id, or what went wrong. Each thread keeps its connection."""
    if getattr(_of_thread, "load", None) is not load:
        _of_thread.load = load
        _of_thread.client = Client(load.nodes[place % 2].url, load.key, timeout_s=20)
    start.wait(30)
    try:
        return int(_of_thread.client.post("/api/v1/events", one.document)["eventId"])
    except ApiError as error:
        return f"{error.status} {error.document.get('code')}"


def _another_body(run: Run, load: Load, one: Sent) -> None:
    client = load.client()
    answered = 202
    try:
        client.post("/api/v1/events", one.document.replace(b'"number":400', b'"number":401'))
    except ApiError as error:
        answered = error.status
    client.close()
    run.must(answered == 409, f"the same id with another body was answered {answered}, not 409")
