"""What an outcome may change, and what becomes of a lease that nobody ends: the same answers from both databases."""

import random

import pytest

from dockbell.store import deliveries, delivery_log
from dockbell.store.database import Database, Transaction
from dockbell.store.deliveries import Lease
from tests.support.rows import (
    NODE,
    NOW,
    SECOND,
    a_closing,
    a_failure,
    claim,
    close,
    put_deliveries,
    put_webhook,
    read,
    rows_of,
    the_attempts,
    the_delivery,
    write,
)

LATER = NOW + 60 * SECOND


def rescue(store: Database, *, now: int = LATER, limit: int = 500) -> int:
    return int(write(store, lambda tx: deliveries.rescue(tx, now=now, limit=limit)))


# Closing.


def test_a_delivered_attempt_ends_the_delivery_and_is_logged(store: Database):
    put_deliveries(store, 1, [10])
    [lease] = claim(store, 1)
    assert close(store, a_closing(lease)) == 1
    row = the_delivery(store, 10)
    assert (row["status"], row["last_code"], row["failures"], row["ended_at"]) == (
        "delivered",
        "delivered",
        0,
        NOW + SECOND,
    )
    assert row["attempt_started_at"] is None
    [attempt] = the_attempts(store, 10)
    assert dict(attempt) == {
        "event_id": 10, "webhook_id": 1, "attempt_no": 1, "webhook_version": 1, "node": NODE, "started_at": NOW,
        "ended_at": NOW + SECOND, "code": "delivered", "status_code": 200, "detail": "", "address": "127.0.0.1",
        "dns_us": 1, "connect_us": 2, "tls_us": 3, "first_byte_us": 4, "total_us": 5,
        "request_headers": "webhook-id: 1-1", "response_headers": "HTTP/1.1 200 OK", "response_body": "ok",
        "response_cut": 0, "next_attempt_at": None,
    }  # fmt: skip


def test_a_failed_attempt_counts_and_says_when_the_next_one_is(store: Database):
    put_deliveries(store, 1, [10])
    [lease] = claim(store, 1)
    close(store, a_failure(lease, again_at=LATER))
    row = the_delivery(store, 10)
    assert (row["status"], row["due_at"], row["failures"], row["last_code"]) == ("pending", LATER, 1, "http_500")
    assert (row["ended_at"], row["attempt_started_at"]) == (None, None)
    assert the_attempts(store, 10)[0]["next_attempt_at"] == LATER


def test_the_last_failure_ends_the_delivery(store: Database):
    put_deliveries(store, 1, [10])
    [lease] = claim(store, 1)
    close(store, a_closing(lease, code="http_500", next_status="failed", failed=True))
    row = the_delivery(store, 10)
    assert (row["status"], row["failures"], row["ended_at"]) == ("failed", 1, NOW + SECOND)
    assert the_attempts(store, 10)[0]["next_attempt_at"] is None


def test_many_attempts_of_both_kinds_are_closed_in_one_go(store: Database):
    put_webhook(store, 1, max_concurrency=1000)
    put_deliveries(store, 1, range(1000, 1700))
    leases = claim(store, 1, limit=1000)
    assert len(leases) == 700
    good, bad = leases[::2], leases[1::2]
    closings = [a_closing(lease, ended_at=NOW + lease.event_id) for lease in good]
    closings += [
        a_failure(lease, again_at=LATER + lease.event_id, response_body=f"no {lease.event_id}") for lease in bad
    ]
    random.Random(1).shuffle(closings)
    assert close(store, *closings) == 700
    rows = {row["event_id"]: row for row in rows_of(store, "SELECT * FROM deliveries")}
    for lease in good:
        assert (rows[lease.event_id]["status"], rows[lease.event_id]["ended_at"]) == ("delivered", NOW + lease.event_id)
    for lease in bad:
        row = rows[lease.event_id]
        assert (row["status"], row["due_at"], row["failures"]) == ("pending", LATER + lease.event_id, 1)
    attempts = {row["event_id"]: row for row in rows_of(store, "SELECT * FROM attempts")}
    assert len(attempts) == 700
    assert all(attempts[lease.event_id]["response_body"] == f"no {lease.event_id}" for lease in bad)


