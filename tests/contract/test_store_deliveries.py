"""Who may work on which delivery, and what an outcome may change: the same answers from both databases."""

import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from dockbell.store import deliveries, delivery_log
from dockbell.store.database import Database, Transaction, open_database
from dockbell.store.deliveries import Lease
from dockbell.store.migrate import migrate
from tests.support.rows import (
    NODE,
    NOW,
    SECOND,
    TEA,
    Explained,
    a_closing,
    a_failure,
    a_lease,
    an_event_row,
    claim,
    put_deliveries,
    put_goods_owners,
    put_webhook,
    read,
    rows_of,
    save_webhook,
    the_attempts,
    the_delivery,
    write,
)

LATER = NOW + 60 * SECOND


@pytest.fixture
def store(database: Database) -> Database:
    """With webhook 1, which takes four attempts at once."""
    put_goods_owners(database)
    put_webhook(database, 1)
    return database


def close(store: Database, *closings: deliveries.Closing) -> int:
    return int(write(store, lambda tx: deliveries.close(tx, closings)))


def rescue(store: Database, *, now: int = LATER, limit: int = 500) -> int:
    return int(write(store, lambda tx: deliveries.rescue(tx, now=now, limit=limit)))


# Claiming.


def test_a_claimed_delivery_carries_a_numbered_lease(store: Database):
    put_deliveries(store, 1, [10])
    [lease] = claim(store, 1)
    assert lease == Lease(10, 1, TEA, 1, 1, NOW + 25 * SECOND, NOW, NOW, 0)
    row = the_delivery(store, 10)
    assert (row["status"], row["attempts"], row["lease_no"], row["lease_node"]) == ("sending", 1, 1, NODE)
    assert (row["attempt_started_at"], row["first_attempt_at"], row["lease_until"]) == (NOW, NOW, NOW + 25 * SECOND)


def test_a_claimed_delivery_is_not_claimed_again(store: Database):
    put_deliveries(store, 1, [10])
    assert len(claim(store, 1)) == 1
    assert claim(store, 1) == []


def test_a_delivery_that_is_not_due_yet_is_left_alone(store: Database):
    put_deliveries(store, 1, [10], due_at=NOW + 1)
    assert claim(store, 1, now=NOW) == []
    assert len(claim(store, 1, now=NOW + 1)) == 1


def test_the_oldest_due_are_claimed_first(store: Database):
    put_deliveries(store, 1, [13], due_at=NOW - 1)
    put_deliveries(store, 1, [10, 11], due_at=NOW - 3)
    put_deliveries(store, 1, [12], due_at=NOW - 2)
    put_deliveries(store, 1, [9], due_at=NOW)
    claimed = []
    for _ in range(5):
        [lease] = claim(store, 1, limit=1)
        claimed.append(lease.event_id)
        close(store, a_closing(lease))
    assert claimed == [10, 11, 12, 13, 9]


def test_claimed_deliveries_come_in_the_order_they_are_sent_in(store: Database):
    put_webhook(store, 1, max_concurrency=64)
    ids = list(range(10, 40))
    for event_id in random.Random(2).sample(ids, len(ids)):
        put_deliveries(store, 1, [event_id], due_at=NOW - event_id)
    assert [lease.event_id for lease in claim(store, 1)] == list(reversed(ids))


def test_a_claim_takes_no_more_than_asked_for(store: Database):
    put_deliveries(store, 1, range(10, 20))
    assert len(claim(store, 1, limit=3)) == 3
    assert len(claim(store, 1, limit=0)) == 0


def test_a_webhook_never_has_more_in_flight_than_its_cap(store: Database):
    put_deliveries(store, 1, range(10, 20))
    first = claim(store, 1)
    assert len(first) == 4
    assert claim(store, 1) == []
    close(store, a_closing(first[0]))
    assert len(claim(store, 1)) == 1


def test_another_webhooks_attempts_do_not_count_against_the_cap(store: Database):
    put_webhook(store, 2)
    put_deliveries(store, 1, range(10, 20))
    put_deliveries(store, 2, range(10, 20))
    assert len(claim(store, 2)) == 4
    assert {lease.webhook_id for lease in claim(store, 1)} == {1}


def test_a_cap_that_was_lowered_below_what_is_in_flight_lets_nothing_more_through(store: Database):
    put_deliveries(store, 1, range(10, 20))
    assert len(claim(store, 1)) == 4
    put_webhook(store, 1, max_concurrency=2)
    assert claim(store, 1) == []


def test_an_unknown_webhook_has_nothing_to_claim(store: Database):
    assert claim(store, 99) == []


def test_the_second_attempt_keeps_the_moment_of_the_first(store: Database):
    put_deliveries(store, 1, [10])
    [first] = claim(store, 1)
    close(store, a_failure(first, again_at=LATER))
    [second] = claim(store, 1, now=LATER)
    assert (second.attempt_no, second.lease_no, second.failures) == (2, 2, 1)
    assert (second.first_attempt_at, second.started_at) == (NOW, LATER)


