"""Write docs/pictures anew: the main pages, light and dark, on a desktop and on a phone, and a list of them.

The pages show the warehouse of the demo, with a webhook that does well and one whose receiver fails. Sizes are always the
same; times and numbers on the pages are those of the run.
"""

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from playwright.sync_api import Browser, Page  # noqa: E402

from tests.browser.steps import fill_in_webhook, press  # noqa: E402
from tests.support.chromium import chromium  # noqa: E402
from tests.support.page_addresses import all_routes  # noqa: E402
from tests.support.site import FJORD, TEA, Site, a_site  # noqa: E402

FOLDER = ROOT / "docs" / "pictures"
SIZES = {"desktop": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}
COLOURS = ("light", "dark")
LARGEST = 120_000
"""Bytes of a picture."""
QUALITIES = (70, 55, 40)
MISSING: list[str] = []
"""Routes that a picture is wanted of and that are not there."""


@dataclass(frozen=True)
class Picture:
    name: str
    title: str
    path: str
    signed_in: bool = True


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for old in FOLDER.glob("*.jpg"):
        old.unlink()
    written: list[tuple[Picture, list[str]]] = []
    with (
        tempfile.TemporaryDirectory(prefix="dockbell-pictures-") as folder,
        a_site(Path(folder)) as site,
        chromium() as browser,
    ):
        for picture in _pictures(site):
            files = [_take(browser, site, picture, colours, size) for colours in COLOURS for size in SIZES]
            written.append((picture, files))
    (FOLDER / "README.md").write_text(_list(written), encoding="utf-8")
    sizes = [(FOLDER / name).stat().st_size for _, files in written for name in files]
    print(
        f"{len(sizes)} pictures of {len(written)} pages, {sum(sizes) // 1000} kB, the largest {max(sizes) // 1000} kB"
    )
    if MISSING:
        sys.exit(f"No pictures of these, which have no route: {', '.join(MISSING)}")


def _pictures(site: Site) -> Iterator[Picture]:
    """Make what they show; then each page."""
    good = site.make_webhook(
        authentication={"type": "basic", "username": "dockbell", "password": "tea-and-biscuits"},
        headers=[{"name": "X-Company-Id", "value": "654"}],
        filters={"transporters": ["DHL"]},
    )
    bad = site.make_webhook(
        name="Shipping platform", kind="automation", goodsOwnerIds=[TEA, FJORD],
        targetUrl=f"{site.receiver_url}/shipping",
    )  # fmt: skip
    order = site.order("12345")
    site.do(order, "allocate", "pick")
    site.attempted(good["id"])
    site.attempted(bad["id"])
    site.inspector.answer = 503
    site.do(site.order("3001", FJORD), "allocate", "pick")
    failed = site.attempted(bad["id"], 2)
    site.inspector.answer = 200
    here = {route.path for route in all_routes()}
    for picture, route in (
        (Picture("sign-in", "Signing in", "/sign-in", signed_in=False), "/sign-in"),
        (Picture("webhooks", "The list of webhooks", "/administration/webhooks"), ""),
        (Picture("webhook-form", "Creating a webhook", "form"), ""),
        (Picture("webhook", "A webhook", f"/administration/webhooks/{good['id']}"), ""),
        (Picture("test-result", "The result of a test", f"test {good['id']}"), ""),
        (Picture("log", "The log of all deliveries", "/administration/deliveries"), ""),
        (Picture("delivery", "A delivery that failed", f"/administration/deliveries/{failed['id']}"), ""),
        (
            Picture("events", "What happened to an order", "/administration/events?about=order+12345"),
            "/administration/events",
        ),
        (
            Picture("event-type", "An event type", "/administration/event-types/order.picked"),
            "/administration/event-types/{id}",
        ),
        (
            Picture("warehouse-order", "An order in the warehouse", f"/warehouse/orders/{order}"),
            "/warehouse/orders/{id}",
        ),
    ):
        if route and route not in here:
            MISSING.append(route)
            continue
        yield picture


def _take(browser: Browser, site: Site, picture: Picture, colours: str, size: str) -> str:
    context = browser.new_context(
        base_url=site.url,
        color_scheme="dark" if colours == "dark" else "light",
        viewport={"width": SIZES[size]["width"], "height": SIZES[size]["height"]},
        locale="en-GB",
        timezone_id="Europe/Stockholm",
        reduced_motion="reduce",
    )
    if picture.signed_in:
        context.add_cookies([{"name": "dockbell", "value": site.cookie_of("administrator"), "url": site.url}])
    page = context.new_page()
    _open(page, site, picture)
    name = f"{picture.name}-{colours}-{size}.jpg"
    for quality in QUALITIES:
        content = page.screenshot(type="jpeg", quality=quality, caret="hide", animations="disabled")
        if len(content) < LARGEST:
            break
    (FOLDER / name).write_bytes(content)
    context.close()
    return name


def _open(page: Page, site: Site, picture: Picture) -> None:
    if picture.path == "form":
        fill_in_webhook(
            page, site, "ERP of Nordic Tea", "order.picked", owner=TEA, basic=("dockbell", "tea-and-biscuits"),
            header=("X-Company-Id", "654"), transporters="DHL",
        )  # fmt: skip
        page.wait_for_load_state("networkidle")
        page.evaluate("scrollTo(0, 0)")
    elif picture.path.startswith("test "):
        page.goto(f"/administration/webhooks/{picture.path.removeprefix('test ')}/test")
        press(page, "Send the test")
        page.get_by_role("status").wait_for()
    else:
        answer = page.goto(picture.path)
        if answer is None or answer.status != 200:
            sys.exit(
                f"{picture.path} answered {answer.status if answer else 'nothing'}; docs/pictures would show an error."
            )


def _list(written: list[tuple[Picture, list[str]]]) -> str:
    lines = [
        "# Pictures",
        "",
        "<!-- Written by scripts/pictures.py. After a change of the pages, run: make pictures -->",
        "",
    ]
    for picture, files in written:
        lines += [f"## {picture.title}", ""]
        lines += [
            f"![{picture.title}, {name.removesuffix('.jpg').removeprefix(picture.name + '-').replace('-', ', ')}]({name})"
            for name in files
        ]
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