def test_closing_one_delivery_leaves_its_neighbours_alone(store: Database):
    """Same event to another webhook, other event to the same webhook."""
    put_deliveries(store, 1, [10, 11])
    put_deliveries(store, 2, [10])
    mine = next(lease for lease in claim(store, 1) if lease.event_id == 10)
    claim(store, 2)
    close(store, a_closing(mine))
    assert the_delivery(store, 11, 1)["status"] == "sending"
    assert the_delivery(store, 10, 2)["status"] == "sending"


def test_closing_nothing_is_no_error(store: Database):
    assert close(store) == 0


def test_a_failure_of_a_webhook_that_was_disabled_meanwhile_is_held(store: Database):
    put_deliveries(store, 1, [10, 11])
    failing, succeeding = claim(store, 1)
    put_webhook(store, 1, enabled=0)
    close(store, a_failure(failing, again_at=LATER), a_closing(succeeding))
    assert the_delivery(store, failing.event_id)["status"] == "held"
    assert the_delivery(store, succeeding.event_id)["status"] == "delivered"


def test_a_failure_of_a_webhook_that_was_deleted_meanwhile_is_cancelled(store: Database):
    """Held would be for ever: a deleted webhook is never enabled again."""
    put_deliveries(store, 1, [10])
    [lease] = claim(store, 1)
    put_webhook(store, 1, enabled=0, deleted_at=LATER)
    close(store, a_failure(lease, again_at=LATER))
    row = the_delivery(store, 10)
    assert (row["status"], row["ended_at"]) == ("cancelled", NOW + SECOND)


# Fencing: the lease ran out, another worker has the delivery.


def test_a_worker_that_lost_its_lease_cannot_write_the_outcome(store: Database):
    put_deliveries(store, 1, [10])
    [mine] = claim(store, 1)
    rescue(store)
    [theirs] = claim(store, 1, now=LATER)
    assert theirs.lease_no > mine.lease_no
    before = dict(the_delivery(store, 10))
    assert close(store, a_closing(mine)) == 0
    assert dict(the_delivery(store, 10)) == before
    assert close(store, a_failure(theirs, again_at=LATER + 1)) == 1
    assert the_delivery(store, 10)["status"] == "pending"


def test_a_late_outcome_is_told_in_the_log_in_place_of_interrupted(store: Database):
    put_deliveries(store, 1, [10])
    [mine] = claim(store, 1)
    rescue(store)
    close(store, a_closing(mine, response_body="late but true"))
    [attempt] = the_attempts(store, 10)
    assert (attempt["code"], attempt["status_code"], attempt["response_body"]) == ("delivered", 200, "late but true")
    assert attempt["next_attempt_at"] == LATER  # the attempt that follows is still made
    assert the_delivery(store, 10)["status"] == "pending"


@pytest.mark.parametrize("status", ["pending", "held", "cancelled", "delivered", "failed"])
def test_an_outcome_counts_only_while_the_delivery_is_being_sent(store: Database, status: str):
    put_deliveries(store, 1, [10])
    [lease] = claim(store, 1)
    write(store, lambda tx: tx.run("UPDATE deliveries SET status = :status, lease_until = 0", status=status))
    assert close(store, a_failure(lease, again_at=LATER)) == 0
    assert (the_delivery(store, 10)["status"], the_delivery(store, 10)["failures"]) == (status, 0)


def test_an_outcome_is_written_once(store: Database):
    put_deliveries(store, 1, [10])
    [lease] = claim(store, 1)
    close(store, a_failure(lease, again_at=LATER))
    assert close(store, a_failure(lease, again_at=LATER)) == 0
    assert the_delivery(store, 10)["failures"] == 1
    assert len(the_attempts(store, 10)) == 1


