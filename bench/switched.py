"""`dockbell serve` with one of the ideas it is fast by switched off, to see what that idea is worth.

    python -m bench.switched <switch> serve      settings as always, from the environment

Nothing of this is in the product: it is the product's own constants and parts that are replaced here before it starts.
"""

import asyncio
import sys
import threading
from collections.abc import Callable
from typing import Any

import uvloop

from dockbell import app, cli
from dockbell.actions import journal
from dockbell.delivery.worker import Worker
from dockbell.domain.delivery import Outcome
from dockbell.domain.request import OutgoingRequest
from dockbell.domain.webhook import Webhook
from dockbell.egress.sender import Sender


def commits_of_their_own() -> None:
    """Each request's events, and each outcome, in a commit of its own."""
    journal.EVENTS_A_COMMIT = journal.CLOSINGS_A_COMMIT = 1


def outcomes_one_by_one() -> None:
    """Events share commits as always; each outcome has a commit of its own, and events wait while one is there."""
    journal.CLOSINGS_A_COMMIT = 1
    take = journal.Journal._take_requests  # noqa: SLF001
    journal.Journal._take_requests = lambda self: [] if self._closings else take(self)  # type: ignore[method-assign]  # noqa: SLF001


def nothing_born_leased() -> None:
    """No delivery finds a place in memory when its event is accepted: each is claimed from the store."""

    def no_place(self: Worker, webhook: Webhook, **_: object) -> None:
        self._claims.behind.add(webhook.id)
        self._claims.turned_away = True
        self._waits()

    Worker.reserve = no_place  # type: ignore[method-assign]


def sender_in_a_thread() -> None:
    """The sender on an event loop of its own in a thread of its own, as libcurl was."""
    app.Sender = SenderInAThread  # type: ignore[assignment,attr-defined]


SWITCHES: dict[str, Callable[[], None]] = {
    "shared-commits": commits_of_their_own,
    "closing-together": outcomes_one_by_one,
    "born-leased": nothing_born_leased,
    "sender-on-the-loop": sender_in_a_thread,
}


class SenderInAThread:
    """Hands requests over to the real sender's loop, and its outcomes back."""

    def __init__(self, *given: Any, deliver: Callable[[list[tuple[object, Outcome]]], None], **named: Any) -> None:
        home = asyncio.get_running_loop()
        self._loop = uvloop.new_event_loop()

        def hand_back(batch: list[tuple[object, Outcome]]) -> None:
            home.call_soon_threadsafe(deliver, batch)

        self._sender = Sender(*given, deliver=hand_back, **named)
        self._thread = threading.Thread(target=self._loop.run_forever, name="sender", daemon=True)

    def start(self) -> None:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._begin(), self._loop).result()

    def submit(self, token: object, request: OutgoingRequest) -> None:
        self._loop.call_soon_threadsafe(self._sender.submit, token, request)

    async def close(self, timeout_s: float = 0.0) -> None:
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._sender.close(timeout_s), self._loop))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def _begin(self) -> None:
        self._sender.start()


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in SWITCHES:
        sys.exit(f"Say which idea to switch off: {', '.join(SWITCHES)}.")
    SWITCHES[sys.argv.pop(1)]()
    cli.main()
