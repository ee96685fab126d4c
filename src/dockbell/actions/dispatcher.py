"""What the journal asks of whoever makes the attempts, so that neither needs to know the other."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from dockbell.actions.commit import Job
from dockbell.clock import Moment
from dockbell.domain.webhook import Webhook
from dockbell.store.deliveries import Closing


class Dispatcher(Protocol):
    """Who makes the attempts; all calls on the loop thread."""

    def reserve(self, webhook: Webhook, *, now: Moment, at_once: bool = False) -> Moment | None:
        """A place for one attempt, as the lease's end; None if the delivery must wait in the store.

        `at_once` (a person waits for a test's result) always gets one, but from who is stopping.
        """

    def unreserve(self, webhook_id: int) -> None: ...

    def answer_after(self, webhook_ids: Iterable[int]) -> float:
        """How many seconds later to answer whoever published for these webhooks; not 0 while they keep the node behind."""

    def take(self, jobs: Sequence[Job]) -> None:
        """Attempt these; each has a place."""

    def closed(self, closings: Sequence[Closing]) -> None:
        """The outcomes are on disk."""
