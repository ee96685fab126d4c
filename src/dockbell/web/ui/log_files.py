"""The log as a file, and an attempt as a command line: what leaves the page must be harmless where it arrives."""

import csv
import io
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from dockbell.domain.target_url import masked

COLUMNS = (
    "id", "acceptedAt", "webhookId", "goodsOwnerId", "eventType", "object", "number", "status", "lastCode", "attempts",
    "lastDurationInMs", "nextAttemptAt", "endedAt",
)  # fmt: skip
# The last four are full-width forms, which some spreadsheets read as the plain signs.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_SECRET = re.compile(r"authorization|signature|token|secret|key|password|cookie", re.IGNORECASE)


def guarded(value: object) -> str:
    """A cell that no spreadsheet takes for a formula (OWASP, CSV injection): a leading ' says that it is text."""
    text = "" if value is None else str(value)
    return "'" + text if text.startswith(_FORMULA) else text


def csv_lines(rows: Sequence[Mapping[str, Any]], *, header: bool = False) -> str:
    """RFC 4180."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    if header:
        writer.writerow(COLUMNS)
    writer.writerows([guarded(row[name]) for name in COLUMNS] for row in rows)
    return out.getvalue()


def json_lines(rows: Sequence[Mapping[str, Any]], *, first: bool) -> str:
    """Elements of an array, each on a line."""
    lines = [json.dumps({name: row[name] for name in COLUMNS}, ensure_ascii=False) for row in rows]
    return ("" if first or not lines else ",\n") + ",\n".join(lines)


def attachment(name: str) -> str:
    """Content-Disposition (RFC 6266): the plain name for old readers, the exact one for the others."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def as_curl(url: str, headers: str, body: str) -> str:
    """The request for a POSIX shell. What may be secret became a variable: set it before."""
    words = ["curl", "--request", "POST", _address(url)]
    for line in headers.splitlines():
        name, colon, value = line.partition(":")
        if not colon or name.strip().lower() in ("content-length", "host", "connection"):
            continue
        words += ["--header", _header(name.strip(), value.strip())]
    return " ".join([*words, "--data-binary", shlex.quote(body)])


def _address(url: str) -> str:
    """The values of its query are shown nowhere else either."""
    start, question_mark, query = masked(url).partition("?")
    pairs = []
    for pair in query.split("&") if query else []:
        name, equals, _ = pair.partition("=")
        telling = f"QUERY_{_variable(name)}" if equals else "QUERY"
        pairs.append(shlex.quote(name + equals if equals else "") + f'"${{{telling}}}"')
    return shlex.quote(start + question_mark) + "'&'".join(pairs)


def _variable(name: str) -> str:
    return re.sub(r"[^A-Z0-9]", "_", name.upper())


def _header(name: str, value: str) -> str:
    # The stored headers are masked already; what is masked, or sounds like a secret, is never repeated.
    if _SECRET.search(name) or "***" in value or "\N{BULLET}" in value:
        variable = _variable(name)
        return shlex.quote(name + ": ") + f'"${{{variable if variable[0].isalpha() else "X_" + variable}}}"'
    return shlex.quote(f"{name}: {value}")
