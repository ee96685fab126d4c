"""Numbers and moments as they are entered, read strictly.

`int()` takes blanks, signs, underscores and the digits of every script, and `datetime.fromisoformat` takes week
dates: each would make two texts of one value, or accept what another reader of the same text refuses.
"""

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import cast

from dockbell.clock import Moment, to_moment
from dockbell.errors import InvalidInput, Problem, Problems

LARGEST_LIMIT = 200

SHORTEST_TIMEOUT_S = 1
LONGEST_TIMEOUT_S = 30

# Own steps: the longest single wait is the one the "standard" policy ends with; more than 50 attempts or 30 days
# would outlive the time finished deliveries are kept by default.
MOST_STEPS = 50
SHORTEST_STEP_S = 1
LONGEST_STEP_S = 24 * 3600
LONGEST_STEPS_S = 30 * 24 * 3600

_LIMIT = re.compile(r"[1-9][0-9]{0,2}")
# RFC 3339, section 5.6, in upper case; more digits than microseconds are dropped (the WMS writes seven).
_MOMENT = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?"
    r"(?:Z|([+-])([0-9]{2}):([0-9]{2}))"
)


def problems_with_steps(steps: object, field: str = "retryPolicy.stepsInSeconds") -> list[Problem]:
    """Own waits between attempts: a list of whole seconds, each at least 1; the empty list means no retries."""
    if not isinstance(steps, list | tuple):
        return [Problem(field, "steps_type", f"Write a list of whole seconds such as [60, 300], not {_kind(steps)}.")]
    if len(steps) > MOST_STEPS:
        return [Problem(field, "steps_count", f"There are {len(steps):,} steps; at most {MOST_STEPS} are allowed.")]
    problems = [
        Problem(
            f"{field}[{position}]",
            "step_range",
            f"{_shown(step)} is not a whole number of seconds from {SHORTEST_STEP_S} to {LONGEST_STEP_S:,} (one day).",
        )
        for position, step in enumerate(steps)
        if not _is_whole_number(step, SHORTEST_STEP_S, LONGEST_STEP_S)
    ]
    if not problems and sum(steps) > LONGEST_STEPS_S:
        message = f"The steps come to {sum(steps):,} seconds; at most {LONGEST_STEPS_S:,} (30 days) are allowed in all."
        problems.append(Problem(field, "steps_total", message))
    return problems


def problems_with_timeout(seconds: object, field: str = "timeoutInSeconds") -> list[Problem]:
    """The time one attempt may take: a number of seconds from 1 to 30; parts of a second are allowed."""
    # Not isinstance(): True is an int. NaN fails both comparisons.
    if type(seconds) in (int, float) and SHORTEST_TIMEOUT_S <= cast(float, seconds) <= LONGEST_TIMEOUT_S:
        return []
    message = f"{_shown(seconds)} is not a number of seconds from {SHORTEST_TIMEOUT_S} to {LONGEST_TIMEOUT_S}."
    return [Problem(field, "timeout_range", message)]


def _is_whole_number(value: object, smallest: int, largest: int) -> bool:
    return type(value) is int and smallest <= value <= largest


def _shown(value: object) -> str:
    # Not repr() of whatever came: a list of a million numbers, or an integer Python refuses to write out.
    if isinstance(value, str):
        return f'"{value[:40]}"' if value.isascii() and value.isprintable() else ascii(value[:40])
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, float) or (isinstance(value, int) and abs(value) < 10**18):
        return str(value)
    return _kind(value)


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", tuple: "a list", int: "a huge number", str: "text", float: "a number"}
    return names.get(type(value), "something else")


def parse_limit(text: object, field: str = "limit") -> int:
    """How many rows a page shall have, from a query string; raises InvalidInput for anything but 1 to 200."""
    if not isinstance(text, str) or not _LIMIT.fullmatch(text) or int(text) > LARGEST_LIMIT:
        message = f"{_shown(text)} is not a whole number from 1 to {LARGEST_LIMIT} in plain digits."
        raise InvalidInput([Problem(field, "limit_range", message)])
    return int(text)


def parse_moment(text: object, field: str = "moment") -> Moment:
    """A moment in UTC microseconds from RFC 3339 text with its zone: `2026-02-03T12:07:31.441231Z`."""
    match = _MOMENT.fullmatch(text) if isinstance(text, str) else None
    if match is not None:
        year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
        micros = int((match[7] or "").ljust(6, "0")[:6])
        try:
            when = datetime(year, month, day, hour, minute, second, micros, tzinfo=_zone(match))
            # astimezone() would raise at both ends of the calendar; the moment itself must stay inside it too.
            return to_moment(when.astimezone(UTC))
        except (ValueError, OverflowError):
            pass
    message = (
        f"{_shown(text)} is not an existing date and time with its zone; "
        "write it like 2026-02-03T12:07:31Z or 2026-02-03T13:07:31+01:00."
    )
    raise InvalidInput([Problem(field, "moment", message)])


def _zone(match: re.Match[str]) -> timezone:
    if match[8] is None:
        return timezone(timedelta(0))
    if int(match[9]) > 23 or int(match[10]) > 59:
        raise ValueError("no such zone")
    offset = timedelta(hours=int(match[9]), minutes=int(match[10]))
    return timezone(-offset if match[8] == "-" else offset)


def parse_range(
    since: str | None, until: str | None, fields: tuple[str, str] = ("from", "to")
) -> tuple[Moment | None, Moment | None]:
    """Both ends of a time range, None where open; raises InvalidInput with every problem, also for `from` > `to`."""
    problems = Problems()
    with problems.gather():
        first = None if since is None else parse_moment(since, fields[0])
    with problems.gather():
        last = None if until is None else parse_moment(until, fields[1])
    problems.refuse()
    if first is not None and last is not None and first > last:
        message = f"{_shown(since)} is later than {fields[1]}, {_shown(until)}; exchange them."
        raise InvalidInput([Problem(fields[0], "moment_order", message)])
    return first, last
