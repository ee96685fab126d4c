"""Additional headers: which ones a webhook may send beside Dockbell's own.

Promise: no header accepted here can end a line, frame a body, take part in the connection, or pass for one of the
headers Dockbell itself writes. HTTP clients do not check this (some send a name with a blank or a colon as it is), so
it is checked when saved and again when sent. Sources: RFC 9110, sections 5.1, 5.5 and 5.6.2.
"""

import re
from collections.abc import Sequence

from dockbell.errors import InvalidInput, Problem

MOST_HEADERS = 20
LONGEST_NAME = 128
LONGEST_VALUE = 4096
MOST_HEADER_BYTES = 16 * 1024

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7E]*")

_FRAMING = "content-length transfer-encoding te trailer connection keep-alive upgrade http2-settings expect host via"
_OURS = "content-type content-encoding accept user-agent authorization x-auth-token cookie cookie2 set-cookie"
_SENDER = "forwarded x-real-ip x-client-ip x-cluster-client-ip true-client-ip cf-connecting-ip client-ip"
_OVERRIDES = (
    "x-http-method x-http-method-override x-method-override x-original-url x-original-uri x-original-host "
    "x-rewrite-url x-override-url x-host"
)
_RESERVED = {
    **dict.fromkeys(_FRAMING.split(), "it steers the connection"),
    **dict.fromkeys(_OURS.split(), "Dockbell writes it itself, or the webhook's authentication does"),
    **dict.fromkeys(_SENDER.split(), "it would claim another sender"),
    **dict.fromkeys(_OVERRIDES.split(), "it would change the method or the target behind the URL's back"),
}
_RESERVED_BEGINNINGS = {
    "proxy-": "it steers the connection",
    "accept-": "Dockbell writes it itself",
    "webhook-": "Dockbell writes it itself",
    "dockbell-": "Dockbell writes it itself",
    "x-forwarded-": "it would claim another sender",
    "sec-": "only browsers send it",
    "metadata": "it opens cloud metadata services",
    "x-amz-": "it steers cloud services",
    "x-goog": "it steers cloud services",
}


def parse_header_lines(text: str, field: str = "headers") -> list[tuple[str, str]]:
    """The headers of pasted `Name: value` lines; empty lines are skipped, blanks around a value dropped.

    Raises InvalidInput (`header_syntax`) for lines without a colon. The name stays as it was written, so that
    `problems_with_headers` can see a blank before the colon.
    """
    headers: list[tuple[str, str]] = []
    problems: list[Problem] = []
    # Not splitlines(): it would end a line at vertical tabs and U+2028, which belong to the value and are refused.
    for number, ended_line in enumerate(text.split("\n"), start=1):
        line = ended_line.removesuffix("\r")
        if not line.strip(" \t"):
            continue
        name, colon, value = line.partition(":")
        if colon:
            headers.append((name, value.strip(" \t")))
        else:
            message = f"Line {number} is {line[:60]!r}, without a colon. Write one header per line, as Name: value."
            problems.append(Problem(field, "header_syntax", message))
    if problems:
        raise InvalidInput(problems)
    return headers


def problems_with_headers(headers: Sequence[tuple[str, str]], field: str = "headers") -> list[Problem]:
    """Everything wrong with these additional headers; none means they may be sent as they are."""
    if len(headers) > MOST_HEADERS:
        message = f"There are {len(headers)} additional headers; at most {MOST_HEADERS} are allowed."
        return [Problem(field, "header_count", message)]
    problems: list[Problem] = []
    seen: dict[str, int] = {}
    for position, (name, value) in enumerate(headers):
        problem = problem_with_name(name, f"{field}[{position}].name")
        if problem is None and name.lower() in seen:
            message = f"{name} stands in position {seen[name.lower()] + 1} already; a header may be given once."
            problem = Problem(f"{field}[{position}].name", "header_duplicate", message)
        seen.setdefault(name.lower(), position)
        problems += [found for found in (problem, problem_with_value(value, f"{field}[{position}].value")) if found]
    total = sum(len(name) + len(": ") + len(value) + len("\r\n") for name, value in headers)
    if total > MOST_HEADER_BYTES:
        message = f"The additional headers come to {total:,} bytes; at most {MOST_HEADER_BYTES:,} are allowed."
        problems.append(Problem(field, "header_total_too_long", message))
    return problems


def problem_with_name(name: str, field: str) -> Problem | None:
    if len(name) > LONGEST_NAME:
        message = f"The name has {len(name):,} characters; at most {LONGEST_NAME} are allowed."
        return Problem(field, "header_name_too_long", message)
    if not _NAME.fullmatch(name):
        message = f"{name!a} is not a header name: letters, digits and !#$%&'*+-.^_`|~ are allowed, no blank or colon."
        return Problem(field, "header_name", message)
    # Receivers behind CGI or WSGI see no difference between - and _, so Webhook_Id would pass for Webhook-Id there.
    folded = name.lower().replace("_", "-")
    why = _RESERVED.get(folded) or next(
        (reason for beginning, reason in _RESERVED_BEGINNINGS.items() if folded.startswith(beginning)), None
    )
    if why is not None:
        message = f"{name} cannot be an additional header: {why}. Choose another name, such as X-Company-Id."
        return Problem(field, "header_reserved", message)
    return None


def problem_with_value(value: str, field: str) -> Problem | None:
    """Also judges an X-Auth-Token. The message never repeats the value, since it may be a secret."""
    if len(value) > LONGEST_VALUE:
        message = f"The value has {len(value):,} characters; at most {LONGEST_VALUE:,} are allowed."
        return Problem(field, "header_value_too_long", message)
    if not _VALUE.fullmatch(value):
        position, character = next((at, one) for at, one in enumerate(value, start=1) if not _VALUE.fullmatch(one))
        message = f"The value has {character!a} at character {position}; only visible ASCII, blank and tab are allowed."
        return Problem(field, "header_value", message)
    if value != value.strip(" \t"):
        return Problem(field, "header_value", "The value begins or ends with a blank or a tab; remove it.")
    return None
