"""The judge of the outbox's fault runs: each history here is doctored in one place."""

from collections.abc import Callable

import pytest

from tests.faults.outbox import Change, account

COMMITTED = [Change(1, 7, 1), Change(2, 7, 2), Change(4, 8, 1), Change(5, 7, 3)]
ARRIVED = [Change(1, 7, 1), Change(4, 8, 1), Change(2, 7, 2), Change(5, 7, 3)]


def found(arrived: list[Change]) -> dict[str, int]:
    return {name: len(texts) for name, texts in account(COMMITTED, arrived).items() if texts}


def test_a_sound_history_has_no_fault():
    assert found(ARRIVED) == {}


@pytest.mark.parametrize(
    ("doctor", "faults"),
    [
        (lambda arrived: arrived.pop(1), {"LOST": 1}),
        (lambda arrived: arrived.append(Change(5, 7, 3)), {"TWICE": 1}),
        (lambda arrived: arrived.append(Change(3, 8, 2)), {"PHANTOM": 1}),
        (lambda arrived: arrived.__setitem__(3, Change(5, 7, 4)), {"PHANTOM": 1}),
        (lambda arrived: arrived.insert(0, arrived.pop(2)), {"ORDER": 1}),
        (lambda arrived: arrived.insert(0, arrived.pop(1)), {}),
    ],
    ids=["lost", "twice", "rolled back", "another version", "out of order", "another order's in between"],
)
def test_a_doctored_history_is_found_out(doctor: Callable[[list[Change]], object], faults: dict[str, int]):
    arrived = list(ARRIVED)
    doctor(arrived)
    assert found(arrived) == faults
