"""What the routes of the warehouse have in common: who asks, strict parameters, one transaction for each request."""

import re
from collections.abc import Callable
from typing import Annotated, Any, Protocol, TypeVar

from fastapi import Depends, Request
from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from dockbell.actions.access import Doorkeeper
from dockbell.actions.publish import Publisher
from dockbell.clock import Clock, Moment
from dockbell.domain.limits import parse_moment
from dockbell.domain.permissions import Actor
from dockbell.errors import InvalidInput, Problem
from dockbell.store.database import Database
from dockbell.warehouse.act import Act
from dockbell.warehouse.inputs.common import LARGEST_ID, NOBODY, Name, Step

T = TypeVar("T")
API = "/api/v1"
FLOOR = "/api/v1/warehouse"
"""Steps of the warehouse's floor, which are no part of the documented API."""


class Parts(Protocol):
    """What the warehouse needs of the program it runs in."""

    @property
    def database(self) -> Database: ...
    @property
    def publisher(self) -> Publisher: ...
    @property
    def doorkeeper(self) -> Doorkeeper: ...
    @property
    def clock(self) -> Clock: ...


def digits(value: object) -> object:
    # int() would take blanks, signs, underscores and the digits of every script.
    if isinstance(value, str):
        if not re.fullmatch(r"[0-9]{1,16}", value):
            raise PydanticCustomError("number", "write a whole number in plain digits")
        return int(value)
    return value


def _yes_or_no(value: object) -> object:
    if isinstance(value, str):
        if value not in ("true", "false"):
            raise PydanticCustomError("boolean", "write true or false")
        return value == "true"
    return value


def _acting(request: Request) -> Actor:
    actor: Actor = request.state.actor
    return actor


Acting = Annotated[Actor, Depends(_acting)]
Number = Annotated[int, BeforeValidator(digits), Field(ge=0, le=LARGEST_ID)]
Rows = Annotated[int, BeforeValidator(digits), Field(ge=1, le=1_000)]
Names = Annotated[list[Name], Field(max_length=500)] | None
"""A parameter that may be repeated."""
YesOrNo = Annotated[bool, BeforeValidator(_yes_or_no)]


class Desk:
    """Takes a request to an action: a change is one transaction with its events, a look reads only."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def change(self, actor: Actor, action: Callable[..., T], *args: Any, by: Step = NOBODY, **options: Any) -> T:
        """`action(act, *args, **options)`."""
        publisher, now = self._parts.publisher, self._parts.clock.now()

        def work(tx: Any) -> T:
            return action(Act(tx, publisher, actor, now, by), *args, **options)

        return await self._parts.database.write(work)

    async def look(self, actor: Actor, action: Callable[..., T], *args: Any, **options: Any) -> T:
        """`action(tx, actor, *args, **options)`."""
        return await self._parts.database.read(lambda tx: action(tx, actor, *args, **options))

    async def read(self, action: Callable[..., T], *args: Any) -> T:
        """What everybody with a key may see: `action(tx, *args)`."""
        return await self._parts.database.read(lambda tx: action(tx, *args))

    def now(self) -> Moment:
        return self._parts.clock.now()


def moments(**texts: str | None) -> dict[str, Moment]:
    """Those that were given, read; raises InvalidInput with all that cannot be read. The names are the parameters'."""
    found: dict[str, Moment] = {}
    problems: list[Problem] = []
    for name, text in texts.items():
        if text is not None:
            try:
                found[name] = parse_moment(text, name)
            except InvalidInput as refused:
                problems += refused.problems
    if problems:
        raise InvalidInput(problems)
    return found


def either(one: str | None, several: list[str] | None) -> list[str] | None:
    """The names asked for by `...Number` and `...Numbers` together."""
    return None if one is None and several is None else [*([] if one is None else [one]), *(several or ())]


def said(what: str, *, is_new: bool) -> str:
    return f"The {what} was {'created' if is_new else 'changed'}."


def asked(**given: Any) -> dict[str, Any]:
    """What was asked for, without what was not."""
    return {name: value for name, value in given.items() if value is not None}
