"""How a noun of the warehouse is described, so that one list, one page and one form serve all of them.

A form's inputs are named by their place in the document that the API takes: what was typed becomes that document, the
API's own model judges it, and what it says is wrong stands beside the input of that name.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal

from dockbell.domain.permissions import Actor
from dockbell.errors import Problem
from dockbell.store.database import Transaction
from dockbell.warehouse.act import Act, Document
from dockbell.web.ui.visit import Fields

Typed = dict[str, Any]
Options = Sequence[tuple[str, str]]
WHOLE = re.compile(r"-?[0-9]{1,15}")
IN_ROW = re.compile(r"(\w+)\[([0-9]+)\](.*)")
SPARE_ROWS = 3
"""Empty rows at the end of a form's lines."""


@dataclass(frozen=True, slots=True)
class Look:
    """Who looks at what: all that a form's choices depend on. `document` is None before there is one."""

    tx: Transaction
    actor: Actor
    owners: Mapping[int, str]
    document: Document | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """One fact of a document, by its path in it. `look`: text, number, status, time, word, or the noun that ids are of."""

    label: str
    path: str
    look: str = "text"

    def of(self, document: Document) -> Any:
        return dig(document, self.path)


@dataclass(frozen=True, slots=True)
class Table:
    """A list within a document."""

    title: str
    path: str
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Input:
    """One input of a form. `options` are what there is to choose from; `value` is what stands there at first."""

    name: str
    label: str
    kind: Literal["text", "number", "date", "choice", "ids", "suggest", "tick", "ticks", "area", "lines"] = "text"
    options: Callable[[Look], Options] | None = None
    value: Callable[[Document], Any] | None = None
    required: bool = False
    hint: str = ""
    columns: tuple["Input", ...] = ()
    """Of lines. A row whose number is already known carries it along unseen."""
    spare_rows: int = SPARE_ROWS
    only_with: str = ""
    """Of lines: only rows in which this column says something are meant."""


@dataclass(frozen=True, slots=True)
class Step:
    """Something that can be done: a button, or a form when it has inputs.

    `take` gets the act, the document as it is (empty before there is one) and what was typed; it answers the id of what
    it made, if that is where one wants to go.
    """

    name: str
    word: str
    take: Callable[[Act, Document, Document], int | None]
    offered: Callable[[Look, Document], bool] = lambda *_: True
    inputs: tuple[Input, ...] = ()
    leads_to: str = ""
    """The noun of what it made; "list" when nothing is left to look at."""
    kind: Literal["main", "", "danger"] = ""
    below: str = ""
    """Where the problems of its inputs are in the document: `adjustments[0].`."""


@dataclass(frozen=True, slots=True)
class Noun:
    name: str
    """As refusals and the store have it."""
    path: str
    title: str
    one: str
    about: str
    """One or two sentences over the list."""
    get: Callable[[Transaction, Actor, int], Document]
    number: str
    """Where the document has what people call it by."""
    columns: tuple[Column, ...]
    facts: tuple[Column, ...]
    steps: tuple[Step, ...]
    status: Column | None = None
    tables: tuple[Table, ...] = ()
    new: Step | None = None
    api: str = ""
    """Its path in the API."""

    @property
    def event_kind(self) -> str:
        return self.name.replace(" ", "-")


def dig(document: Any, path: str) -> Any:
    """What stands there, or None."""
    for part in path.split(".") if path else ():
        document = document.get(part) if isinstance(document, Mapping) else None
    return document


# --- Forms -------------------------------------------------------------------------------------------------


def typed_in(form: Fields, inputs: Sequence[Input]) -> Typed:
    """What was typed, by input: texts, lists of ticks, rows of lines."""
    typed: Typed = {}
    for each in inputs:
        if each.kind == "lines":
            typed[each.name] = _rows(form, each)
        else:
            typed[each.name] = form.all(each.name) if each.kind == "ticks" else form.text(each.name)
    return typed


def _rows(form: Fields, lines: Input) -> list[dict[str, str]]:
    """The rows that say something. A new one gets a number that none of the form has, also none that was emptied."""
    names = ("rowNumber", *(column.name for column in lines.columns))
    every = [form.all(f"{lines.name}.{name}") for name in names]
    rows = [dict(zip(names, row, strict=True)) for row in zip(*every, strict=False)]
    taken = {row["rowNumber"] for row in rows}
    unused = (str(number) for number in count(1) if str(number) not in taken)
    said = [row for row in rows if lines.only_with or any(row[name].strip() for name in names[1:])]
    return [{**row, "rowNumber": row["rowNumber"] or next(unused)} for row in said]


def document_from(typed: Typed, inputs: Sequence[Input]) -> Document:
    """The API's document: what is empty is left out, and a number that is none is handed on for the model to name."""
    document: Document = {}
    for each in inputs:
        said = typed[each.name]
        if each.kind == "lines":
            document[each.name] = [_row(said[place], each.columns) for place in _places(said, each)]
        elif each.kind == "ticks":
            document[each.name] = [_whole(one) for one in said]
        elif said:
            _put(document, each.name, _value(said, each))
    return document


def _places(rows: Sequence[Mapping[str, str]], lines: Input) -> list[int]:
    """Which of the rows are sent."""
    return [place for place, row in enumerate(rows) if not lines.only_with or row[lines.only_with].strip()]


def _row(row: Mapping[str, str], columns: Sequence[Input]) -> Document:
    said = {each.name: _value(row[each.name].strip(), each) for each in columns if row[each.name].strip()}
    return {"rowNumber": row["rowNumber"], **said}


def beside(problems: Iterable[Problem], step: Step, typed: Typed) -> list[Problem]:
    """The model's problems by the form's own names and rows."""
    lines = {each.name: _places(typed[each.name], each) for each in step.inputs if each.kind == "lines"}

    def field_of(problem: Problem) -> str:
        field = problem.field.removeprefix(step.below)
        found = IN_ROW.fullmatch(field)
        if found is None or found[1] not in lines or int(found[2]) >= len(lines[found[1]]):
            return field
        return f"{found[1]}[{lines[found[1]][int(found[2])]}]{found[3]}"

    return [Problem(field_of(each), each.code, each.message) for each in problems]


def _value(said: str, one: Input) -> Any:
    if one.kind == "tick":
        return True
    return _whole(said) if one.kind in ("number", "ids") else said


def _whole(text: str) -> int | str:
    return int(text) if WHOLE.fullmatch(text) else text


def _put(document: Document, path: str, value: Any) -> None:
    *outer, last = path.split(".")
    for part in outer:
        document = document.setdefault(part, {})
    document[last] = value


def at_first(step: Step, document: Document) -> Typed:
    """What stands in the form before anybody typed."""
    empty: Mapping[str, Any] = {"lines": [], "ticks": []}
    typed: Typed = {}
    for each in step.inputs:
        found = None if each.value is None else each.value(document)
        typed[each.name] = empty.get(each.kind, "") if found is None else found
    return typed
