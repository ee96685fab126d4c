"""What people do on the pages, step by step, as the tests and the pictures need it."""

from collections.abc import Sequence

from playwright.sync_api import Locator, Page, expect

from tests.support.site import PASSWORD, Site

NEW = "/administration/webhooks/new"


def sign_in(page: Page, site: Site, who: str) -> None:
    """By the form, with e-mail and password."""
    page.goto("/sign-in")
    page.locator("main input[name=email]").fill(site.people[who].email)
    page.locator("main input[name=password]").fill(PASSWORD)
    press(page, "Sign in")
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()


def field(page: Page, name: str, index: int = 0) -> Locator:
    return page.locator(f"main [name='{name}']").nth(index)


def press(page: Page, name: str) -> None:
    page.locator("main").get_by_role("button", name=name, exact=True).first.click()


def create_webhook(
    page: Page,
    site: Site,
    name: str,
    event_type: str,
    *,
    kind: str = "regular",
    owner: int | None = None,
    owners: Sequence[int] = (),
    path: str = "/erp/orders",
    basic: tuple[str, str] | None = None,
    header: tuple[str, str] | None = None,
    transporters: str = "",
) -> int:
    """By the form, from the list of types; the new webhook's number."""
    fill_in_webhook(
        page, site, name, event_type, kind=kind, owner=owner, owners=owners, path=path, basic=basic, header=header,
        transporters=transporters,
    )  # fmt: skip
    press(page, "Create webhook")
    expect(page.locator("main")).to_contain_text("whsec_")
    return webhook_id_of(site, name)


def fill_in_webhook(
    page: Page,
    site: Site,
    name: str,
    event_type: str,
    *,
    kind: str = "regular",
    owner: int | None = None,
    owners: Sequence[int] = (),
    path: str = "/erp/orders",
    basic: tuple[str, str] | None = None,
    header: tuple[str, str] | None = None,
    transporters: str = "",
) -> None:
    page.goto("/administration/webhooks")
    page.locator(f"main a[href*='new?kind={kind}']").first.click()
    page.locator(f"main a[href*='eventType={event_type}']").first.click()
    field(page, "name").fill(name)
    if owner is not None:
        field(page, "owner").select_option(str(owner))
    for each in owners:
        page.locator(f"main [name=owner][value='{each}']").check()
    field(page, "targetUrl").fill(f"{site.receiver_url}{path}")
    if basic is not None:
        field(page, "authentication").select_option("basic")
        field(page, "username").fill(basic[0])
        field(page, "password").fill(basic[1])
    if header is not None:
        field(page, "headerName").fill(header[0])
        field(page, "headerValue").fill(header[1])
    if transporters:
        field(page, "transporters").fill(transporters)
    field(page, "retryPolicy").select_option("one-day")


def webhook_id_of(site: Site, name: str) -> int:
    [found] = [one for one in site.api.get("/api/v1/webhooks")["items"] if one["name"] == name]
    return int(found["id"])


def pick(page: Page, site: Site, order: int) -> None:
    """On the order's page in the warehouse."""
    page.goto(f"/warehouse/orders/{order}")
    press(page, "Allocate")
    press(page, "Pick")
    expect(page.locator("main")).to_contain_text("400 Picked")
