"""Which names this server answers to.

A name that somebody else made to lead here (DNS rebinding), or that a shared proxy sends on by mistake, would let another
site's pages speak to this server as if it were theirs. Only what stands in Host counts; X-Forwarded-Host is not looked at.
"""

import re
from collections.abc import Iterable

_PORT = re.compile(rb":[0-9]*\Z")


def is_called_by_name(headers: Iterable[tuple[bytes, bytes]], hosts: frozenset[bytes]) -> bool:
    """Whether the one Host header has one of these names, whatever the port; true if any name will do."""
    if not hosts:
        return True
    said = [value for name, value in headers if name == b"host"]
    return len(said) == 1 and _PORT.sub(b"", said[0].strip()).lower() in hosts
