"""An event: one thing that happened, with the bytes to send.

The publisher's `data` is kept and sent as it came: it is read to be judged, never written again.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

from dockbell.clock import SECOND, Moment, to_datetime
from dockbell.domain.catalog import EventType


class NewEvent(msgspec.Struct, frozen=True, gc=False):
    """An event that was judged and may be accepted."""

    event_type: EventType
    goods_owner_id: int
    goods_owner_name: str
    occurred_at: Moment | None
    publisher_id: str | None
    fingerprint: str
    """Digest of everything the publisher sent; tells a repeat from another event under the same id."""
    key: str | None
    number: str | None
    attributes: Mapping[str, Any]
    data: str
    document: Mapping[str, Any]
    """`data`, read: for filters only."""


class Event(msgspec.Struct, frozen=True, gc=False):
    """An accepted event, as much of it as an attempt needs."""

    id: int
    goods_owner_id: int
    event_type: str
    accepted_at: Moment
    head: str
    data: str
    test: bool = False


def head_of(event: NewEvent, *, event_id: int, system: str, occurred_at: Moment) -> str:
    """The header fields that Dockbell itself writes, without braces; made once, so that a retry sends the same bytes."""
    # Written out: every event type has these, in this order, and only the last may be left out.
    head = (
        f'"webhookEventId":{event_id},"system":{_quoted(system)},"timestamp":"{payload_time(occurred_at)}",'
        f'"goodsOwnerId":{event.goods_owner_id},"webhookTemplate":{_quoted(event.event_type.name)}'
    )
    if "goodsOwnerName" in event.event_type.header_fields:
        head += f',"goodsOwnerName":{_quoted(event.goods_owner_name)}'
    return head


@lru_cache(maxsize=4096)
def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()


def body_of(event: Event, *, id_field: str, webhook_id: int) -> bytes:
    """The complete payload: webhook id, head, then the publisher's own fields, byte for byte."""
    rest = event.data[1:].lstrip(" \t\r\n")
    comma = "" if rest.startswith("}") else ","
    return f'{{"{id_field}":{webhook_id},{event.head}{comma}{rest}'.encode()


def payload_time(moment: Moment) -> str:
    """UTC with seven fractional digits and no zone, as the WMS documents `timestamp`."""
    seconds, microseconds = divmod(moment, SECOND)
    return f"{_second(seconds)}.{microseconds:06d}0"


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    return to_datetime(seconds * SECOND).strftime("%Y-%m-%dT%H:%M:%S")
