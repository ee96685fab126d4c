"""What a node asks of the operating system for its secrets' sake."""

import ctypes
import sys

PR_SET_DUMPABLE = 4


def keep_memory_private() -> bool:
    """No core dump, and no other process of the same user reads our memory; False where there is no such thing (not Linux).

    Keys and opened secrets are in that memory.
    """
    if not sys.platform.startswith("linux"):
        return False
    return bool(ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0)
