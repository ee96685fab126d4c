"""Anna, the first administrator of a server, and how she signs in."""

from dataclasses import replace

from dockbell.actions import sign_in
from dockbell.testing.clock import ManualClock
from dockbell.web.server import build_app
from tests.support.browser_like import Browser
from tests.support.parts import Server

HOME = "/administration/webhooks"
PASSWORD = "tea, biscuits and rain"
ANNA = "anna@example.com"


async def with_anna(server: Server) -> None:
    """The first administrator, made through the link."""
    now = server.parts.clock.now()
    link = server.parts.database.submit_write(lambda tx: sign_in.first_link(tx, now=now)).result()
    browser = Browser(server.app)
    await browser.get(f"/first/{link}")
    await browser.submit(f"/first/{link}", {"name": "Anna Berg", "email": ANNA, "password": PASSWORD})
    assert browser.where == HOME, browser.words


async def sign_in_as(browser: Browser, email: str = ANNA, password: str = PASSWORD, **more: str) -> int:
    await browser.get("/sign-in")
    return (await browser.submit("/sign-in", {"email": email, "password": password, **more})).status


def at(server: Server, clock: ManualClock) -> object:
    return build_app(replace(server.parts, clock=clock))
