"""Moving what waits along with a clock that was set, so that nothing waits longer or comes sooner for it."""

from dockbell.store.database import Transaction


def move(tx: Transaction, *, by: int) -> None:
    """All that waits or is being sent. The first attempt moves too: a day of retries stays a day."""
    tx.run(
        """
        UPDATE deliveries SET due_at = due_at + :moved, first_attempt_at = first_attempt_at + :moved
         WHERE status = 'pending'
        """,
        moved=by,
    )
    tx.run(
        """
        UPDATE deliveries SET first_attempt_at = first_attempt_at + :moved, lease_until = lease_until + :moved
         WHERE status = 'sending'
        """,
        moved=by,
    )
