"""A site and a real browser for each file of tests; whatever a page says in its console fails the test that saw it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, Response

from tests.support.chromium import NoChromium, chromium
from tests.support.site import Site, a_site

DESKTOP = {"width": 1280, "height": 900}
SMALL_DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 360, "height": 740}
PATIENCE_MS = 10_000
TELL_REPORTS = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`CSP report: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
"""
WRONG_FORM = "the server responded with a status of 4"
"""Chromium puts this in the console when a page answers 422, which is what a wrong form should do."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with a_site(tmp_path_factory.mktemp("site")) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # Module by module: while Playwright runs, no other test of the process could have an event loop.
    try:
        with chromium() as running:
            yield running
    except NoChromium as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(autouse=True)
def _the_receiver_is_well(request: pytest.FixtureRequest) -> None:
    if "site" in request.fixturenames:
        inspector = request.getfixturevalue("site").inspector
        inspector.answer = 200
        inspector.received.clear()


class Watch:
    """What went wrong on the pages of a test, and which addresses it saw."""

    def __init__(self) -> None:
        self.complaints: list[str] = []
        self.addresses: list[tuple[int, str]] = []

    def look_at(self, context: BrowserContext) -> None:
        context.add_init_script(TELL_REPORTS)
        context.on("console", self._console)
        context.on("weberror", lambda error: self.complaints.append(f"page error: {error.error}"))
        context.on("dialog", self._dialog)
        context.on("response", self._response)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and WRONG_FORM not in message.text:
            where = message.page.url if message.page else ""
            self.complaints.append(f"console of {where}: {message.type}: {message.text}")

    def _dialog(self, dialog: Dialog) -> None:
        self.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _response(self, response: Response) -> None:
        self.addresses.append((response.status, response.url))
        if response.status >= 500:
            self.complaints.append(f"{response.request.method} {response.url} answered {response.status}")


@pytest.fixture
def watch() -> Iterator[Watch]:
    watching = Watch()
    yield watching
    assert not watching.complaints, "\n".join(watching.complaints)


Visit = Callable[..., Page]


@pytest.fixture
def visit(site: Site, browser: Browser, watch: Watch) -> Iterator[Visit]:
    """`visit("tea")` is a new page of somebody who is signed in; `visit(None)` of nobody. More arguments: new_context's."""
    with ExitStack() as stack:
        yield lambda who="administrator", **options: stack.enter_context(_a_page(site, browser, watch, who, **options))


@pytest.fixture(scope="module")
def pages_that_stay(site: Site, browser: Browser) -> Iterator[tuple[Visit, Watch]]:
    with ExitStack() as stack:
        watching = Watch()
        yield cache(lambda who: stack.enter_context(_a_page(site, browser, watching, who))), watching


@pytest.fixture
def stay(pages_that_stay: tuple[Visit, Watch]) -> Iterator[Visit]:
    """`stay("tea")` is her page, the same in all tests of a file: a new one takes longer than most of what is done on it."""
    opened, watching = pages_that_stay
    watching.complaints.clear()
    yield opened
    assert not watching.complaints, "\n".join(watching.complaints)


@contextmanager
def _a_page(site: Site, browser: Browser, watch: Watch, who: str | None, **options: Any) -> Iterator[Page]:
    context = browser.new_context(base_url=site.url, **{"viewport": DESKTOP, "locale": "en-GB", **options})
    try:
        context.set_default_timeout(PATIENCE_MS)
        watch.look_at(context)
        if who is not None:
            context.add_cookies([{"name": "dockbell", "value": site.cookie_of(who), "url": site.url}])
        yield context.new_page()
    finally:
        context.close()
