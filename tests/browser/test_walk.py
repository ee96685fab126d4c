"""The whole way in a real browser: make a webhook, cause events, read the log, resend."""

import re
from typing import Any

from playwright.sync_api import Page, expect

from tests.browser.steps import create_webhook, field, pick, press, sign_in, webhook_id_of
from tests.support.site import FJORD, TEA, Site

LIST = "/administration/webhooks"
LOG = "/administration/deliveries"


def test_an_administrator_makes_a_regular_webhook_and_follows_its_deliveries(site: Site, visit: Any) -> None:
    page = visit(None)
    sign_in(page, site, "administrator")

    webhook = create_webhook(
        page,
        site,
        "ERP of Nordic Tea",
        "order.picked",
        owner=TEA,
        basic=("dockbell", "tea-and-biscuits"),
        header=("X-Company-Id", "654"),
        transporters="DHL",
    )

    # What was shown once: loading the page again makes no second webhook.
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("ERP of Nordic Tea")
    assert webhook_id_of(site, "ERP of Nordic Tea") == webhook
    page.get_by_role("link", name="Test", exact=True).click()
    press(page, "Send the test")
    expect(page.get_by_role("status")).to_contain_text("Delivered: the receiver answered 200")
    [came] = site.inspector.received
    assert (came.header("X-Company-Id"), came.header("dockbell-test")) == ("654", "true")
    assert (came.header("Authorization") or "").startswith("Basic ")

    pick(page, site, site.order("12345"))
    site.attempted(webhook, 2)
    page.goto(f"{LIST}/{webhook}/logs")
    expect(page.locator("#log-rows tr").first).to_contain_text("12345")
    expect(page.locator("#log-rows tr").first).to_contain_text("delivered")

    # An order with another transporter is none of its business.
    pick(page, site, site.order("12347"))

    site.inspector.answer = 500
    pick(page, site, site.new_order("12399"))
    site.attempted(webhook, 3)
    page.goto(f"{LOG}?about=12399&webhookId={webhook}")
    row = page.locator("#log-rows tr")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("http_500")
    row.locator(f"a[href^='{LOG}/']").first.click()
    expect(page.locator("main")).to_contain_text("Next attempt:")
    expect(page.locator("main")).to_contain_text("The receiver answered 500.")
    expect(page.locator("time[data-countdown]")).to_have_text(re.compile(r"^\d+ min \d+ s|\d+ s"))

    site.inspector.answer = 200
    press(page, "Resend")
    expect(page.locator("main")).to_contain_text("The receiver took the event")
    assert len(site.deliveries(f"webhookId={webhook}")) == 3


def test_an_administrator_makes_an_automation_webhook_for_two_goods_owners(site: Site, visit: Any) -> None:
    page = visit("administrator")
    webhook = create_webhook(
        page, site, "Shipping platform", "order.picked", kind="automation", owners=(TEA, FJORD), path="/shipping"
    )
    page.goto(f"{LIST}/{webhook}/test")
    press(page, "Send the test")
    expect(page.get_by_role("status")).to_contain_text("Delivered: the receiver answered 200")

    pick(page, site, site.order("12346"))
    pick(page, site, site.order("3001", FJORD))
    site.attempted(webhook, 3)
    page.goto(f"{LIST}/{webhook}/logs")
    rows = page.locator("#log-rows tr")
    expect(rows).to_have_count(3)
    for number in ("12346", "3001"):
        expect(rows.filter(has_text=number)).to_contain_text("delivered")

    site.inspector.answer = 503
    pick(page, site, site.order("3002", FJORD))
    site.attempted(webhook, 4)
    page.goto(f"{LIST}/{webhook}/logs")
    failed = rows.filter(has_text="3002")
    expect(failed).to_contain_text("http_503")
    failed.locator(f"a[href^='{LOG}/']").first.click()
    expect(page.locator("main")).to_contain_text("Next attempt:")
    site.inspector.answer = 200
    press(page, "Resend")
    _reload_until(page, "The receiver took the event")


def test_a_goods_owners_user_sees_nothing_of_the_others(site: Site, visit: Any) -> None:
    theirs = site.make_webhook(name="Only for Fjord", goodsOwnerIds=[FJORD], eventType="order.picked")
    own = site.make_webhook(name="Only for Tea", goodsOwnerIds=[TEA], eventType="order.picked")
    tea, fjord = site.new_order("T-1"), site.new_order("F-1", FJORD, article="FO-5000")
    for order in (tea, fjord):
        site.do(order, "allocate", "pick")
    delivery = site.attempted(theirs["id"])
    site.attempted(own["id"])

    page = visit("tea")
    page.goto(LIST)
    expect(page.get_by_role("link", name="Only for Tea")).to_be_visible()
    expect(page.locator("main")).not_to_contain_text("Only for Fjord")
    page.goto(LOG)
    expect(page.locator("#log-rows")).to_contain_text("T-1")
    expect(page.locator("main")).not_to_contain_text("F-1")
    for place in (f"{LIST}/{theirs['id']}", f"{LIST}/{theirs['id']}/logs", f"{LOG}/{delivery['id']}"):
        answer = page.goto(place)
        assert answer is not None
        assert answer.status == 404, place
    page.goto(f"{LOG}?goodsOwnerId={FJORD}")
    expect(page.locator("main")).not_to_contain_text("F-1")


