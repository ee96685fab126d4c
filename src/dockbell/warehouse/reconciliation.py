"""Whether the events tell exactly what happened: the warehouse's tables counted, and stock computed anew from events alone.

It holds for a database whose events were all kept. Each difference is a sentence; none means that every change was told
once and nothing was told that did not happen.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from dockbell.store.database import Transaction
from dockbell.warehouse.store import ledger

PAGE = 2_000


@dataclass(slots=True)
class Told:
    """What the events say."""

    types: Counter[str] = field(default_factory=Counter)
    on_shelf: Counter[int] = field(default_factory=Counter)
    """Items by article: what came in, came back or was found, less what was picked or lost."""
    aside: Counter[int] = field(default_factory=Counter)
    """Items by article that are allocated and not picked."""


def differences(tx: Transaction) -> list[str]:
    told = read_events(tx)
    return [*_counts(tx, told), *_stock(tx, told)]


def read_events(tx: Transaction) -> Told:
    told = Told()
    last = 0
    while rows := ledger.events_after(tx, last, PAGE):
        for row in rows:
            told.types[row["event_type"]] += 1
            _book(told, row["event_type"], row["data"])
        last = int(rows[-1]["id"])
    return told


def _book(told: Told, event_type: str, text: str) -> None:
    signs: Mapping[str, tuple[int, int]] = {
        "inbound.performed": (1, 0),
        "article.returned": (1, 0),
        "article.picked": (-1, -1),
        "article.allocated": (0, 1),
        "article.deallocated": (0, -1),
        "inventory.performed": (1, 0),
    }
    if event_type not in signs:
        return
    data = json.loads(text)
    count = data["articleItem"]["numberOfItems"]
    if event_type == "inventory.performed":
        count = data["transaction"]["transactionNumberOfItems"]
    article, (shelf, aside) = data["article"]["articleSystemId"], signs[event_type]
    told.on_shelf[article] += shelf * int(count)
    told.aside[article] += aside * int(count)


def _counts(tx: Transaction, told: Told) -> Iterator[str]:
    for event_type, made in ledger.changes(tx).items():
        if told.types[event_type] != made:
            yield f"{event_type}: {made} changes in the tables, {told.types[event_type]} events"


def _stock(tx: Transaction, told: Told) -> Iterator[str]:
    for row in ledger.stock(tx):
        article = int(row["id"])
        claims = {
            "the article's sums": (int(row["number_of_items"]), int(row["allocated"])),
            "its items": (int(row["items"]), int(row["items_allocated"])),
            "the events": (told.on_shelf[article], told.aside[article]),
        }
        if len(set(claims.values())) > 1:
            said = "; ".join(f"{who} say {items} and {aside}" for who, (items, aside) in claims.items())
            yield f"article {row['number']} (items on the shelves, allocated): {said}"
        if row["booked"] != row["number_of_items"]:
            yield f"article {row['number']}: {row['number_of_items']} items on the shelves, {row['booked']} in the ledger"
