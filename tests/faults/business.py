"""The warehouse system of a fault run with an outbox: business transactions in its own PostgreSQL, a third rolled back.

    python -m tests.faults.business ADDRESS SEED RATE TRANSACTIONS

Each transaction changes an order, publishes the event of it, and commits or not; what it will do is settled by seed and
number alone, so that after a kill the next process does what the last one had not ended. Some hold their transaction open for
a while after publishing: later ones commit before them. Ends when every transaction was committed or rolled back.
"""

import json
import random
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg

from tests.faults.processes import pause

THREADS = 4
ORDERS = 40
ROLLED_BACK = 1 / 3
HELD_OPEN = 0.1
HELD_OPEN_S = 0.05
GOODS_OWNER = 114
TABLES = """
    CREATE TABLE orders (id bigint PRIMARY KEY, version bigint NOT NULL);
    CREATE TABLE changes (number bigint PRIMARY KEY, order_id bigint NOT NULL, version bigint NOT NULL);
    CREATE TABLE rolled_back (number bigint PRIMARY KEY);
"""


def prepare(address: str) -> None:
    """Tables with `ORDERS` orders of version 0."""
    with psycopg.connect(address) as connection:
        connection.execute(TABLES)
        connection.execute("INSERT INTO orders SELECT id, 0 FROM generate_series(1, %s) id", [ORDERS])


def ended(connection: psycopg.Connection[Any]) -> tuple[set[int], set[int]]:
    """The numbers of transactions that were committed, and of those that were rolled back."""
    committed = {number for (number,) in connection.execute("SELECT number FROM changes")}
    return committed, {number for (number,) in connection.execute("SELECT number FROM rolled_back")}


def transact(connection: psycopg.Connection[Any], number: int, seed: int) -> None:
    """One business transaction, to its end."""
    choose = random.Random(f"{seed} {number}")
    order = choose.randrange(1, ORDERS + 1)
    row = connection.execute(
        "UPDATE orders SET version = version + 1 WHERE id = %s RETURNING version", [order]
    ).fetchone()
    assert row is not None
    connection.execute("SELECT dockbell_publish(%s)", [an_event(number, order, row[0])])
    if choose.random() < HELD_OPEN:
        connection.execute("SELECT pg_sleep(%s)", [choose.random() * HELD_OPEN_S])
    if choose.random() < ROLLED_BACK:
        connection.rollback()
        connection.execute("INSERT INTO rolled_back VALUES (%s) ON CONFLICT DO NOTHING", [number])
    else:
        connection.execute("INSERT INTO changes VALUES (%s, %s, %s)", [number, order, row[0]])
    connection.commit()


def an_event(number: int, order: int, version: int) -> str:
    return json.dumps(
        {
            "type": "order.picked",
            "goodsOwnerId": GOODS_OWNER,
            "attributes": {"number": number, "version": version},
            "data": {"orderId": order, "orderNumber": f"SO-{order}", "orderStatus": {"number": 400}},
        }
    )


def main() -> None:
    address, seed, rate, transactions = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
    with psycopg.connect(address) as connection:
        committed, rolled_back = ended(connection)
    waiting = iter([number for number in range(transactions) if number not in committed | rolled_back])
    taking = threading.Lock()
    threads = [
        threading.Thread(target=_transact_on, args=(address, seed, waiting, taking, THREADS / rate))
        for _ in range(THREADS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _transact_on(address: str, seed: int, waiting: Iterator[int], taking: threading.Lock, pause_s: float) -> None:
    next_at = time.monotonic()
    with psycopg.connect(address) as connection:
        while True:
            with taking:
                number = next(waiting, None)
            if number is None:
                return
            transact(connection, number, seed)
            next_at = max(next_at + pause_s, time.monotonic() - 1)
            pause(max(0.0, next_at - time.monotonic()))


if __name__ == "__main__":
    main()
