"""What a node asks of the operating system: a memory that nobody else reads, and files enough for its connections."""

import ctypes
import resource
import sys
from contextlib import suppress

PR_SET_DUMPABLE = 4
MOST_FILES = 65_536


def keep_memory_private() -> bool:
    """No core dump, and no other process of the same user reads our memory; False where there is no such thing (not Linux).

    Keys and opened secrets are in that memory.
    """
    if not sys.platform.startswith("linux"):
        return False
    return bool(ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0)


def files_to_open() -> int:
    """How many files and connections this process may have open; the limit is raised as far as it may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        # A sandbox may refuse any change, and some systems have a ceiling that they do not name.
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            soft = most
    return most if soft == resource.RLIM_INFINITY else min(soft, MOST_FILES)