# Rescue: a node died.


def test_a_delivery_whose_lease_ran_out_is_due_at_once_and_its_attempt_interrupted(store: Database):
    put_deliveries(store, 1, [10])
    [lease] = claim(store, 1)
    assert rescue(store, now=lease.until - 1) == 0
    assert rescue(store, now=lease.until) == 1
    row = the_delivery(store, 10)
    assert (row["status"], row["due_at"], row["last_code"]) == ("pending", lease.until, "interrupted")
    [attempt] = the_attempts(store, 10)
    assert (attempt["code"], attempt["attempt_no"], attempt["node"]) == ("interrupted", 1, NODE)
    assert (attempt["started_at"], attempt["ended_at"], attempt["next_attempt_at"]) == (NOW, lease.until, lease.until)
    assert attempt["status_code"] is None
    assert "unknown" in attempt["detail"]


def test_an_interrupted_attempt_is_no_failure(store: Database):
    put_deliveries(store, 1, [10])
    [first] = claim(store, 1)
    close(store, a_failure(first, again_at=NOW))
    claim(store, 1)
    rescue(store)
    assert the_delivery(store, 10)["failures"] == 1
    [third] = claim(store, 1, now=LATER)
    assert (third.attempt_no, third.failures, third.first_attempt_at) == (3, 1, NOW)


def test_a_rescue_is_done_once(store: Database):
    put_deliveries(store, 1, [10])
    claim(store, 1)
    assert (rescue(store), rescue(store)) == (1, 0)


def test_a_rescue_leaves_living_leases_and_other_states_alone(store: Database):
    put_deliveries(store, 1, [10, 11, 12])
    claim(store, 1, limit=1)
    living = claim(store, 1, limit=1, lease_s=3600)
    assert rescue(store) == 1
    assert the_delivery(store, living[0].event_id)["status"] == "sending"
    assert the_attempts(store, living[0].event_id) == []
    assert the_attempts(store, 12) == []


def test_a_rescue_takes_a_limited_number_longest_overdue_first(store: Database):
    put_webhook(store, 1, max_concurrency=64)
    put_deliveries(store, 1, range(10, 20))
    for seconds in range(10):
        claim(store, 1, limit=1, lease_s=20 - seconds)
    assert rescue(store, limit=3) == 3
    again = rows_of(store, "SELECT event_id FROM deliveries WHERE status = 'pending' ORDER BY event_id")
    assert [row["event_id"] for row in again] == [17, 18, 19]
    assert rescue(store) == 7


def test_what_was_lost_for_a_disabled_webhook_is_held(store: Database):
    put_deliveries(store, 1, [10])
    put_deliveries(store, 2, [10])
    claim(store, 1)
    claim(store, 2)
    put_webhook(store, 1, enabled=0)
    rescue(store)
    assert the_delivery(store, 10, 1)["status"] == "held"
    assert the_delivery(store, 10, 2)["status"] == "pending"


def test_what_was_lost_for_a_deleted_webhook_is_cancelled(store: Database):
    put_deliveries(store, 1, [10])
    claim(store, 1)
    put_webhook(store, 1, enabled=0, deleted_at=NOW)
    rescue(store)
    row = the_delivery(store, 10)
    assert (row["status"], row["ended_at"], row["last_code"]) == ("cancelled", LATER, "interrupted")
    assert the_attempts(store, 10)[0]["code"] == "interrupted"


# Extending and giving back.


def test_an_extended_lease_is_not_rescued(store: Database):
    put_deliveries(store, 1, [10, 11])
    kept, lost = claim(store, 1)
    write(store, lambda tx: deliveries.extend(tx, [kept], until=LATER + 1))
    assert rescue(store) == 1
    assert the_delivery(store, kept.event_id)["status"] == "sending"
    assert the_delivery(store, lost.event_id)["status"] == "pending"


