"""Every error a caller can get: code, HTTP status, what to do.

    DockbellError
    ├── InvalidInput        422  all problems at once: field, code, what is allowed
    ├── Malformed           400  not even readable
    ├── NotSignedIn         401
    ├── NotAllowed          403
    ├── NotFound            404  also another goods owner's row
    ├── Conflict            409  same id, other body; changed meanwhile
    ├── TooLarge            413
    ├── WrongMediaType      415
    ├── TooMuch             429
    ├── Unavailable         503  the store is away or the server is stopping
    │   └── StoreRefused    503  the store is there, and failed on this
    ├── StorageFull         507
    └── ConfigError         exit code 78, names file and key

The outcome of an attempt is never an error: a receiver that answers 500 is an ordinary value
(`domain.delivery.Outcome`).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where, which rule, and in words what is allowed.

    `field` is a dotted path in the caller's own spelling: `authentication.username`, `headers[2].name`.
    """

    field: str
    code: str
    message: str


class DockbellError(Exception):
    """Base of all errors that are the caller's to mend; `hint` says how."""

    status = 500
    code = "internal_error"

    def __init__(self, message: str, *, code: str | None = None, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.hint = hint


MOST_PROBLEMS = 100


class InvalidInput(DockbellError):
    """Tells the first hundred problems, and how many more there are: a small body can have ten thousand."""

    status = 422
    code = "invalid_input"

    def __init__(self, problems: Sequence[Problem], *, message: str = "", code: str | None = None) -> None:
        self.problems = _as_told(problems)
        first = ": ".join(filter(None, (self.problems[0].field, self.problems[0].message))) if self.problems else ""
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        super().__init__(
            message or first + more,
            code=code or (self.problems[0].code if len(self.problems) == 1 else None),
        )


def _as_told(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    if len(problems) <= MOST_PROBLEMS:
        return tuple(problems)
    left_out = len(problems) - MOST_PROBLEMS
    text = f"There are {left_out} more problems; mend these first."
    return (*problems[:MOST_PROBLEMS], Problem("", "more_problems", text))


def in_lines(refused: DockbellError) -> str:
    """All that is wrong with an event, a line each: for who reads it later and has not got the answer.

    A field may be any name that was sent, and makes no line of its own.
    """
    problems = refused.problems if isinstance(refused, InvalidInput) else ()
    listed = [f"{problem.field or 'event'}: {problem.message} [{problem.code}]" for problem in problems]
    return "\n".join(map(printable, listed or [f"{refused.message} [{refused.code}]"]))


def printable(text: str) -> str:
    """Without what no page shows as it is: controls, ends of lines, turns of the direction of writing, half characters."""
    return text if text.isprintable() else "".join(each if each.isprintable() else "\ufffd" for each in text)


class Problems(list[Problem]):
    """Gathers what several parsers refuse, so that a caller hears of all of it at once and not of one after another."""

    @contextmanager
    def gather(self) -> Iterator[None]:
        """Keep what is refused inside, and go on after it; what was to be read there is missing until `refuse`."""
        try:
            yield
        except InvalidInput as refused:
            self += refused.problems

    def refuse(self) -> None:
        """Raises InvalidInput if anything was wrong."""
        if self:
            raise InvalidInput(self)


class Malformed(DockbellError):
    status = 400
    code = "malformed"


class NotSignedIn(DockbellError):
    status = 401
    code = "not_signed_in"


class NotAllowed(DockbellError):
    status = 403
    code = "not_allowed"


class NotFound(DockbellError):
    status = 404
    code = "not_found"


class Conflict(DockbellError):
    status = 409
    code = "conflict"


class TooLarge(DockbellError):
    status = 413
    code = "body_too_large"


class WrongMediaType(DockbellError):
    status = 415
    code = "content_type"


class TooMuch(DockbellError):
    status = 429
    code = "too_much"

    def __init__(self, message: str, *, retry_after_s: int, code: str | None = None, hint: str = "") -> None:
        super().__init__(message, code=code, hint=hint)
        self.retry_after_s = retry_after_s


class Unavailable(DockbellError):
    status = 503
    code = "unavailable"


class StoreRefused(Unavailable):
    """To a publisher like any failure of the store. It may be what was to be stored, so others are tried without it."""


class StorageFull(DockbellError):
    status = 507
    code = "storage_full"


class ConfigError(DockbellError):
    """The installation cannot start as it is configured; the message names file and key."""

    code = "config"
