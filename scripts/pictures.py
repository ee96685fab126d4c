"""Write docs/pictures anew: every page, light and dark, on a desktop and on a phone, and a list of them.

Which pages there are comes from the registry of routes, so a new page cannot be forgotten. They show the warehouse of the
demo with a webhook whose receiver failed once. Sizes are always the same; times and numbers are those of the run.
"""

import base64
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from playwright.sync_api import Browser, Page  # noqa: E402

from tests.browser.steps import fill_in_webhook, press  # noqa: E402
from tests.support.chromium import chromium  # noqa: E402
from tests.support.page_addresses import address, all_routes, one_of_everything  # noqa: E402
from tests.support.site import TEA, Site, a_site  # noqa: E402

FOLDER = ROOT / "docs" / "pictures"
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
COLOURS = ("light", "dark")
TALLEST = 1_700
"""Pixels of a page that are shown; what is further down is more of the same."""
QUALITY = 55
NO_PAGES = (
    "/administration/webhooks/export",
    "/administration/deliveries/rows",
    "/administration/deliveries/export",
    "/administration/deliveries/{id}/payload",
)
"""Files to be saved, and a piece of a page."""
Opening = Callable[[Page, Site, dict[str, Any]], None]


@dataclass(frozen=True)
class Picture:
    name: str
    open: Opening
    signed_in: bool = True

    def files(self) -> dict[tuple[str, str], str]:
        return {(colours, size): f"{self.name}-{colours}-{size}.webp" for colours in COLOURS for size in SIZES}


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    titles = {}
    with (
        tempfile.TemporaryDirectory(prefix="dockbell-pictures-") as folder,
        a_site(Path(folder)) as site,
        chromium() as browser,
    ):
        things = one_of_everything(site)
        for picture in pictures():
            for (colours, size), name in picture.files().items():
                titles[picture], content = _take(browser, site, things, picture, colours, size)
                (FOLDER / name).write_bytes(content)
    kept = {name for picture in titles for name in picture.files().values()}
    for old in FOLDER.iterdir():
        if old.name not in {*kept, "README.md"}:
            old.unlink()
    (FOLDER / "README.md").write_text(_list(titles), encoding="utf-8")
    sizes = [(FOLDER / name).stat().st_size for name in kept]
    print(f"{len(sizes)} pictures of {len(titles)} pages, {sum(sizes) // 1000} kB, the largest {max(sizes) // 1000} kB")


def pictures() -> Iterator[Picture]:
    """A picture of each page there is, and of those that only come after a form."""
    for route in all_routes():
        if route.method == "GET" and route.path not in NO_PAGES:
            yield Picture(
                _name(route.path),
                lambda page, _, things, route=route: _go(page, address(route, things)),  # type: ignore[misc]
                signed_in=route.need != "nothing",
            )
    yield Picture("webhooks-form", _form)
    yield Picture("webhooks-id-test-result", _test_result)
    yield Picture("deliveries-selected", _selected)
    yield Picture("events-of-an-order", lambda page, *_: _go(page, "/administration/events?about=order+12345"))
    yield Picture("receiver", lambda page, site, _: _go(page, site.receiver_url), signed_in=False)


def _name(path: str) -> str:
    return path.removeprefix("/administration").strip("/").replace("{", "").replace("}", "").replace("/", "-")


def _take(
    browser: Browser, site: Site, things: dict[str, Any], picture: Picture, colours: str, size: str
) -> tuple[str, bytes]:
    width, height = SIZES[size]
    context = browser.new_context(
        base_url=site.url,
        color_scheme="dark" if colours == "dark" else "light",
        viewport={"width": width, "height": height},
        locale="en-GB",
        timezone_id="Europe/Stockholm",
        reduced_motion="reduce",
    )
    if picture.signed_in:
        context.add_cookies([{"name": "dockbell", "value": site.cookie_of("administrator"), "url": site.url}])
    page = context.new_page()
    picture.open(page, site, things)
    page.wait_for_load_state("networkidle")
    page.evaluate("scrollTo(0, 0)")
    tall = min(TALLEST, int(page.evaluate("document.documentElement.scrollHeight")))
    # Playwright itself writes no WebP, which is a third of JPEG's size here.
    taken = context.new_cdp_session(page).send(
        "Page.captureScreenshot",
        {
            "format": "webp",
            "quality": QUALITY,
            "captureBeyondViewport": True,
            "clip": {"x": 0, "y": 0, "width": width, "height": tall, "scale": 1},
        },
    )
    title = page.title().removesuffix(" · Dockbell")
    context.close()
    return title, base64.b64decode(taken["data"])


def _go(page: Page, path: str) -> None:
    answer = page.goto(path)
    if answer is None or answer.status != 200:
        sys.exit(f"{path} answered {answer.status if answer else 'nothing'}; docs/pictures would show an error.")


def _form(page: Page, site: Site, _: dict[str, Any]) -> None:
    fill_in_webhook(
        page, site, "ERP of Nordic Tea", "order.picked", owner=TEA, basic=("dockbell", "tea-and-biscuits"),
        header=("X-Company-Id", "654"), transporters="DHL",
    )  # fmt: skip


def _test_result(page: Page, _: Site, things: dict[str, Any]) -> None:
    _go(page, f"/administration/webhooks/{things['webhook']}/test")
    press(page, "Send the test")
    page.get_by_role("status").wait_for()


def _selected(page: Page, *_: object) -> None:
    _go(page, "/administration/deliveries")
    page.locator("main [name=which][value=all]").check()
    press(page, "Resend")
    page.locator("form[action$='/bulk']").wait_for()


def _list(titles: dict[Picture, str]) -> str:
    lines = [
        "# Pictures",
        "",
        "<!-- Written by scripts/pictures.py. After a change of the pages, run: make pictures -->",
        "",
    ]
    for picture, title in titles.items():
        files = picture.files()
        lines += [f"## {title}", "", f"|{' | '.join(_heading(*each) for each in files)}|", "|---" * len(files) + "|"]
        lines += ["|" + " | ".join(f"![{_heading(*each)}]({name})" for each, name in files.items()) + "|", ""]
    return "\n".join(lines)


def _heading(colours: str, size: str) -> str:
    return f"{size}, {colours}"


if __name__ == "__main__":
    main()
