"""The warehouse system's side of an outbox: its connection, its transactions, and a drain to call by hand."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg

from dockbell.actions import outbox as actions
from dockbell.actions.outbox import Drain
from dockbell.store.outbox import install, open_outbox
from tests.support.node import Node, an_event


def install_outbox(address: str) -> None:
    opened = open_outbox(address)
    try:
        opened.submit_write(install).result()
    finally:
        opened.close()


def status(address: str) -> dict[str, Any]:
    opened = open_outbox(address)
    try:
        return opened.submit_read(actions.status).result()
    finally:
        opened.close()


def retry(address: str) -> int:
    opened = open_outbox(address)
    try:
        return opened.submit_write(actions.retry).result()
    finally:
        opened.close()


def erase(address: str, *, goods_owner_id: int | None = None, about: str | None = None) -> int:
    return actions.erase_away(lambda: open_outbox(address), goods_owner_id=goods_owner_id, about=about)


def publish(connection: psycopg.Connection[Any], event: str | None = None, **fields: Any) -> str:
    """Call the function in whatever transaction the connection is in; the id of the row."""
    text = json.dumps(an_event(**fields)) if event is None else event
    row = connection.execute("SELECT dockbell_publish(%s)", [text]).fetchone()
    assert row is not None
    return str(row[0])


def drain_of(node: Node, address: str) -> Drain:
    return Drain(lambda: open_outbox(address), node.database, node.index, node.publisher, node.journal, node.clock)


@asynccontextmanager
async def a_drain(node: Node, address: str) -> AsyncIterator[Drain]:
    drain = drain_of(node, address)
    try:
        yield drain
    finally:
        await drain.close()


def an_order(number: int, version: int = 1) -> dict[str, Any]:
    """The fields of an event about it."""
    data = {**an_event()["data"], "orderId": number, "orderNumber": f"SO-{number}", "customFieldVersion": version}
    return {"key": f"order/{number}", "attributes": {"version": version}, "data": data}


def stored_events(node: Node) -> list[tuple[str, int]]:
    """Object and version of each, in the order of their ids."""
    rows = node.rows("SELECT object_key, attributes FROM events ORDER BY id")
    return [(row["object_key"], json.loads(row["attributes"]).get("version")) for row in rows]