def test_one_can_follow_a_log_that_is_still_empty(site: Site, visit: Any) -> None:
    webhook = site.make_webhook(name="Followed", eventType="order.picked")
    page = visit("tea")
    page.goto(f"{LIST}/{webhook['id']}/logs")
    expect(page.locator("main")).to_contain_text("No deliveries yet")
    page.get_by_role("button", name="Follow", exact=True).click()
    site.do(site.new_order("T-2"), "allocate", "pick")
    expect(page.locator("#log-rows")).to_contain_text("T-2", timeout=10_000)
    expect(page.get_by_role("button", name="Stop following")).to_be_visible()


def test_the_walk_works_without_javascript(site: Site, visit: Any) -> None:
    page = visit(None, java_script_enabled=False)
    sign_in(page, site, "tea")
    webhook = create_webhook(
        page,
        site,
        "Without script",
        "order.picked",
        owner=TEA,
        basic=("dockbell", "tea"),
        header=("X-Company-Id", "654"),
    )
    page.goto(f"{LIST}/{webhook}/test")
    press(page, "Send the test")
    expect(page.get_by_role("status")).to_contain_text("Delivered: the receiver answered 200")
    site.inspector.answer = 500
    order = site.new_order("12401")
    site.do(order, "allocate", "pick")
    site.attempted(webhook, 2)
    page.goto(f"{LIST}/{webhook}/logs")
    page.locator("#log-rows tr").filter(has_text="12401").locator(f"a[href^='{LOG}/']").first.click()
    expect(page.locator("main")).to_contain_text("The receiver answered 500.")
    site.inspector.answer = 200
    press(page, "Resend")
    _reload_until(page, "The receiver took the event")


def test_a_webhook_is_made_with_the_keyboard_alone(site: Site, visit: Any) -> None:
    page = visit("tea")
    page.goto(LIST)
    _tab_to(page, "kind=regular")
    page.keyboard.press("Enter")
    page.wait_for_url("**/new?kind=regular")
    _tab_to(page, "eventType=order.picked")
    page.keyboard.press("Enter")
    page.wait_for_url("**eventType=order.picked")

    _tab_to(page, "name")
    page.keyboard.type("By keyboard")
    page.keyboard.press("Enter")
    summary = page.locator("[data-focus]")
    expect(summary).to_be_focused()
    expect(summary).to_contain_text("Target URL")
    assert field(page, "name").input_value() == "By keyboard"

    _tab_to(page, "targetUrl")
    page.keyboard.type(f"{site.receiver_url}/keys")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.locator("main")).to_contain_text("whsec_")
    assert [one["name"] for one in site.api.get("/api/v1/webhooks")["items"]].count("By keyboard") == 1
    assert webhook_id_of(site, "By keyboard")


def _tab_to(page: Page, wanted: str) -> None:
    """Tab until the field with this name, or the link with this in its query, has the focus."""
    for _ in range(200):
        page.keyboard.press("Tab")
        at = page.evaluate("[document.activeElement.name ?? '', document.activeElement.getAttribute('href') ?? '']")
        if at[0] == wanted or wanted in at[1].partition("?")[2] or at[1].endswith(f"/{wanted}"):
            return
    raise AssertionError(f"200 times Tab did not reach {wanted}")


def _reload_until(page: Page, text: str) -> None:
    for _ in range(40):
        if text in page.locator("main").inner_text():
            return
        page.wait_for_timeout(100)
        page.reload()
    raise AssertionError(f"{page.url} never said {text!r}")


def test_times_are_entered_and_shown_in_the_viewers_zone(site: Site, visit: Any) -> None:
    page = visit("administrator", timezone_id="America/New_York")
    for place in (LOG, "/administration/events"):
        page.goto(f"{place}?from=2026-01-15T17:00")
        entered = page.get_by_label("From", exact=True)
        expect(entered).to_have_value("2026-01-15T12:00")
        entered.fill("2026-01-15T13:30")
        entered.press("Enter")
        page.wait_for_url(re.compile(r"from=2026-01-15T18%3A30"))
        expect(entered).to_have_value("2026-01-15T13:30")
