"""Which methods a path takes: what an answer 405 must say."""

from collections.abc import Sequence

from starlette.routing import BaseRoute, Match
from starlette.types import Scope

METHODS = ("DELETE", "GET", "PATCH", "POST", "PUT")


def methods_at(routes: Sequence[BaseRoute], scope: Scope) -> list[str]:
    """Those of all routes at the request's path; Starlette's own answer names those of the first one alone."""
    return [
        method
        for method in METHODS
        if any(route.matches({**scope, "method": method})[0] is Match.FULL for route in routes)
    ]
