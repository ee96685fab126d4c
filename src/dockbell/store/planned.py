"""What is planned for a moment, when the clock that tells moments has stepped."""

from dockbell.clock import Moment
from dockbell.store.database import Transaction
from dockbell.store.deliveries import TOPIC


def move(tx: Transaction, *, by: int, now: Moment) -> int:
    """Keep next attempts as far away as they were before the clock stepped by `by` to `now`; how many were moved.

    What was due stays due. The age of deliveries is kept too, for a retry policy ends by age.
    """
    before = now - by
    moved = tx.run(
        """
        UPDATE deliveries SET due_at = due_at + :by
         WHERE status = 'pending' AND due_at > :earlier
        """,
        by=by,
        earlier=min(now, before),
    )
    tx.run(
        """
        UPDATE deliveries SET first_attempt_at = first_attempt_at + :by
         WHERE status IN ('pending', 'sending') AND first_attempt_at IS NOT NULL
        """,
        by=by,
    )
    tx.wake(TOPIC)
    return moved
