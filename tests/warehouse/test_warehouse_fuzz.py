"""Requests nobody thought of, made from the warehouse's OpenAPI document by the keys of two goods owners: no failure, no foreign row."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from dockbell.store.database import open_database
from dockbell.store.migrate import migrate
from tests.support.made_requests import EXAMPLES, Made, ask_all
from tests.warehouse.caller import Caller
from tests.warehouse.floor import FJORD, TEA, Floor
from tests.warehouse.hall import Hall
from tests.warehouse.test_warehouse_tenancy import FREE, ids_for, teas

MEMBERS = {"type", "title", "status", "code", "detail", "hint", "problems"}


@pytest.fixture
def hall(tmp_path: Path) -> Any:
    """On SQLite alone: what differs between the databases is not what a request can reach."""
    database = open_database(str(tmp_path / "data.sqlite"))
    migrate(database, now=1)
    floor = Floor(database, tmp_path)
    yield Hall(floor, Caller(floor))
    database.close()


@pytest.mark.slow
def test_no_request_fails_and_no_answer_shows_another_goods_owners_things(hall: Hall):
    call = hall.call
    ids = asyncio.run(teas(hall))
    keys = {owner: f"Bearer {call.key('read', 'publish', owners=[owner])}" for owner in (TEA, FJORD)}
    document = asyncio.run(call("GET", "/api/v1/warehouse/openapi.json")).body

    def judge(made: Made, owner: int) -> None:
        answer = asyncio.run(call(made.method, made.target, made.body, authorization=keys[owner]))
        asked = (owner, made.method, made.target, made.body, answer.status, str(answer.body)[:300])
        assert answer.status < 500, asked
        if answer.status >= 400:
            assert set(answer.body) == MEMBERS, asked
            assert answer.body["status"] == answer.status, asked
        if owner == FJORD and not FREE.fullmatch(made.template):
            told = json.dumps(answer.body)
            assert not made.is_real or answer.status in (404, 422), asked
            assert "Nordic" not in told, asked
            assert "TEA-0" not in told or answer.status >= 400, asked

    tried = ask_all(document, lambda _, path: ids_for(path, ids), st.sampled_from([TEA, FJORD]), judge)
    assert tried >= len(document["paths"]) * EXAMPLES
