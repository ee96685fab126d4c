"""An event: one thing that happened, with the bytes to send.

The publisher's `data` is kept and sent as it came: it is read to be judged, never written again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from dockbell.clock import Moment, to_datetime
from dockbell.domain.catalog import EventType


@dataclass(frozen=True, slots=True)
class NewEvent:
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


@dataclass(frozen=True, slots=True)
class Event:
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
    values: dict[str, Any] = {
        "webhookEventId": event_id,
        "system": system,
        "timestamp": payload_time(occurred_at),
        "goodsOwnerId": event.goods_owner_id,
        "webhookTemplate": event.event_type.name,
        "goodsOwnerName": event.goods_owner_name,
    }
    wanted = {name: value for name, value in values.items() if name in event.event_type.header_fields}
    return msgspec.json.encode(wanted).decode()[1:-1]


def body_of(event: Event, *, id_field: str, webhook_id: int) -> bytes:
    """The complete payload: webhook id, head, then the publisher's own fields, byte for byte."""
    rest = event.data[1:].lstrip(" \t\r\n")
    comma = "" if rest.startswith("}") else ","
    return f'{{"{id_field}":{webhook_id},{event.head}{comma}{rest}'.encode()


def payload_time(moment: Moment) -> str:
    """UTC with seven fractional digits and no zone, as the WMS documents `timestamp`."""
    return to_datetime(moment).strftime("%Y-%m-%dT%H:%M:%S.%f") + "0"
