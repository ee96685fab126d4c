"""Text that is code somewhere else: typed into every text field, it comes back as it was typed, and nothing runs.

A field may refuse it in words; then what was typed is still in the field.
"""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit
from tests.browser.steps import field, press
from tests.support.bad_inputs import Case, cases
from tests.support.site import TEA, Site

NEW = "/administration/webhooks/new?eventType=order.picked"
FIELDS = (
    "name", "targetUrl", "email", "username", "headerName", "headerValue", "headerLines", "transporters", "orderTypes",
    "conditionField", "conditionValue", "steps", "timeoutInSeconds", "maxConcurrency",
)  # fmt: skip
ALL = cases("ui_text")


def put(page: Page, name: str, text: str) -> str:
    """Type into a field, shown or not; what the browser itself made of it: a line has no line ends."""
    at = field(page, name)
    return str(
        at.evaluate(
            """(each, text) => {
                 each.value = text;
                 each.dispatchEvent(new Event("input", { bubbles: true }));
                 return each.value;
               }""",
            text,
        )
    )


@pytest.mark.parametrize("case", ALL, ids=str)
def test_every_field_of_a_refused_form_still_holds_what_was_typed(case: Case, site: Site, stay: Visit) -> None:
    page = stay("administrator")
    page.goto(NEW)
    field(page, "authentication").select_option("basic")
    field(page, "retryPolicy").select_option("own")
    typed = {name: put(page, name, case.input) for name in FIELDS}
    with page.expect_navigation():
        press(page, "Create webhook")
    if "\x00" in case.input:
        # No form at all has a NUL: the answer is a page that says so.
        expect(page.locator("main")).to_contain_text("NUL characters are not allowed")
        return
    expect(page.locator("[role=alert]").first).to_be_visible()
    # Pasted lines that could be read became rows; those that could not are refused where they stand.
    for name in FIELDS:
        if name == "headerLines":
            continue
        values = page.locator(f"main [name='{name}']").evaluate_all("all => all.map((each) => each.value)")
        expected = typed[name] if name in ("name", "username") else typed[name].strip()
        assert any(value in (typed[name], expected) for value in values), f"{name}: {values}"
    assert page.locator("main script:not([src]), main style, main meta, main img:not([src^='/static/'])").count() == 0


@pytest.mark.parametrize("case", ALL, ids=str)
def test_what_was_saved_is_shown_as_text(case: Case, site: Site, stay: Visit) -> None:
    page = stay("tea")
    page.goto(NEW)
    field(page, "owner").select_option(str(TEA))
    field(page, "targetUrl").fill(f"{site.receiver_url}/text")
    field(page, "headerName").fill("X-Text")
    name = put(page, "name", case.input)
    value = put(page, "headerValue", case.input)
    condition = put(page, "conditionValue", case.input)
    field(page, "conditionField").fill("data.orderNumber")
    before = {one["id"] for one in site.api.get("/api/v1/webhooks")["items"]}
    with page.expect_navigation():
        press(page, "Create webhook")
    made = [one for one in site.api.get("/api/v1/webhooks")["items"] if one["id"] not in before]
    if "\x00" in case.input:
        assert not made
        expect(page.locator("main")).to_contain_text("NUL characters are not allowed")
        return
    if not made:
        expect(page.locator("[role=alert]").first).to_be_visible()
        assert field(page, "name").input_value() == name
        assert field(page, "headerValue").input_value() == value
        assert field(page, "conditionValue").input_value() == condition
        return
    [webhook] = made
    assert webhook["name"] == name.strip()
    for place in (f"/administration/webhooks/{webhook['id']}", "/administration/webhooks?search=&sort=-name"):
        page.goto(place)
        shown = page.locator("main").evaluate("each => each.textContent")
        assert webhook["name"] in shown, place
        assert page.locator("main script:not([src]), main style, main meta, main img").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{place} is too wide"
    page.goto(f"/administration/webhooks/{webhook['id']}/edit")
    assert field(page, "name").input_value() == webhook["name"]
    assert field(page, "headerValue").input_value() == webhook["headers"][0]["value"] == value.strip()
    assert field(page, "conditionValue").input_value() == condition.strip()
