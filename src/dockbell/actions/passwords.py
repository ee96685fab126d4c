"""Passwords: what they may be, and their hashes.

Hashing is slow on purpose, so it happens in a thread and never inside a transaction; two at once at most, so that
many who sign in do not keep deliveries waiting, and a short queue before them.
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from dockbell.errors import Problem, Unavailable

T = TypeVar("T")
SHORTEST, LONGEST = 12, 1_024
MOST_AT_ONCE, MOST_AT_ONCE_OF_ADDRESS = 22, 4
"""Passwords being judged; two of them are being hashed, the others wait."""
COMMON = frozenset(
    {
        "password1234", "passwordpassword", "password12345", "password123456", "passw0rd1234", "123456789012",
        "1234567890123", "qwertyuiop12", "qwertyuiop123", "qwerty123456", "administrator", "adminadminadmin",
        "letmeinletmein", "welcome12345", "iloveyou1234", "changeme1234", "warehouse123", "dockbell1234", "abcdefghijkl",
    }
)  # fmt: skip
_hasher = PasswordHasher()
_threads = ThreadPoolExecutor(2, thread_name_prefix="password")
_under_way: Counter[str] = Counter()


def problems_with(password: str, email: str, field: str = "password") -> list[Problem]:
    """What keeps it from being chosen by the user with this e-mail address."""
    length = len(password.encode("utf-8", "replace"))
    if not SHORTEST <= length <= LONGEST:
        text = (
            f"A password needs at least {SHORTEST} characters; this one has {len(password)}."
            if length < SHORTEST
            else f"A password may have {LONGEST:,} bytes at most; this one has {length:,}."
        )
        return [Problem(field, "password_length", text)]
    plain = password.lower()
    if plain in COMMON or len(set(plain)) < 4 or plain in (email.lower(), email.lower().partition("@")[0]):
        return [Problem(field, "password_common", "This password is among those that are tried first; choose another.")]
    return []


@contextmanager
def trying(address: str) -> Iterator[None]:
    """A password from this address is judged or hashed. Who would make the queue long is sent away at once.

    Raises Unavailable when there are too many in all, or of this address.
    """
    if _under_way.total() >= MOST_AT_ONCE or _under_way[address] >= MOST_AT_ONCE_OF_ADDRESS:
        raise Unavailable("Too many passwords are being tried at once.", code="busy", hint="Try again in a moment.")
    _under_way[address] += 1
    try:
        yield
    finally:
        _under_way[address] -= 1
        if not _under_way[address]:
            del _under_way[address]


async def hashed(password: str) -> str:
    return await _in_thread(_hasher.hash, password)


async def fits(password_hash: str | None, password: str) -> bool:
    """Whether it is the password; where there is none it is not, and that takes as long to find out."""
    if len(password.encode()) > LONGEST:
        return False
    return await _in_thread(_verify, password_hash, password)


def _verify(password_hash: str | None, password: str) -> bool:
    try:
        _hasher.verify(password_hash or _nobodys_hash(), password)
    except (VerificationError, InvalidHashError):
        return False
    return password_hash is not None


def is_outdated(password_hash: str) -> bool:
    """Hashed with less effort than today's: to be hashed anew while the password is at hand."""
    return _hasher.check_needs_rehash(password_hash)


@cache
def _nobodys_hash() -> str:
    return _hasher.hash(secrets.token_urlsafe(16))


async def _in_thread(work: Callable[..., T], *given: str | None) -> T:
    return await asyncio.get_running_loop().run_in_executor(_threads, work, *given)
