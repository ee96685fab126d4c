"""Reading the Retry-After header (RFC 9110, section 10.2.3): seconds, or an HTTP date in one of its three forms.

What cannot be read counts as not said: the retry policy's own wait stays in force.
"""

import re
from datetime import UTC, datetime

from dockbell.clock import SECOND, Moment, to_datetime, to_moment

_SECONDS = re.compile(r"[0-9]+")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_TIME = r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
_MONTH = f"(?P<month>{'|'.join(_MONTHS)})"
_DATES = (
    re.compile(rf"[A-Z][a-z]{{2}}, (?P<day>[0-9]{{2}}) {_MONTH} (?P<year>[0-9]{{4}}) {_TIME} GMT"),
    re.compile(rf"[A-Z][a-z]{{5,8}}, (?P<day>[0-9]{{2}})-{_MONTH}-(?P<year>[0-9]{{2}}) {_TIME} GMT"),
    re.compile(rf"[A-Z][a-z]{{2}} {_MONTH} (?P<day>[ 0-9][0-9]) {_TIME} (?P<year>[0-9]{{4}})"),
)


def parse_retry_after(header: str, *, now: Moment) -> int:
    """The asked wait in microseconds; 0 where the header is in the past or cannot be read."""
    text = header.strip(" \t")
    if _SECONDS.fullmatch(text):
        # A number of any length is a number, but int() refuses thousands of digits; 30 years are enough for all.
        digits = text.lstrip("0")
        return (int(digits or "0") if len(digits) <= 9 else 10**9) * SECOND
    for form in _DATES:
        if (match := form.fullmatch(text)) is not None:
            return max(0, _moment_of(match, now) - now)
    return 0


def _moment_of(match: re.Match[str], now: Moment) -> Moment:
    """The moment of a matched date, 0 if there is no such date. The weekday is not compared: it adds nothing."""
    year = int(match["year"])
    if len(match["year"]) == 2:
        # RFC 9110, section 5.6.7: a two-digit year more than 50 years ahead means the past century.
        this_year = to_datetime(now).year
        year += this_year - this_year % 100
        year -= 100 if year > this_year + 50 else 0
    month = _MONTHS.index(match["month"]) + 1
    time_of_day = (int(match["hour"]), int(match["minute"]), int(match["second"]))
    try:
        return to_moment(datetime(year, month, int(match["day"]), *time_of_day, tzinfo=UTC))
    except ValueError:
        return 0
