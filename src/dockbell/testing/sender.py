"""A sender that opens nothing: it plays outcomes in order and remembers what it was asked to send."""

import asyncio
from collections.abc import Callable, Iterable

from dockbell.domain.delivery import Answered, Outcome
from dockbell.domain.request import OutgoingRequest

Deliver = Callable[[list[tuple[object, Outcome]]], None]


class FakeSender:
    """Answers with `script` in order, then with its last entry again and again (200 if it is empty)."""

    def __init__(self, deliver: Deliver, script: Iterable[Outcome] = ()) -> None:
        self._deliver = deliver
        self._script = list(script)
        self._holding: Callable[[OutgoingRequest], bool] | None = None
        self._held: list[tuple[object, Outcome]] = []
        self.requests: list[OutgoingRequest] = []

    def submit(self, token: object, request: OutgoingRequest) -> None:
        self.requests.append(request)
        outcome = self._script[0] if self._script else Answered(200)
        if len(self._script) > 1:
            self._script.pop(0)
        if self._holding is not None and self._holding(request):
            self._held.append((token, outcome))
        else:
            asyncio.get_running_loop().call_soon(self._deliver, [(token, outcome)])

    def answer_with(self, *script: Outcome) -> None:
        self._script = list(script)

    def hold(self, which: Callable[[OutgoingRequest], bool] = lambda _: True) -> None:
        """Keep outcomes back, as a receiver that does not answer would; all of them, or those of `which` requests."""
        self._holding = which

    def held(self) -> int:
        """How many requests wait for an answer."""
        return len(self._held)

    def answer_held(self) -> None:
        """Answer those that wait, and go on keeping back what comes."""
        held, self._held = self._held, []
        self._deliver(held)

    def let_go(self) -> None:
        self._holding = None
        self.answer_held()
