"""Requests nobody thought of, by the keys of two goods owners and of an administrator: no failure, no foreign row."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from tests.http.test_every_route import is_problem, target_for
from tests.support.made_requests import EXAMPLES, Made, ask_all
from tests.support.parts import a_server
from tests.support.rows import FJORD, TEA

SHARED = ("eventTypes", "health")
"""Paths of what is the same for everybody with a key."""


@pytest.mark.slow
def test_no_made_request_fails_or_is_answered_with_what_belongs_to_another(database: Any, tmp_path: Path):
    with asyncio.Runner() as runner:
        opened = a_server(database, tmp_path)
        server = runner.run(opened.__aenter__())
        scopes = ["publish", "read", "manage"]
        keys = {owner: server.as_key(scopes, [owner]) for owner in (TEA, FJORD)} | {None: server.admin}
        runner.run(server.make_webhook(name="Nordic ERP", eventType="test.anything"))
        runner.run(server.publish(data={"a": "Nordic"}))
        document = runner.run(server.nobody.get("/api/v1/openapi.json")).document
        real: dict[tuple[str, str], dict[str, str]] = {}

        def ids(method: str, path: str) -> dict[str, str]:
            """Things of TEA's, new ones for each operation."""
            if "{" not in path:
                return {}
            if (method, path) not in real:
                target = runner.run(target_for(server, f"{method.lower()} {path}"))
                pairs = zip(path.split("/"), target.split("/"), strict=True)
                real[method, path] = {part[1:-1]: value for part, value in pairs if part.startswith("{")}
            return real[method, path]

        def judge(made: Made, who: int | None) -> None:
            reply = runner.run(keys[who].ask(made.method, made.target, made.body))
            asked = (who, made.method, made.target, made.body, reply.status, reply.body[:300])
            assert reply.status < 500, asked
            assert reply.status in made.documented, asked
            is_batch = (
                made.template.endswith("/events") and "results" in reply.document
            )  # each result has its own problems
            assert reply.status < 400 or is_batch or is_problem(reply), asked
            if who == FJORD and not made.template.split("/")[3].startswith(SHARED):
                assert b"Nordic" not in reply.body, asked
                assert not made.is_real or reply.status in (403, 404, 422), asked

        try:
            tried = ask_all(document, ids, st.sampled_from([TEA, FJORD, None]), judge)
        finally:
            runner.run(opened.__aexit__(None, None, None))
    assert tried >= EXAMPLES * len(document["paths"])
