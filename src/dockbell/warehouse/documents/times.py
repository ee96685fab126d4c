"""How moments are written: payloads have no zone, answers of the API have one."""

from dockbell.clock import Moment, to_datetime, to_text


def plain_time(moment: Moment | None) -> str | None:
    """As payloads write times: UTC without a zone, to the second."""
    return None if moment is None else to_datetime(moment).strftime("%Y-%m-%dT%H:%M:%S")


def utc(moment: Moment | None) -> str | None:
    """As answers of the API write times."""
    return None if moment is None else to_text(moment)
