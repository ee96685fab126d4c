"""Who is asking: the actor of a request's Authorization header, and of nothing else.

A cookie never counts. A browser sends cookies along with what another site makes it ask, so a request that
has nothing better is refused before it can change anything.
"""

from dataclasses import replace
from typing import Annotated

from fastapi import Depends, Request
from starlette.types import Scope

from dockbell.domain.permissions import Actor
from dockbell.errors import NotAllowed
from dockbell.web.parts import Parts

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


async def parts_of(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


Here = Annotated[Parts, Depends(parts_of)]


async def actor_of(parts: Parts, scope: Scope) -> Actor:
    """Raises NotSignedIn, NotAllowed (a cookie on an unsafe method) or Malformed (two Authorization headers)."""
    authorization = [value.decode("latin-1") for name, value in scope["headers"] if name == b"authorization"]
    need_no_other_site(scope)
    if not authorization and scope["method"] not in SAFE and any(name == b"cookie" for name, _ in scope["headers"]):
        raise NotAllowed(
            "A cookie is no credential here.",
            code="csrf",
            hint="Send an API key: “Authorization: Bearer whk_...”.",
        )
    return await parts.doorkeeper.actor_of(authorization, now=parts.clock.now())


def need_no_other_site(scope: Scope) -> None:
    """A browser that was once asked for name and password (Basic) sends them along by itself. Raises NotAllowed."""
    if scope["method"] in SAFE:
        return
    said = {name: value for name, value in scope["headers"] if name in (b"sec-fetch-site", b"origin", b"host")}
    site, origin = said.get(b"sec-fetch-site"), said.get(b"origin")
    # Where a browser says both, the first is surer: a proxy may have put another name into Host.
    foreign = origin is not None and origin.partition(b"://")[2] != said.get(b"host")
    if site not in (b"same-origin", b"none") and (foreign or site is not None):
        raise NotAllowed("Another site made a browser ask this.", code="csrf", hint="Ask from a program of your own.")


def address_of(request: Request, *, behind_proxy: bool) -> str:
    """The client's address. Of X-Forwarded-For only the last entry is the proxy's own word; the others anyone writes."""
    said = ",".join(
        request.headers.getlist("x-forwarded-for")
    )  # some proxies add a line of their own after the client's
    if behind_proxy and (last := said.rpartition(",")[2].strip()):
        return last[:64]
    return request.client.host if request.client is not None else ""


async def acting(request: Request, parts: Here) -> Actor:
    actor = await actor_of(parts, request.scope)
    return replace(actor, address=address_of(request, behind_proxy=parts.secure))


Acting = Annotated[Actor, Depends(acting)]
