"""What the routes of the warehouse have in common: who asks, strict parameters, one transaction for each request."""

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Protocol, TypeVar

from fastapi import Depends, FastAPI, Path, Request
from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic.alias_generators import to_snake
from pydantic_core import PydanticCustomError

from dockbell.actions.access import Doorkeeper
from dockbell.actions.publish import Publisher
from dockbell.clock import Clock, Moment
from dockbell.domain.limits import parse_moment
from dockbell.domain.permissions import Actor
from dockbell.errors import InvalidInput
from dockbell.store.database import Database
from dockbell.warehouse.act import Act, Document
from dockbell.warehouse.inputs.common import LARGEST_ID, NOBODY, Incoming, Name, Step

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


def _moment(value: object) -> object:
    if isinstance(value, str):
        try:
            return parse_moment(value)
        except InvalidInput:
            text = "write an existing date and time with its zone, such as 2026-02-03T12:07:31Z"
            raise PydanticCustomError("moment", text) from None
    return value


def _acting(request: Request) -> Actor:
    actor: Actor = request.state.actor
    return actor


Acting = Annotated[Actor, Depends(_acting)]
Number = Annotated[int, BeforeValidator(digits), Field(ge=0, le=LARGEST_ID)]
Rows = Annotated[int, BeforeValidator(digits), Field(ge=1, le=1_000)]
Names = Annotated[list[Name], Field(max_length=500)] | None
"""A parameter that may be repeated."""
Numbers = Annotated[list[Number], Field(max_length=500)] | None
YesOrNo = Annotated[bool, BeforeValidator(_yes_or_no)]
When = Annotated[Moment, BeforeValidator(_moment), WithJsonSchema({"type": "string", "format": "date-time"})]


def asks(name: str, default: Any = None) -> Any:
    """A parameter whose documented name is not the one we have for it."""
    return Field(default, alias=name)


class Wanted(Incoming):
    """The query of a list. Its fields are called what the list takes, their aliases what is documented."""

    goods_owner_id: Number

    def asked(self) -> dict[str, Any]:
        """What was asked for, without what was not. `one_x` and `x` are asked for together as `x`."""
        given = self.model_dump(exclude={"goods_owner_id"}, exclude_none=True)
        for name in [name for name in given if name.startswith("one_")]:
            several = name.removeprefix("one_")
            given[several] = [given.pop(name), *given.get(several, ())]
        return given


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

    async def list(self, actor: Actor, action: Callable[..., list[Document]], wanted: Wanted) -> list[Document]:
        """`action(tx, actor, goods_owner_id, **asked)`."""
        return await self.look(actor, action, wanted.goods_owner_id, **wanted.asked())

    def now(self) -> Moment:
        return self._parts.clock.now()


def add_numbered(
    app: FastAPI, desk: Desk, base: str, id_name: str, noun: str, body: Any, *,
    get: Callable[..., Document], put: Callable[..., tuple[int, bool]],
    anew: Callable[..., int] | None = None, change: Callable[..., None] | None = None,
) -> None:  # fmt: skip
    """What has a number of the goods owner's and an id of ours: GET by id, PUT by number; POST makes `anew`, PUT by id
    makes the `change`.
    """
    name, one = noun.replace(" ", "_"), f"{base}/{{{id_name}}}"

    @app.get(one, name=f"get_{name}")
    async def get_one(actor: Acting, number: Annotated[Number, Path(alias=id_name)]) -> Document:
        return await desk.look(actor, get, number)

    @app.put(base, name=f"put_{name}")
    async def put_one(actor: Acting, new: body) -> Document:
        made, is_new = await desk.change(actor, put, new)
        return {id_name: made, "message": said(noun, is_new=is_new)}

    if anew is not None:

        @app.post(base, name=f"post_{name}")
        async def post_one(actor: Acting, new: body) -> Document:
            return {id_name: await desk.change(actor, anew, new), "message": said(noun, is_new=True)}

    if change is not None:

        @app.put(one, name=f"change_{name}")
        async def change_one(actor: Acting, number: Annotated[Number, Path(alias=id_name)], new: body) -> Document:
            await desk.change(actor, change, number, new)
            return {id_name: number, "message": said(noun, is_new=False)}


def add_patches(
    app: FastAPI,
    desk: Desk,
    base: str,
    noun: str,
    bodies: Mapping[str, type[Incoming]],
    change: Callable[[Act, int, str, Any], None],
) -> None:
    """`PATCH {base}/{field}` for each field that can be changed alone: `change(act, id, field, value)`."""
    id_name = base[base.rindex("{") + 1 : -1]
    for field, body in bodies.items():
        _add_patch(app, desk, f"{base}/{field}", id_name, noun, field, body, change)


def _add_patch(
    app: FastAPI, desk: Desk, path: str, id_name: str, noun: str, field: str, body: Any,
    change: Callable[[Act, int, str, Any], None],
) -> None:  # fmt: skip
    @app.patch(path, name=f"set_{to_snake(field)}")
    async def patch(actor: Acting, number: Annotated[Number, Path(alias=id_name)], wanted: body) -> Document:
        (value,) = wanted.model_dump().values()
        await desk.change(actor, change, number, field, value)
        return {id_name: number, "message": f"The {noun} was changed."}


def said(what: str, *, is_new: bool) -> str:
    return f"The {what} was {'created' if is_new else 'changed'}."
