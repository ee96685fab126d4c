"""What a node asks of the operating system, where that refuses."""

import resource

import pytest

from dockbell.process import files_to_open


def test_where_more_files_are_refused_it_makes_do_with_what_it_has(monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "setrlimit", refuse)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, resource.RLIM_INFINITY))
    assert files_to_open() == 256
