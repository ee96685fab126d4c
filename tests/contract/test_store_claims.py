"""Who may work on which delivery, and who finds work: the same answers from both databases."""

import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from dockbell.store import deliveries
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
    claim,
    close,
    put_deliveries,
    put_goods_owners,
    put_webhook,
    read,
    rows_of,
    save_webhook,
    the_delivery,
    write,
)

LATER = NOW + 60 * SECOND


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
    put_deliveries(store, 1, [10], due_at=NOW + 9)
    put_deliveries(store, 2, [10], due_at=NOW + 7)
    assert read(store, deliveries.next_due_at) == NOW + 7
