"""Who gets which page: every route, every role, own things and another goods owner's, made from the routes themselves.

What is expected follows from the route's `need` and from whose the thing is; no route is listed here.
"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dockbell.domain.permissions import SCOPES_OF_ROLE
from dockbell.store import users
from dockbell.store.database import open_database
from dockbell.store.migrate import migrate
from dockbell.warehouse import pages as warehouse_pages
from dockbell.warehouse.demo_data import load_demo
from dockbell.web.server import build_app
from dockbell.web.ui.visit import Route
from tests.support.asgi import Reply
from tests.support.browser_like import Browser, a_browser
from tests.support.page_addresses import address, all_routes, variable
from tests.support.parts import Server, a_server
from tests.support.rows import FJORD, TEA
from tests.support.things import Things, a_bulk_run

OF_AN_OWNER = {"webhook", "delivery", "event", "goods_owner", *(noun.name for noun in warehouse_pages.NOUNS)}
"""Things that belong to a goods owner; a key, a user and an event type belong to none."""
PERSONAL = {"bulk_run"}
"""Things of the user who began them; administrators see them too."""
ROLES = ("nobody", "administrator", "warehouse", "goods-owner")
PASSED = {200, 303, 404, 409, 410, 422}
"""Beyond the gate: a form without its fields is wrong, but not forbidden. A thing of one's own must be found, though."""


def expected(route: Route, role: str, whose: str) -> str:
    """What the route must answer: in, sign-in, forbidden, unknown."""
    if route.need == "nothing":
        return "in"
    if role == "nobody":
        return "sign-in"
    scopes = SCOPES_OF_ROLE[role]
    if route.need == "everyone":
        return "in" if role == "administrator" else "forbidden"
    if route.need != "signed-in" and "admin" not in scopes and route.need not in scopes:
        return "forbidden"
    if whose == "automation of theirs":
        return "forbidden" if route.need == "manage" else "in"
    if role == "goods-owner" and whose != "own" and variable(route) in OF_AN_OWNER:
        return "unknown"
    if variable(route) in PERSONAL and whose != "own" and role != "administrator":
        return "unknown"
    return "in"


def answered(reply: Reply, route: Route) -> str:
    if reply.status < 500 and (route.need == "nothing" or (reply.status == 404 and variable(route) == "session")):
        return "in"  # what a link or a session of nobody is answered, their own tests say
    where = reply.headers.get("location", "")
    if reply.status == 401 or (reply.status == 303 and where.startswith("/sign-in?next=")):
        return "sign-in"
    if reply.status == 403:
        return "forbidden"
    if reply.status == 404:
        return "unknown"
    return "in" if reply.status in PASSED else f"status {reply.status}"


@pytest.fixture
def database(tmp_path: Path) -> Any:
    opened = open_database(f"sqlite:///{tmp_path / 'data.sqlite'}")
    migrate(opened, now=1)
    yield opened
    opened.close()


def _may_be_gone(route: Route) -> bool:
    """Whether the form may delete the thing it is about; of the warehouse's that is said by the path."""
    return route.method == "POST" and (not route.path.startswith("/warehouse/") or route.path.endswith("/delete"))


def _newest_user(server: Server) -> int:
    return max(int(row["id"]) for row in server.parts.database.submit_write(users.everyone).result())


def part_of(route: Route) -> str:
    """Webhooks by themselves: they are visited in more ways than anything else."""
    if route.path.startswith("/warehouse/"):
        return "warehouse"
    return "webhooks" if variable(route) == "webhook" else "everything else"


@pytest.mark.parametrize("part", ["webhooks", "everything else", "warehouse"])
async def test_every_route_answers_every_role_as_its_need_says(
    tmp_path: Path, database: Any, record_property: Callable[[str, object], None], part: str
) -> None:
    wanted = [route for route in all_routes() if part_of(route) == part]
    wrong: list[str] = []
    counts: Counter[str] = Counter()
    async with a_server(database, tmp_path) as server:
        parts = server.parts
        now = parts.clock.now()
        database.submit_write(lambda tx: load_demo(tx, parts.publisher, now)).result()
        app = build_app(parts, more_pages=[warehouse_pages.routes])
        things = Things(server)

        def browser_of(role: str) -> Browser:
            if role == "nobody":
                return Browser(app)
            return a_browser(app, parts, role, [TEA] if role == "goods-owner" else None)

        for route in sorted(wanted, key=lambda each: each.method):
            for role in ROLES:
                whoses = ["own"]
                if variable(route) in OF_AN_OWNER | PERSONAL:
                    whoses += ["another's"]
                if variable(route) == "webhook":
                    whoses += ["automation of both"]
                    whoses += ["automation of theirs"] if role == "goods-owner" else []
                for whose in whoses:
                    owner = FJORD if whose == "another's" else TEA
                    kind = whose if whose.startswith("automation") else "regular"
                    # A form may delete the thing it is about.
                    made = await things.of(owner, kind, fresh=_may_be_gone(route))
                    browser = browser_of(role)
                    if whose == "own" and role != "nobody":
                        made = {**made, "bulk_run": a_bulk_run(server, f"user-{_newest_user(server)}")}
                    place = address(route, made)
                    what = f"{route.method} {route.path} (need {route.need}) as {role}, {whose}"
                    want = expected(route, role, whose)
                    if route.method == "GET":
                        got = answered(await browser.get(place, follow=False), route)
                    else:
                        if route.need != "nothing":
                            reply = await browser.submit(place, {"csrf": ""}, follow=False)
                            without = "sign-in" if role == "nobody" else "forbidden"
                            counts["forms without token"] += 1
                            if answered(reply, route) != without:
                                wrong.append(f"{what}, no token: {without} expected, {reply.status} answered")
                        foreign = await browser.submit(place, {"csrf": "0" * 64}, follow=False)
                        if route.need != "nothing" and role != "nobody" and foreign.status != 403:
                            wrong.append(f"{what}, wrong token: 403 expected, {foreign.status} answered")
                        if role != "nobody":
                            await browser.get("/administration/webhooks", follow=False)
                        got = answered(await browser.submit(place, {}, follow=False), route)
                    counts[f"{role}: {got}"] += 1
                    if got != want:
                        wrong.append(f"{what}: {want} expected, {got} answered")
    total = sum(number for name, number in counts.items() if ":" in name)
    shown = ", ".join(f"{name} {number}" for name, number in sorted(counts.items()))
    record_property(
        "print", f"permission matrix, {part}: {len(wanted)} routes, {total} visits, {len(wrong)} wrong; {shown}"
    )
    assert not wrong, "\n".join(wrong)
    assert total > 4 * len(wanted) - 1