def test_eight_threads_claim_each_delivery_once_and_never_above_the_cap(
    store: Database, open_again: Callable[[], Database]
):
    """Two nodes, eight threads, three webhooks: a claim and its close at a time, each delivery exactly one attempt."""
    caps = {1: 2, 2: 3, 3: 5}
    for webhook_id, cap in caps.items():
        put_webhook(store, webhook_id, max_concurrency=cap, goods_owners=())
        put_deliveries(store, webhook_id, range(100, 130))
    nodes = [store, open_again()]
    leases: list[Lease] = []
    most = dict.fromkeys(caps, 0)
    problems: list[BaseException] = []
    together = threading.Lock()
    done = threading.Event()

    def work(seed: int) -> None:
        chance, node = random.Random(seed), nodes[seed % 2]
        try:
            for _ in range(300):
                if done.is_set():
                    return
                webhook_id = chance.choice((1, 2, 3))
                mine = claim(node, webhook_id, limit=chance.randint(1, 4))
                sending = rows_of(
                    node, "SELECT webhook_id, count(*) AS n FROM deliveries WHERE status = 'sending' GROUP BY 1"
                )
                with together:
                    leases.extend(mine)
                    for row in sending:
                        most[row["webhook_id"]] = max(most[row["webhook_id"]], row["n"])
                    if len(leases) >= 90:
                        done.set()
                chance.shuffle(mine)
                close(node, *(a_closing(lease) for lease in mine))
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert problems == []
    assert len({(lease.event_id, lease.webhook_id) for lease in leases}) == len(leases) == 90
    assert all(most[webhook_id] <= cap for webhook_id, cap in caps.items())
    assert len(rows_of(store, "SELECT 1 AS one FROM attempts")) == 90


def test_a_webhook_that_another_node_is_claiming_for_is_passed_by(store: Database, open_again: Callable[[], Database]):
    """Nobody queues behind a lock; on SQLite there is one writer, and the second claim finds the cap used up."""
    put_deliveries(store, 1, range(10, 20))
    another = open_again()
    claimed, go_on = threading.Event(), threading.Event()

    def slowly(tx: Transaction) -> int:
        found = deliveries.claim_due(
            tx,
            webhook_id=1,
            now=NOW,
            lease_until=LATER,
            node=0,
            limit=32,
        )
        claimed.set()
        assert go_on.wait(10)
        return len(found)

    slow = store.submit_write(slowly)
    assert claimed.wait(10)
    quick = another.submit_write(
        lambda tx: deliveries.claim_due(tx, webhook_id=1, now=NOW, lease_until=LATER, node=1, limit=32)
    )
    if store.dialect == "postgres":
        assert quick.result(5) == []
    go_on.set()
    assert slow.result(10) == 4
    assert quick.result(10) == []


def test_a_receiver_that_is_quick_may_have_some_leased_ahead_of_its_cap(store: Database):
    put_deliveries(store, 1, range(10, 30))

    def claim(tx: Transaction) -> list[int]:
        leases = deliveries.claim_due(tx, webhook_id=1, now=NOW, lease_until=LATER, node=0, limit=9, ahead=6)
        return [lease.event_id for lease in leases]

    assert write(store, claim) == list(range(10, 19)), "as many as were asked for"
    assert write(store, claim) == [19], "a cap of 4 and 6 ahead are 10 together"
    assert write(store, claim) == []


def test_two_nodes_never_exceed_the_cap_together(store: Database, open_again: Callable[[], Database]):
    """The second node counts only after the first one's claim is committed, or passes by."""
    put_deliveries(store, 1, range(10, 30))
    another = open_again()
    for _ in range(20):
        futures = [
            node.submit_write(
                lambda tx: deliveries.claim_due(tx, webhook_id=1, now=NOW, lease_until=LATER, node=1, limit=3)
            )
            for node in (store, another, store, another)
        ]
        leases = [lease for future in futures for lease in future.result(10)]
        assert len(leases) <= 4
        assert len(rows_of(store, "SELECT 1 AS one FROM deliveries WHERE status = 'sending'")) <= 4
        close(store, *(a_failure(lease, again_at=NOW) for lease in leases))


def test_deliveries_of_a_disabled_webhook_are_held_instead_of_claimed(store: Database):
    """The event was accepted in the moment the webhook was disabled."""
    put_webhook(store, 2)
    put_webhook(store, 1, enabled=0)
    put_deliveries(store, 1, [10, 11])
    put_deliveries(store, 2, [10])
    assert claim(store, 1) == []
    assert [the_delivery(store, number)["status"] for number in (10, 11)] == ["held", "held"]
    assert the_delivery(store, 10, 2)["status"] == "pending"


def test_deliveries_of_a_deleted_webhook_are_cancelled_instead_of_claimed(store: Database):
    put_webhook(store, 1, enabled=0, deleted_at=NOW)
    put_deliveries(store, 1, [10])
    assert claim(store, 1) == []
    row = the_delivery(store, 10)
    assert (row["status"], row["ended_at"]) == ("cancelled", NOW)


