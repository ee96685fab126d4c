"""Requests nobody thought of, made from an OpenAPI document.

FUZZ_EXAMPLES says how many are made of each operation: few in a run of all tests, thousands when one has the time.
"""

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.core.result import Ok

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "2"))


@dataclass(frozen=True, slots=True)
class Made:
    method: str
    template: str
    target: str
    body: bytes | None
    is_real: bool
    """Its path names things that exist."""
    documented: frozenset[int]
    """The statuses of which the document speaks."""


def ask_all(
    document: Mapping[str, Any],
    real_ids: Callable[[str, str], Mapping[str, Any]],
    who: st.SearchStrategy[Any],
    judge: Callable[[Made, Any], None],
) -> int:
    """`judge` gets each request with one of `who`. `real_ids` are the path parameters that name what exists, by method and path.

    Returns how many requests were made of which a client could send the line.
    """
    tried = 0

    def ask(operation: Any) -> None:
        @settings(
            max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate],
            database=None,
        )  # fmt: skip
        @given(case=operation.as_strategy(), is_real=st.booleans(), asks=who)
        def one(case: Any, is_real: bool, asks: Any) -> None:
            nonlocal tried
            made = _made(case, real_ids(case.method, operation.path) if is_real else {}, is_real=is_real)
            if made is not None:
                tried += 1
                judge(made, asks)

        one()

    for result in schemathesis.openapi.from_dict(dict(document)).get_all_operations():
        assert isinstance(result, Ok)
        ask(result.ok())
    return tried


def _made(case: Any, real: Mapping[str, Any], *, is_real: bool) -> Made | None:
    template = case.operation.path
    chosen = {**case.path_parameters, **real}
    body = None if isinstance(case.body, type(schemathesis.core.NOT_SET)) else case.body
    try:
        raw = None if body is None else json.dumps(body).encode()
        path = template.format(**{name: quote(str(chosen[name]), safe="") for name in re.findall(r"{(\w+)}", template)})
        query = "&".join(f"{quote(name)}={quote(str(value))}" for name, value in (case.query or {}).items())
    except (TypeError, ValueError):
        return None  # a lone surrogate, or what is no JSON
    documented = frozenset(int(status) for status in case.operation.definition.raw["responses"])
    target = f"{path}?{query}" if query else path
    return Made(case.method, template, target, raw, is_real and "{" in template, documented)
