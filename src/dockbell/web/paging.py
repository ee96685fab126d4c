"""Pages by cursor: where the next one begins, bound to the list, its filters and whoever asked.

A cursor holds a position and a checksum. It needs no secret: a list always shows only rows its reader may
see, so a forged position yields own rows alone; the checksum refuses cursors of another list or of other
filters, which would leave rows out in silence. It is the same on every node.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

from dockbell.domain.event_json import LARGEST_ID
from dockbell.domain.limits import parse_limit
from dockbell.domain.permissions import Actor
from dockbell.errors import InvalidInput, Problem, Problems
from dockbell.web.inputs import PageQuery

LARGEST_PAGE_BYTES = 4 * 1024 * 1024
USUAL_LIMIT = 50
Position = tuple[int, ...]


class Paging:
    """One page of one list, as it was asked for. A position in the list is of so many `numbers`."""

    def __init__(self, list_name: str, actor: Actor, query: PageQuery, *, numbers: int = 1) -> None:
        problems = Problems()
        with problems.gather():
            self.limit = USUAL_LIMIT if query.limit is None else parse_limit(query.limit)
        filters = query.model_dump(exclude={"limit", "cursor"}, exclude_none=True)
        owners = None if actor.goods_owners is None else sorted(actor.goods_owners)
        bound = json.dumps([list_name, actor.id, owners, filters], sort_keys=True)
        self._bound = hashlib.sha256(bound.encode()).digest()
        self._numbers = numbers
        with problems.gather():
            self.position = None if query.cursor is None else self._read(query.cursor)
        problems.refuse()

    @property
    def rows(self) -> int:
        """How many to ask the store for: one more tells whether there is another page."""
        return self.limit + 1

    def page(
        self,
        items: Sequence[Any],
        position_of: Callable[[Any], Position],
        *,
        bytes_of: Callable[[Any], int] | None = None,
    ) -> dict[str, Any]:
        """With `bytes_of` it ends at LARGEST_PAGE_BYTES, with one item at least: a page stays in memory while its reader is slow."""
        shown = list(items[: self.limit])
        if bytes_of is not None:
            sums = accumulate(map(bytes_of, shown))
            shown = shown[: max(1, sum(each <= LARGEST_PAGE_BYTES for each in sums))]
        more = len(items) > len(shown)
        return {"items": shown, "nextCursor": self._written(position_of(shown[-1])) if more else None}

    def _written(self, position: Position) -> str:
        text = ".".join(map(str, position)).encode()
        return base64.urlsafe_b64encode(self._checksum(text) + text).decode().rstrip("=")

    def _checksum(self, text: bytes) -> bytes:
        return hashlib.sha256(self._bound + text).digest()[:12]

    def _read(self, cursor: str) -> Position:
        try:
            packed = base64.b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
            checksum, text = packed[:12], packed[12:]
            if checksum == self._checksum(text) and self._is_same(cursor, packed):
                position = tuple(int(part) for part in text.split(b"."))
                if len(position) == self._numbers and all(0 <= part <= LARGEST_ID for part in position):
                    return position
        except (binascii.Error, ValueError):
            pass
        text_ = "The cursor belongs to another list, other filters or another key; begin again without it."
        raise InvalidInput([Problem("cursor", "cursor", text_)])

    @staticmethod
    def _is_same(cursor: str, packed: bytes) -> bool:
        return base64.urlsafe_b64encode(packed).decode().rstrip("=") == cursor


def all_of(items: Sequence[Any]) -> dict[str, Any]:
    """A list that is never long enough to be cut."""
    return {"items": items, "nextCursor": None}
