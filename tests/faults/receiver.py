"""The receivers of a fault run, in a process of their own that nobody kills: one port for each webhook.

Each request is written to a file before it is answered, with what the answer will be. A share of them is answered 500,
and all a little late, so that kills find attempts under way.

    python -m tests.faults.receiver FILE SEED FAILS LATE SECRET ...

FAILS is the share that is answered 500, LATE the most seconds that the usual answer takes. Prints its ports as JSON, ends when
its input does.
"""

import asyncio
import contextlib
import itertools
import json
import os
import random
import sys
from datetime import UTC, datetime

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from dockbell.clock import SECOND, SystemClock

ANY_TIME = "FAULTS_ANY_TIME"
VERY_LATE = 0.05
VERY_LATE_S = 1.0
ANSWERS = {
    200: b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    500: b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n",
}


class Receivers:
    def __init__(self, file: int, seed: int, fails: float, late_s: float) -> None:
        self._file = file
        self._fails = fails
        self._late_s = late_s
        self._random = random.Random(seed)
        self._connections = itertools.count(1)
        self._clock = SystemClock()

    async def serve(self, place: int, secret: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side has enough."""
        connection = next(self._connections)
        judge = Webhook(secret)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
                body = await reader.readexactly(int(headers["content-length"]))
                status = 500 if self._random.random() < self._fails else 200
                late_s = VERY_LATE_S if self._random.random() < VERY_LATE else self._late_s * self._random.random()
                self._write_down(place, connection, headers, body, _holds(judge, headers, body), status, late_s)
                await self._clock.sleep(late_s)
                writer.write(ANSWERS[status])
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):  # the sender hung up, or was killed
            pass
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    def _write_down(
        self,
        place: int,
        connection: int,
        headers: dict[str, str],
        body: bytes,
        is_signed: bool,
        status: int,
        late_s: float,
    ) -> None:
        now = self._clock.now()
        line = {
            "place": place,
            "id": headers.get("webhook-id", ""),
            "signed": is_signed,
            "answered": status,
            "at": now,
            "until": now + int(late_s * SECOND),
            "connection": connection,
            "body": body.decode("utf-8", "backslashreplace"),
        }
        # One write a line, past every buffer. Not synced: this process and this machine stay up.
        os.write(self._file, json.dumps(line).encode() + b"\n")


def _holds(judge: Webhook, headers: dict[str, str], body: bytes) -> bool:
    """Whether an implementation of Standard Webhooks that is not ours accepts the signature.

    It says too that a timestamp is too far from our clock; where Dockbell's clock is moved, it signs for that time itself.
    """
    try:
        if ANY_TIME in os.environ:
            at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
            return judge.sign(headers["webhook-id"], at, body.decode()) in headers["webhook-signature"].split(" ")
        judge.verify(body, headers)
    except (WebhookVerificationError, ValueError, KeyError):
        return False
    return True


async def main(path: str, seed: int, fails: float, late_s: float, secrets: list[str]) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    receivers = Receivers(file, seed, fails, late_s)

    def at(place: int, secret: str):
        return lambda reader, writer: receivers.serve(place, secret, reader, writer)

    servers = [
        await asyncio.start_server(at(place, secret), "127.0.0.1", 0, backlog=1024)
        for place, secret in enumerate(secrets)
    ]
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), ended.set)
    print(json.dumps([server.sockets[0].getsockname()[1] for server in servers]), flush=True)
    await ended.wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]), sys.argv[5:]))
