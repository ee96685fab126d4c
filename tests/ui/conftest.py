"""Passwords are hashed cheaply here: at their real cost (tests/unit/test_passwords.py) they were the tests' longest wait."""

import pytest
from argon2 import PasswordHasher

from dockbell.actions import passwords


@pytest.fixture(autouse=True)
def _cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    passwords._nobodys_hash.cache_clear()
