"""Passwords are hashed cheaply here: at their real cost (tests/unit/test_passwords.py) they were the tests' longest wait."""

import pytest
from argon2 import PasswordHasher

from dockbell.actions import sign_in


@pytest.fixture(autouse=True)
def _cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sign_in, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    sign_in._nobodys_hash.cache_clear()
