"""Every page there is, with something on it: quiet in the console, accessible, and readable on a phone.

The pages come from the registry of routes. Without JavaScript and with it, light and dark, desktop and phone.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Error, Page

from dockbell.web.ui.visit import Route
from tests.browser.conftest import DESKTOP, PHONE, SMALL_DESKTOP, Visit, Watch
from tests.support.page_addresses import address, all_routes, one_of_everything
from tests.support.site import Site

GETS = [route for route in all_routes() if route.method == "GET"]
WEIGHTS = ("critical", "serious", "moderate", "minor")
COLOURS: tuple[Literal["light", "dark"], ...] = ("light", "dark")
OF_COLOURS = ("color-contrast", "link-in-text-block")
"""The rules of axe-core that judge colours (its tag cat.color): nothing else is another in the dark."""
MORE = (
    "/administration/webhooks/new?eventType=order.picked",
    "/administration/webhooks/new?kind=automation&eventType=order.status-changed",
    "/administration/webhooks?search=nothing-like-it",
    "/administration/deliveries?about=12345",
    "/administration/no-such-page",
)
"""Pages that look different by their query."""


@pytest.fixture(scope="module")
def things(site: Site) -> dict[str, Any]:
    return one_of_everything(site)


def addresses(things: dict[str, Any]) -> list[str]:
    return [*(address(route, things) for route in GETS), *MORE]


def go(page: Page, place: str) -> bool:
    """Visit it; False if it is a file to be saved or a piece of a page."""
    try:
        page.goto(place)
    except Error as error:
        if "Download is starting" in error.message:
            return False
        raise
    return page.locator("main").count() == 1


@pytest.mark.parametrize("script", [True, False], ids=["with JavaScript", "without"])
def test_every_page_says_nothing_in_the_console(
    things: dict[str, Any], visit: Visit, watch: Watch, script: bool, record_property: Callable[[str, object], None]
) -> None:
    page = visit("administrator", java_script_enabled=script)
    pages = sum(go(page, place) for place in addresses(things))
    seen = {url.removeprefix(page.url.split("/administration")[0]).partition("?")[0] for _, url in watch.addresses}
    missed = [route.path for route in GETS if not _was_seen(route, things, seen)]
    assert not missed
    answers = Counter(status for status, url in watch.addresses if "/static/" not in url)
    record_property(
        "print",
        f"{len(GETS)} GET routes visited {'with' if script else 'without'} JavaScript ({pages} whole pages): "
        f"answers {dict(answers)}, {len(watch.complaints)} complaints",
    )
    assert answers[404] == 1, [url for status, url in watch.addresses if status == 404]


def _was_seen(route: Route, things: dict[str, Any], seen: set[str]) -> bool:
    return any(each.endswith(address(route, things)) for each in seen)


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_axe_finds_nothing_serious_on_any_page(
    things: dict[str, Any], visit: Visit, size: str, record_property: Callable[[str, object], None]
) -> None:
    # axe is put into the page past the policy for scripts, which the other tests judge.
    page, signed_out = (visit(who, viewport=PHONE if size == "phone" else DESKTOP) for who in ("administrator", None))
    axe = Axe()
    counts: Counter[tuple[str, str]] = Counter()
    found: list[str] = []
    pages = 0
    for place in addresses(things):
        at = signed_out if place.startswith("/sign-in") else page
        if not go(at, place):
            continue
        pages += 1
        for colours in COLOURS:
            at.emulate_media(color_scheme=colours)
            rules = {} if colours == "light" else {"runOnly": {"type": "rule", "values": OF_COLOURS}}
            for violation in axe.run(at, options={"resultTypes": ["violations"], **rules}).response["violations"]:
                counts[colours, violation["impact"]] += 1
                nodes = "; ".join(
                    f"{node['target']}: {' '.join(node['failureSummary'].split())[:160]}"
                    for node in violation["nodes"][:3]
                )
                found.append(f"{violation['impact']} {violation['id']} on {place}, {colours}: {nodes}")
    for colours in COLOURS:
        shown = ", ".join(f"{weight} {counts[colours, weight]}" for weight in WEIGHTS)
        which = "" if colours == "light" else ", what depends on colours"
        record_property("print", f"axe-core, {colours} {size}{which}, {pages} pages: {shown}")
    assert not any(counts[colours, weight] for colours in COLOURS for weight in WEIGHTS[:2]), "\n".join(sorted(found))


@pytest.mark.parametrize("locale", ["en-GB", "sv-SE"])
def test_no_page_is_wider_than_a_phone(things: dict[str, Any], visit: Visit, locale: str) -> None:
    page, signed_out = (visit(who, viewport=PHONE, locale=locale) for who in ("administrator", None))
    too_wide = []
    for place in addresses(things):
        at = signed_out if place.startswith("/sign-in") else page
        if not go(at, place):
            continue
        assert at.locator("html").get_attribute("lang") == locale[:2]
        width, culprits = at.evaluate(
            """() => [document.documentElement.scrollWidth, [...document.querySelectorAll("main *")]
                 .filter((each) => each.getBoundingClientRect().right > innerWidth + 1 && !each.closest(".scroll"))
                 .slice(0, 3).map((each) => each.outerHTML.slice(0, 90))]"""
        )
        if width > PHONE["width"]:
            too_wide.append(f"{place} is {width} px wide: {culprits}")
    assert not too_wide, "\n".join(too_wide)


@pytest.mark.parametrize("locale", ["en-GB", "sv-SE"])
def test_nothing_is_cut_off_or_wrapped_on_a_small_desktop(things: dict[str, Any], visit: Visit, locale: str) -> None:
    page = visit("administrator", viewport=SMALL_DESKTOP, locale=locale)
    page.goto("/administration/webhooks")
    # A name as long as the demo's, and the state that is the widest.
    page.evaluate("() => document.querySelector('.me a').textContent = 'Anna, administrator'")
    page.evaluate("() => document.querySelectorAll('td .badge').forEach((e) => e.textContent = 'no deliveries yet')")
    hidden = page.evaluate("() => [...document.querySelectorAll('.scroll')].map((e) => e.scrollWidth - e.clientWidth)")
    assert hidden == [0], "columns beyond the edge of the table"
    tops = page.evaluate("() => new Set([...document.querySelectorAll('.top nav a')].map((e) => e.offsetTop)).size")
    assert tops == 1, "the menu takes more than one line"
    page.goto("/administration/deliveries")
    for name in ("from", "to"):  # 12/28/2026, 09:05 AM and the calendar's button
        assert page.evaluate(f"() => document.querySelector('[name={name}]').offsetWidth") >= 210