def test_a_lost_lease_cannot_be_extended(store: Database):
    put_deliveries(store, 1, [10])
    [mine] = claim(store, 1)
    rescue(store)
    claim(store, 1, now=LATER)
    before = the_delivery(store, 10)["lease_until"]
    write(store, lambda tx: deliveries.extend(tx, [mine], until=LATER + 999 * SECOND))
    assert the_delivery(store, 10)["lease_until"] == before


def test_a_lease_given_back_counts_as_no_attempt(store: Database):
    put_deliveries(store, 1, [10, 11])
    back, kept = claim(store, 1)
    write(store, lambda tx: deliveries.release(tx, [(back, LATER)]))
    row = the_delivery(store, back.event_id)
    assert (row["status"], row["attempts"], row["due_at"], row["attempt_started_at"]) == ("pending", 0, LATER, None)
    assert the_delivery(store, kept.event_id)["status"] == "sending"
    assert the_attempts(store, back.event_id) == []
    [again] = claim(store, 1, now=LATER)
    assert (again.attempt_no, again.failures) == (1, 0)
    assert again.lease_no > back.lease_no


def test_a_lease_given_back_unused_does_not_start_the_retry_day(store: Database):
    """A node that stopped for a weekend must not find the day over before the first attempt."""
    put_deliveries(store, 1, [10])
    write(store, lambda tx: deliveries.release(tx, [(lease, NOW) for lease in claim_in(tx)]))
    [again] = claim(store, 1, now=LATER)
    assert again.first_attempt_at == LATER


def test_a_lease_of_a_resent_delivery_given_back_unused_does_not_start_the_retry_day(store: Database):
    put_deliveries(store, 1, [10])
    [first] = claim(store, 1)
    close(store, a_closing(first))
    write(store, lambda tx: delivery_log.resend(tx, 10, 1, status="pending", now=NOW + SECOND))
    [unused] = claim(store, 1, now=NOW + SECOND)
    write(store, lambda tx: deliveries.release(tx, [(unused, LATER)]))
    assert the_delivery(store, 10)["first_attempt_at"] is None
    [again] = claim(store, 1, now=LATER)
    assert (again.attempt_no, again.first_attempt_at) == (2, LATER)
    close(store, a_failure(again, again_at=LATER + SECOND))
    [third] = claim(store, 1, now=LATER + SECOND)
    write(store, lambda tx: deliveries.release(tx, [(third, LATER + SECOND)]))
    assert the_delivery(store, 10)["first_attempt_at"] == LATER, "something of this round was sent"


def claim_in(tx: Transaction) -> list[Lease]:
    return deliveries.claim_due(tx, webhook_id=1, now=NOW, lease_until=LATER, node=0, limit=9)


def test_the_retry_day_of_a_second_attempt_goes_on_when_its_lease_is_given_back(store: Database):
    put_deliveries(store, 1, [10])
    close(store, a_failure(claim(store, 1)[0], again_at=NOW + 5))
    [second] = claim(store, 1, now=NOW + 5)
    write(store, lambda tx: deliveries.release(tx, [(second, NOW + 6)]))
    [again] = claim(store, 1, now=LATER)
    assert (again.attempt_no, again.failures, again.first_attempt_at) == (2, 1, NOW)


def test_a_lost_lease_cannot_be_given_back(store: Database):
    put_deliveries(store, 1, [10])
    [mine] = claim(store, 1)
    rescue(store)
    claim(store, 1, now=LATER)
    write(store, lambda tx: deliveries.release(tx, [(mine, LATER)]))
    row = the_delivery(store, 10)
    assert (row["status"], row["attempts"]) == ("sending", 2)


def test_the_webhooks_of_an_event_are_told(store: Database):
    put_deliveries(store, 1, [10])
    put_deliveries(store, 2, [10, 11])
    assert sorted(read(store, lambda tx: deliveries.webhooks_of_event(tx, 10))) == [1, 2]
    assert read(store, lambda tx: deliveries.webhooks_of_event(tx, 12)) == []
