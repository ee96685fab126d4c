"""Columns of rows as binary arrays of PostgreSQL.

psycopg looks at each value to find out what it is, and then writes it with a Python call; here the statement has said what
a column is (`:rows(event_id BIGINT, ...)`), so a column of numbers is one `struct.pack`. That is most of what a row costs
in the client. Format: `array_recv` in PostgreSQL's arrayfuncs.c.
"""

import struct
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain, repeat

from psycopg.abc import AdaptContext
from psycopg.adapt import Dumper
from psycopg.pq import Format

_INT8, _TEXT, _INT8_ARRAY, _TEXT_ARRAY = 20, 25, 1016, 1009
_HEAD = struct.Struct(">iiIii")
"""Dimensions, whether there are NULLs, type of the elements, how many, number of the first."""
_LENGTH = struct.Struct(">i").pack
_NULL = _LENGTH(-1)


class Column:
    """The values of one column, none to many."""

    __slots__ = ("values",)

    def __init__(self, values: Sequence[object]) -> None:
        self.values = values


class Bigints(Column): ...


class Texts(Column): ...


COLUMNS: dict[str, type[Column]] = {"BIGINT": Bigints, "TEXT": Texts}
"""By the type that a statement declares."""


class _BigintsDumper(Dumper):
    format = Format.BINARY
    oid = _INT8_ARRAY

    def dump(self, obj: Bigints) -> bytes:
        values = obj.values
        if None in values:
            numbers = [_NULL if value is None else _LENGTH(8) + struct.pack(">q", value) for value in values]
            return _HEAD.pack(1, 1, _INT8, len(values), 1) + b"".join(numbers)
        elements = chain.from_iterable(zip(repeat(8), values, strict=False))
        return _HEAD.pack(1, 0, _INT8, len(values), 1) + _numbers(len(values)).pack(*elements)


@lru_cache(maxsize=1024)
def _numbers(count: int) -> struct.Struct:
    return struct.Struct(">" + "iq" * count)


class _TextsDumper(Dumper):
    format = Format.BINARY
    oid = _TEXT_ARRAY

    def dump(self, obj: Texts) -> bytes:
        parts = []
        for value in obj.values:
            if value is None:
                parts.append(_NULL)
            else:
                text = str.encode(value)  # type: ignore[arg-type] # anything but text is refused here
                parts += (_LENGTH(len(text)), text)
        return _HEAD.pack(1, int(None in obj.values), _TEXT, len(obj.values), 1) + b"".join(parts)


def register(context: AdaptContext) -> None:
    context.adapters.register_dumper(Bigints, _BigintsDumper)
    context.adapters.register_dumper(Texts, _TextsDumper)
