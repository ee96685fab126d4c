"""Moving what waits along with a clock that was set, so that nothing waits longer or comes sooner for it."""

from dockbell.clock import HOUR, Moment
from dockbell.store import webhook_hours
from dockbell.store.database import Transaction


def move(tx: Transaction, *, by: int, now: Moment) -> None:
    """All that waits or is being sent, with the first attempt: a day of retries stays a day. So does a day of failures.

    `now` is told by the clock as it was.
    """
    # First, and all of it, or what ended by the old clock would be counted later as so much older or newer.
    webhook_hours.roll_up(tx, until=now + 1, longest=HOUR)
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
    tx.run(
        """
        UPDATE webhook_health SET failing_since = failing_since + :moved, tried_at = tried_at + :moved,
                                  delivered_at = delivered_at + :moved
         WHERE failing_since IS NOT NULL
        """,
        moved=by,
    )
    webhook_hours.bring_back(tx, now + by)
    tx.run("UPDATE failing_told SET failing_since = failing_since + :moved, told_at = told_at + :moved", moved=by)
    tx.run(
        """
        UPDATE mails SET made_at = made_at + :moved, due_at = due_at + :moved,
                         lease_until = CASE WHEN lease_until = 0 THEN 0 ELSE lease_until + :moved END
        """,
        moved=by,
    )
