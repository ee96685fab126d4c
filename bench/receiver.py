"""Many receivers in one process: each listens on a port of its own, answers 200 at once, and forgets nothing.

They are the same for Dockbell and for the relay it is compared with. Of each request the `webhook-id`, the number of its
order and the moment are kept, so that afterwards what arrived can be compared with what was sent and what was logged;
every hundredth is kept whole and judged after the run (signature, body, whose goods), where judging takes no time from
what is measured. The last `silent` ones take requests and never answer.

    python -m bench.receiver '{"goods_owners": [1001, ...], "silent": 0, "certificate": null}'

Talks by lines: prints its ports as JSON, then answers each `count`, `report <folder>` and `forget` with a JSON line.
"""

import array
import asyncio
import base64
import functools
import hashlib
import json
import re
import resource
import signal
import ssl
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, cast

import msgspec
import uvloop
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

JUDGED_ONE_OF = 100
LONGEST_REQUEST = 1 << 20
NUMBER, DIGITS = b'"orderId":', 9
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
REFUSAL = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_ANY_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
FIRST_GOODS_OWNER = 1001


def secret_of(place: int) -> str:
    """The signing secret of the webhook that points to receiver `place`."""
    return "whsec_" + base64.b64encode(hashlib.sha256(f"receiver {place}".encode()).digest()).decode()


class Tally:
    """What arrived at all receivers since the start."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self.requests = 0
        self.malformed = 0
        self.unanswered = 0
        self.first_at = 0.0
        self.ids: list[bytes] = []
        self.numbers = array.array("q")
        self.moments = array.array("d")
        """When each number came; the clock is the machine's, so other processes may compare."""
        self.samples: list[tuple[int, bytes]] = []


class Receiver(asyncio.Protocol):
    """One connection. Reads just as much HTTP as needed to find where a request ends."""

    def __init__(self, tally: Tally, place: int) -> None:
        self._tally = tally
        self._place = place
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own class, not a subclass

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        while data:
            head = data.find(b"\r\n\r\n")
            if head < 0:
                break
            end = head + 4 + _length_of(data, head)
            if not 0 <= end - head - 4 <= LONGEST_REQUEST:
                self._tally.malformed += 1
                self._transport.write(REFUSAL)
                self._transport.close()
                return
            if len(data) < end:
                break
            self._count(data if len(data) == end else data[:end])
            self._transport.write(ANSWER)
            data = data[end:]
        self._rest = data

    def _count(self, request: bytes) -> None:
        tally = self._tally
        tally.requests += 1
        now = time.monotonic()
        if not tally.first_at:
            tally.first_at = now
        at = request.find(b"webhook-id: ")
        if at > 0:
            tally.ids.append(request[at + 12 : request.find(b"\r\n", at)])
        if tally.requests % JUDGED_ONE_OF == 0:
            tally.samples.append((self._place, request))
        at = request.find(NUMBER)
        if at > 0:
            tally.numbers.append(int(request[at + len(NUMBER) : at + len(NUMBER) + DIGITS]))
            tally.moments.append(now)


class Silent(asyncio.Protocol):
    """Takes whatever comes and says nothing."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def data_received(self, data: bytes) -> None:
        self._tally.unanswered += data.count(b"POST ")


def _length_of(data: bytes, head: int) -> int:
    """The body's length; negative (and more than the head) if the request does not say it."""
    at = data.find(b"Content-Length: ", 0, head)
    if at > 0:
        return int(data[at + 16 : data.find(b"\r\n", at)])
    found = _ANY_LENGTH.search(data, 0, head + 2)
    return int(found[1]) if found else -(1 << 30)


def problem_with(place: int, request: bytes, *, owner_of_place: int) -> str | None:
    """What is wrong with one request, judged by an implementation of Standard Webhooks that is not ours."""
    head, _, body = request.partition(b"\r\n\r\n")
    headers = {
        name.lower(): value.strip()
        for name, _, value in (line.partition(":") for line in head.decode("latin-1").split("\r\n")[1:])
    }
    try:
        if "webhook-id" in headers:
            payload = Webhook(secret_of(place)).verify(body, headers)
            owner, number = payload["goodsOwnerId"], payload["orderId"]
        else:
            event = json.loads(body)
            owner, number = event["goodsOwnerId"], event["data"]["orderId"]
    except WebhookVerificationError as error:
        return f"signature: {error}"
    except (ValueError, KeyError, TypeError) as error:
        return f"body: {error!r}"
    if owner != owner_of_place:
        return f"goods of owner {owner} came to the receiver of {owner_of_place}"
    return None if isinstance(number, int) else f"orderId is {number!r}"


def report(tally: Tally, folder: Path, owners: list[int]) -> dict[str, Any]:
    """What arrived, with ids, numbers and moments in files of `folder`; judges the samples that were not judged yet."""
    judged, tally.samples = tally.samples, []
    problems = Counter(
        problem
        for place, request in judged
        if (problem := problem_with(place, request, owner_of_place=owners[place])) is not None
    )
    (folder / "received").write_bytes(b"\n".join(tally.ids))
    (folder / "numbers").write_bytes(tally.numbers.tobytes())
    (folder / "moments").write_bytes(tally.moments.tobytes())
    return {
        "requests": tally.requests,
        "malformed": tally.malformed,
        "judged": len(judged),
        "problems": dict(problems.most_common(5)),
    }


class Order(msgspec.Struct, forbid_unknown_fields=True):
    goods_owners: list[int]
    """One for each receiver."""
    silent: int = 0
    certificate: str | None = None
    """A PEM file: they speak TLS."""


async def main(order: Order) -> None:
    tls = None
    if order.certificate is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(order.certificate)
    loop = asyncio.get_running_loop()
    tally = Tally()
    ended = asyncio.Event()
    owners = order.goods_owners
    answering = len(owners) - order.silent

    def connected(place: int) -> asyncio.Protocol:
        return Receiver(tally, place) if place < answering else Silent(tally)

    servers = [
        await loop.create_server(functools.partial(connected, place), "127.0.0.1", 0, backlog=1024, ssl=tls)
        for place in range(len(owners))
    ]

    def command() -> None:
        match sys.stdin.readline().split(maxsplit=1):
            case ["count"]:
                counts = {
                    "requests": tally.requests,
                    "unanswered": tally.unanswered,
                    "first_at": tally.first_at,
                }
                print(json.dumps(counts), flush=True)
            case ["forget"]:
                tally.forget()
                print("{}", flush=True)
            case ["report", folder]:
                print(json.dumps(report(tally, Path(folder.strip()), owners)), flush=True)
            case _:
                ended.set()

    loop.add_reader(sys.stdin.fileno(), command)
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    print(json.dumps([server.sockets[0].getsockname()[1] for server in servers]), flush=True)
    await ended.wait()


if __name__ == "__main__":
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]  # some senders open a connection a thread and receiver
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(msgspec.json.decode(sys.argv[1], type=Order)))
