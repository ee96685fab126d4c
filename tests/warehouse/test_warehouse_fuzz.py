"""Requests nobody thought of, made from the OpenAPI document by the keys of two goods owners: no failure, no foreign row.

FUZZ_EXAMPLES makes more of them than a test run has time for.
"""

import asyncio
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.core.result import Ok

from dockbell.store.database import open_database
from dockbell.store.migrate import migrate
from tests.warehouse.caller import Caller
from tests.warehouse.floor import FJORD, TEA, Floor
from tests.warehouse.hall import Hall
from tests.warehouse.test_warehouse_tenancy import FREE, ids_for, teas

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "2"))
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
    schema = schemathesis.openapi.from_dict(document)
    tried = 0

    def ask(operation: Any) -> None:
        nonlocal tried

        @settings(
            max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate],
            database=None,
        )  # fmt: skip
        @given(case=operation.as_strategy(), real=st.booleans(), owner=st.sampled_from([TEA, FJORD]))
        def one(case: Any, real: bool, owner: int) -> None:
            nonlocal tried
            tried += 1
            judge(hall, keys, ids, case, real, owner)

        one()

    for result in schema.get_all_operations():
        assert isinstance(result, Ok)
        ask(result.ok())
    assert tried >= len(document["paths"]) * EXAMPLES


def judge(hall: Hall, keys: dict[int, str], ids: dict[str, int], case: Any, real: bool, owner: int) -> None:
    template = case.operation.path
    chosen = {**case.path_parameters, **(ids_for(template, ids) if real else {})}
    path = template.format(**{name: chosen[name] for name in re.findall(r"{(\w+)}", template)})
    query = "&".join(f"{name}={value}" for name, value in (case.query or {}).items())
    if not path.isascii() or not path.isprintable() or not query.isascii() or re.search(r"[\s#?]", path + query):
        return  # what no client could send as a request line
    body = None if isinstance(case.body, type(schemathesis.core.NOT_SET)) else case.body
    try:
        raw = None if body is None else json.dumps(body).encode()
    except (TypeError, ValueError):
        return
    answer = asyncio.run(hall.call(case.method, f"{path}?{query}" if query else path, raw, authorization=keys[owner]))
    assert answer.status < 500, (case.method, path, query, body, answer.body)
    if answer.status >= 400:
        assert set(answer.body) == MEMBERS
        assert answer.body["status"] == answer.status
    if real and owner == FJORD and "{" in template and not FREE.fullmatch(template):
        assert answer.status in (404, 422), (case.method, path, answer.body)
    if owner == FJORD and not FREE.fullmatch(template):
        told = json.dumps(answer.body)
        assert "Nordic" not in told
        assert "TEA-0" not in told or answer.status >= 400, (path, told[:300])