def test_a_claim_never_walks_what_a_webhook_has_behind_it(tmp_path: Path):
    """SQLite's plans are the same however much is stored, as it has no statistics."""
    opened = open_database(f"sqlite:///{tmp_path / 'data.sqlite'}")
    migrate(opened, now=1)
    put_goods_owners(opened)
    put_webhook(opened, 1)
    put_deliveries(opened, 1, [10])

    def work(tx: Transaction) -> list[str]:
        explained = Explained(tx)
        seen = cast(Transaction, explained)
        assert deliveries.webhooks_with_due(seen, now=NOW, after=0, limit=64) == [1]
        assert deliveries.claim_due(seen, webhook_id=1, now=NOW, lease_until=LATER, node=NODE, limit=32)
        deliveries.next_due_at(seen)
        return explained.steps

    steps = write(opened, work)
    opened.close()
    for index in ("deliveries_due", "deliveries_sending", "deliveries_next_due"):
        assert any(index in step for step in steps), steps
    assert not any("deliveries_of_webhook" in step or step == "SCAN deliveries" for step in steps), steps


# Born leased.


def test_a_delivery_born_leased_is_not_claimed_by_anyone(store: Database):
    write(store, lambda tx: deliveries.insert(tx, [], leases=[a_lease(10, 1)], node=5))
    assert claim(store, 1) == []
    row = the_delivery(store, 10)
    assert (row["status"], row["lease_node"], row["lease_until"]) == ("sending", 5, NOW + 25 * SECOND)
    assert (row["attempts"], row["lease_no"], row["first_attempt_at"], row["attempt_started_at"]) == (1, 1, NOW, NOW)


def test_deliveries_born_leased_count_against_the_cap(store: Database):
    leases = [a_lease(event_id, 1) for event_id in (10, 11, 12)]
    write(store, lambda tx: deliveries.insert(tx, [], leases=leases, node=5))
    put_deliveries(store, 1, range(20, 30))
    assert len(claim(store, 1)) == 1


# Looking for work.


def due(store: Database, *, now: int = NOW, after: int = 0, limit: int = 64) -> list[int]:
    found: list[int] = read(store, lambda tx: deliveries.webhooks_with_due(tx, now=now, after=after, limit=limit))
    return found


def test_every_webhook_with_something_due_is_found_in_order(store: Database):
    numbers = list(range(1, 301))

    def work(tx: Transaction) -> None:
        for number in numbers:
            save_webhook(tx, number, goods_owners=())
        deliveries.insert(tx, [(10 + n % 7, n, TEA, NOW - n) for n in numbers if n % 3])
        deliveries.insert(tx, [(50, n, TEA, NOW + 1) for n in numbers])

    write(store, work)
    wanted = [number for number in numbers if number % 3]
    assert due(store, limit=1000) == wanted
    found, after = [], 0
    for _ in range(20):
        some = due(store, after=after, limit=64)
        found += some
        if len(some) < 64:
            break
        after = some[-1]
    assert found == wanted


def test_a_webhook_whose_deliveries_are_not_due_is_not_found(store: Database):
    put_deliveries(store, 1, [10], due_at=NOW + 1)
    assert due(store) == []
    assert due(store, now=NOW + 1) == [1]


@pytest.mark.parametrize("status", ["sending", "delivered", "failed", "held", "cancelled"])
def test_only_what_is_pending_counts_as_due(store: Database, status: str):
    put_deliveries(store, 1, [10], due_at=NOW - 5)
    write(store, lambda tx: tx.run("UPDATE deliveries SET status = :status, lease_until = 0", status=status))
    assert due(store) == []
    assert read(store, deliveries.next_due_at) is None
    assert claim(store, 1) == []


def test_the_next_due_moment_is_the_earliest_of_all(store: Database):
    assert read(store, deliveries.next_due_at) is None
    put_webhook(store, 2)
    put_deliveries(store, 1, [10], due_at=NOW + 9)
    put_deliveries(store, 2, [10], due_at=NOW + 7)
    assert read(store, deliveries.next_due_at) == NOW + 7


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
    put_webhook(store, 2)
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
    put_webhook(store, 2)
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
    write(store, lambda tx: deliveries.close(tx, [a_closing(first)]))
    write(store, lambda tx: delivery_log.resend(tx, 10, 1, status="pending", now=NOW + SECOND))
    [unused] = claim(store, 1, now=NOW + SECOND)
    write(store, lambda tx: deliveries.release(tx, [(unused, LATER)]))
    assert the_delivery(store, 10)["first_attempt_at"] is None
    [again] = claim(store, 1, now=LATER)
    assert (again.attempt_no, again.first_attempt_at) == (2, LATER)
    write(store, lambda tx: deliveries.close(tx, [a_failure(again, again_at=LATER + SECOND)]))
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
    put_webhook(store, 2)
    put_deliveries(store, 1, [10])
    put_deliveries(store, 2, [10, 11])
    assert sorted(read(store, lambda tx: deliveries.webhooks_of_event(tx, 10))) == [1, 2]
    assert read(store, lambda tx: deliveries.webhooks_of_event(tx, 12)) == []
    assert an_event_row(10).id == 10
