"""Many deliveries at once: counted rightly, each met once, never another's, and gone on with after a stop."""

import asyncio
import json
import re
from functools import partial
from typing import Any

import pytest

from dockbell.actions import bulk
from dockbell.actions import deliveries as log
from dockbell.clock import HOUR
from dockbell.domain.delivery import Answered
from dockbell.domain.permissions import Actor
from dockbell.errors import InvalidInput, NotAllowed, NotFound
from dockbell.testing.clock import ManualClock
from tests.support.browser_like import Browser, a_browser
from tests.support.node import a_node
from tests.support.parts import a_server
from tests.support.rows import FJORD, NOW, TEA, put_deliveries, put_goods_owners, put_webhook, read, rows_of, write

LOG = "/administration/deliveries"
ADMIN = Actor("user/1", "Admin", frozenset({"admin"}), None, "user")
OF_TEA = Actor("user/2", "Tea", frozenset({"read", "manage"}), frozenset({TEA}), "user")
OF_FJORD = Actor("user/3", "Fjord", frozenset({"read", "manage"}), frozenset({FJORD}), "user")


async def until(holds):
    """Asks again and again, since what is waited for is known to the database alone."""
    for _ in range(1000):
        if await holds():
            return
        await asyncio.sleep(0.01)  # noqa: TID251 - there is no event to wait for
    raise AssertionError("it never comes to that")


async def finished(browser):
    await browser.get(browser.where)
    return "Finished" in browser.words


def by_status(database):
    rows = rows_of(database, "SELECT status, count(*) AS n FROM deliveries GROUP BY status")
    return {row["status"]: row["n"] for row in rows}


@pytest.fixture
def store(database):
    put_goods_owners(database)
    put_webhook(database, 1)
    put_webhook(database, 2)
    put_deliveries(database, 1, range(1, 26))
    put_deliveries(database, 2, range(1, 6))
    return database


def test_a_run_goes_on_where_it_stopped_and_meets_each_delivery_once(store, open_again):
    run = write(store, lambda tx: bulk.begin(tx, ADMIN, "cancel", now=NOW, webhook_id=1))
    assert write(store, lambda tx: bulk.next_batch(tx, run["id"], now=NOW, batch=10))
    assert by_status(store) == {"cancelled": 10, "pending": 20}
    again = open_again()
    while write(again, lambda tx: bulk.next_batch(tx, run["id"], now=NOW, batch=10)):
        pass
    assert by_status(store) == {"cancelled": 25, "pending": 5}
    ended = read(store, lambda tx: bulk.get(tx, ADMIN, run["id"]))
    assert (ended["state"], ended["changed"], ended["leftOut"]) == ("done", 25, 0)
    resent = write(store, lambda tx: bulk.begin(tx, ADMIN, "resend", now=NOW, status="cancelled"))
    while write(store, lambda tx: bulk.next_batch(tx, resent["id"], now=NOW, batch=10)):
        pass
    assert by_status(store) == {"pending": 30}


@pytest.mark.parametrize("about", ["order/{0}", "order {0}", "{0}"])
def test_a_run_finds_the_deliveries_of_an_object(store, about):
    write(store, lambda tx: tx.run("UPDATE events SET object_key = 'order/' || id, object_number = CAST(id AS TEXT)"))
    [row] = rows_of(store, "SELECT max(event_id) AS id FROM deliveries WHERE webhook_id = 1")
    text = about.format(row["id"])
    run = write(store, lambda tx: bulk.begin(tx, ADMIN, "cancel", now=NOW, about=text))
    assert not write(store, lambda tx: bulk.next_batch(tx, run["id"], now=NOW))
    assert by_status(store) == {"cancelled": 1, "pending": 29}


@pytest.mark.parametrize("about", ["", " "])
def test_an_object_that_says_nothing_means_no_delivery_and_not_every_one(store, about):
    """A script whose variable is empty means one object, and would send everything again."""
    for do in ("resend", "cancel"):
        with pytest.raises(InvalidInput):
            write(store, lambda tx, do=do: bulk.begin(tx, ADMIN, do, now=NOW, about=about))
    with pytest.raises(InvalidInput):
        read(store, lambda tx: log.page(tx, ADMIN, about=about))


def test_a_run_never_touches_another_goods_owners_deliveries(store):
    run = write(store, lambda tx: bulk.begin(tx, OF_FJORD, "cancel", now=NOW))
    assert not write(store, lambda tx: bulk.next_batch(tx, run["id"], now=NOW))
    assert by_status(store) == {"pending": 30}
    with pytest.raises(NotFound):
        write(store, lambda tx: bulk.begin(tx, OF_FJORD, "cancel", now=NOW, ticked=["1-1"]))
    with pytest.raises(NotFound):
        read(store, lambda tx: bulk.get(tx, OF_TEA, run["id"]))


def test_ticked_deliveries_alone_are_meant(store):
    run = write(store, lambda tx: bulk.begin(tx, OF_TEA, "cancel", now=NOW, ticked=["1-1", "3-2", "1-1"]))
    assert not write(store, lambda tx: bulk.next_batch(tx, run["id"], now=NOW))
    assert by_status(store) == {"cancelled": 2, "pending": 28}
    [row] = rows_of(store, "SELECT action, after FROM audit WHERE action = 'deliveries.cancelled'")
    assert '"count": 2' in row["after"]


async def test_the_page_says_that_tests_are_left_out_of_all_that_fit(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        await server.make_webhook(eventType="test.anything")
        event = await server.publish()
        browser = a_browser(server.app, server.parts)
        await browser.get(LOG)
        await browser.submit(f"{LOG}/selected", {"which": "all", "do": "resend"})
        assert "So are tests." in browser.words
        await browser.get(LOG)
        await browser.submit(f"{LOG}/selected", {"delivery": f"{event['eventId']}-1", "do": "resend"})
        assert "Deliveries under way are left out." in browser.words
        assert "So are tests." not in browser.words


def test_tests_are_sent_again_only_where_they_are_ticked(store):
    write(store, lambda tx: tx.run("UPDATE events SET test_of = 1 WHERE id = 3"))
    write(store, lambda tx: tx.run("UPDATE deliveries SET status = 'delivered', ended_at = 1, last_code = 'delivered'"))
    assert read(store, lambda tx: log.count(tx, ADMIN, run="resend")) == 28
    run = write(store, lambda tx: bulk.begin(tx, ADMIN, "resend", now=NOW))
    assert not write(store, lambda tx: bulk.next_batch(tx, run["id"], now=NOW))
    assert by_status(store) == {"pending": 28, "delivered": 2}
    ticked = write(store, lambda tx: bulk.begin(tx, ADMIN, "resend", now=NOW, ticked=["3-1"]))
    assert not write(store, lambda tx: bulk.next_batch(tx, ticked["id"], now=NOW))
    assert by_status(store) == {"pending": 29, "delivered": 1}


def test_what_cannot_be_cancelled_any_more_is_not_counted(store):
    write(store, lambda tx: tx.run("UPDATE deliveries SET status = 'delivered', ended_at = 1 WHERE webhook_id = 1"))
    assert read(store, lambda tx: log.count(tx, ADMIN, run="cancel")) == 5
    run = write(store, lambda tx: bulk.begin(tx, ADMIN, "cancel", now=NOW))
    assert not write(store, lambda tx: bulk.next_batch(tx, run["id"], now=NOW))
    ended = read(store, lambda tx: bulk.get(tx, ADMIN, run["id"]))
    assert (ended["changed"], ended["leftOut"]) == (5, 0)


def test_counts_are_exact_up_to_the_limit(store):
    assert read(store, lambda tx: log.count(tx, ADMIN)) == 30
    assert read(store, lambda tx: log.count(tx, ADMIN, webhook_id=2)) == 5
    assert read(store, lambda tx: log.count(tx, OF_FJORD)) == 0
    assert read(store, lambda tx: log.count(tx, ADMIN, most=30)) == 30
    assert read(store, lambda tx: log.count(tx, ADMIN, most=20)) == 21


async def test_the_page_says_how_many_and_then_how_far(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        await server.make_webhook(eventType="test.anything")
        for _ in range(3):
            await server.publish()
        browser = a_browser(server.app, server.parts)
        await browser.get(LOG)
        await browser.submit(f"{LOG}/selected", {"which": "all", "do": "cancel", "status": "pending"})
        assert "This concerns 3 deliveries." in browser.words
        assert by_status(database) == {"pending": 3}
        await browser.submit(f"{LOG}/bulk", confirmed(browser))
        assert re.search(r"/bulk/[0-9a-f]{16}$", browser.where)
        await until(lambda: finished(browser))
        assert "Finished: 3 done, 0 left out." in browser.words


def confirmed(browser: Browser) -> list[tuple[str, str]]:
    """The fields of the form that says how many deliveries it would be."""
    form = browser.text.partition(f'action="{LOG}/bulk"')[2].partition("</form>")[0]
    return re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form)


async def test_a_form_that_is_sent_five_times_begins_one_run(tmp_path, database):
    """Whoever is impatient with the button must not have every receiver get everything five times."""
    async with a_server(database, tmp_path) as server:
        await server.make_webhook(eventType="test.anything")
        for _ in range(3):
            await server.publish()
        browser = a_browser(server.app, server.parts)
        await browser.get(LOG)
        await browser.submit(f"{LOG}/selected", {"which": "all", "do": "cancel", "status": "pending"})
        fields, held = confirmed(browser), browser.cookies["dockbell"]
        forms = [Browser(server.app, held).submit(f"{LOG}/bulk", fields, follow=False) for _ in range(5)]
        replies = await asyncio.gather(*forms)
        assert [reply.status for reply in replies] == [303] * 5
        assert len({reply.headers["location"] for reply in replies}) == 1
        await browser.get(replies[0].headers["location"])
        await until(lambda: finished(browser))
        assert "Finished: 3 done, 0 left out." in browser.words
        assert len(rows_of(database, "SELECT id FROM bulk_runs")) == 1
        begun = rows_of(database, "SELECT id FROM audit WHERE action = 'deliveries.cancelled'")
        assert len(begun) == 1


async def test_a_form_begins_nothing_but_what_it_was_shown_for(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        await server.make_webhook(eventType="test.anything")
        await server.publish()
        browser = a_browser(server.app, server.parts)
        await browser.get(LOG)
        await browser.submit(f"{LOG}/selected", {"which": "all", "do": "cancel"})
        fields = confirmed(browser)
        await browser.submit(f"{LOG}/bulk", fields)
        other = [("do", "resend") if name == "do" else (name, value) for name, value in fields]
        assert (await browser.submit(f"{LOG}/bulk", other)).status == 409
        another = a_browser(server.app, server.parts)
        await another.get(LOG)
        mine = [(name, another.csrf if name == "csrf" else value) for name, value in fields]
        assert (await another.submit(f"{LOG}/bulk", mine)).status == 409
        for number in ("", "x", "0" * 17):
            none = [("run", number) if name == "run" else (name, value) for name, value in fields]
            assert (await browser.submit(f"{LOG}/bulk", none)).status == 422
        assert (await browser.submit(f"{LOG}/selected", {"which": "all", "do": "burn"})).status == 422
        assert len(rows_of(database, "SELECT id FROM bulk_runs")) == 1


def test_a_run_is_done_by_one_holder_until_its_lease_ends_and_says_at_the_end_how_many(store, open_again):
    run = write(store, lambda tx: bulk.begin(tx, OF_TEA, "cancel", now=NOW))
    first = partial(bulk.next_batch, number=run["id"], holder="first", batch=10)
    other = partial(bulk.next_batch, number=run["id"], holder="other", batch=10)
    again = open_again()
    assert read(again, lambda tx: bulk.abandoned(tx, now=NOW + bulk.LEASE - 1)) == []
    assert write(store, lambda tx: first(tx, now=NOW))
    assert not write(again, lambda tx: other(tx, now=NOW + bulk.LEASE - 1))
    assert by_status(store) == {"cancelled": 10, "pending": 20}
    assert read(again, lambda tx: bulk.abandoned(tx, now=NOW + bulk.LEASE - 1)) == []
    later = NOW + bulk.LEASE
    assert read(again, lambda tx: bulk.abandoned(tx, now=later)) == [run["id"]]
    assert write(again, lambda tx: other(tx, now=later))
    assert not write(store, lambda tx: first(tx, now=later))
    while write(again, lambda tx: other(tx, now=later)):
        pass
    assert by_status(store) == {"cancelled": 30}
    assert read(store, lambda tx: bulk.abandoned(tx, now=later + 2 * bulk.LEASE)) == []
    [row] = rows_of(store, "SELECT * FROM audit WHERE action = 'deliveries.cancelled.ended'")
    assert json.loads(row["after"]) == {"changed": 30, "leftOut": 0}
    assert (row["actor"], row["goods_owners"]) == (OF_TEA.id, f",{TEA},")


def test_the_operators_deliveries_are_left_out_and_cannot_be_ticked(store):
    put_webhook(store, 3, kind="automation", goods_owners=(TEA,))
    put_webhook(store, 4, goods_owners=(TEA, FJORD))
    put_webhook(store, 5, kind="automation", goods_owners=None)
    for webhook in (3, 4, 5):
        put_deliveries(store, webhook, range(1, 5))
    assert read(store, lambda tx: log.count(tx, OF_TEA)) == 42
    assert read(store, lambda tx: log.count(tx, OF_TEA, run="resend")) == 30
    for webhook in (3, 4, 5):
        for chosen in ({"ticked": ["1-1", f"2-{webhook}"]}, {"webhook_id": webhook}):
            with pytest.raises(NotAllowed) as refused:
                write(store, lambda tx, chosen=chosen: bulk.begin(tx, OF_TEA, "cancel", now=NOW, **chosen))
            assert "administrator" in refused.value.hint
    run = write(store, lambda tx: bulk.begin(tx, OF_TEA, "cancel", now=NOW))
    while write(store, lambda tx: bulk.next_batch(tx, run["id"], now=NOW, batch=7)):
        pass
    assert by_status(store) == {"cancelled": 30, "pending": 12}
    left = {row["webhook_id"] for row in rows_of(store, "SELECT webhook_id FROM deliveries WHERE status = 'pending'")}
    assert left == {3, 4, 5}
    run = write(store, lambda tx: bulk.begin(tx, ADMIN, "cancel", now=NOW))
    assert not write(store, lambda tx: bulk.next_batch(tx, run["id"], now=NOW))
    assert by_status(store) == {"cancelled": 42}


async def test_a_run_reaches_what_was_accepted_after_the_clock_was_set_back(tmp_path, database):
    clock = ManualClock()
    async with a_node(database, tmp_path, clock=clock, script=[Answered(500)]) as node:
        webhook = node.make_webhook(retryPolicy={"name": "none"}).webhook["id"]
        await node.publish()
        await node.rest()
        clock.jump(-HOUR)
        await node.publish()
        await node.rest()
        run = write(database, lambda tx: bulk.begin(tx, ADMIN, "resend", now=clock.now(), webhook_id=webhook))
        await node.publish()  # by its id still ahead of the clock, and no part of the run
        await node.rest()
        write(database, lambda tx: bulk.next_batch(tx, run["id"], now=clock.now()))
        assert read(database, lambda tx: bulk.get(tx, ADMIN, run["id"]))["changed"] == 2


async def test_a_worker_takes_up_a_run_that_its_node_left(tmp_path, database):
    async with a_node(database, tmp_path, script=[Answered(500)] * 3) as node:
        webhook = node.make_webhook().webhook["id"]
        for _ in range(3):
            await node.publish()
        await node.rest()
        run = write(database, lambda tx: bulk.begin(tx, ADMIN, "cancel", now=node.clock.now(), webhook_id=webhook))
        assert not (by_status(database)).get("cancelled")
        await node.advance(bulk.LEASE // 2)
        assert not (by_status(database)).get("cancelled"), "whoever began it may still be at it"
        await node.advance(bulk.LEASE)

        async def done() -> bool:
            found = await database.read(lambda tx: bulk.get(tx, ADMIN, run["id"]))
            return bool(found["state"] == "done")

        await until(done)
        assert by_status(database) == {"cancelled": 3}


async def ended(api, reply):
    assert reply.status == 202, reply.body
    assert reply.headers["location"] == f"/api/v1/bulkRuns/{reply.document['id']}"

    async def done() -> bool:
        run = await api.get(reply.headers["location"])
        assert run.status == 200
        return bool(run.document["state"] == "done")

    await until(done)
    return (await api.get(reply.headers["location"])).document


async def test_the_api_cancels_and_resends_what_fits_a_filter(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        first = await server.make_webhook(eventType="test.anything")
        second = await server.make_webhook(eventType="test.anything")
        for _ in range(5):
            await server.publish()
        tea = server.as_key(["read", "manage"], [TEA])
        where = "/api/v1/deliveries"
        run = await ended(tea, await tea.post(f"{where}/cancel", {"webhookId": first["id"], "status": "pending"}))
        assert (run["action"], run["changed"], run["leftOut"]) == ("cancel", 5, 0)
        assert by_status(database) == {"cancelled": 5, "pending": 5}
        run = await ended(
            tea, await tea.post(f"{where}/resend", {"eventType": "test.anything", "from": "2020-01-01T00:00:00Z"})
        )
        assert (run["changed"], run["leftOut"]) == (10, 0)
        assert by_status(database) == {"pending": 10}
        assert (await server.as_key(["read"], [TEA]).get(f"/api/v1/bulkRuns/{run['id']}")).status == 404
        assert (await server.admin.get(f"/api/v1/bulkRuns/{run['id']}")).status == 200
        for filters, code in (
            ({}, "filter_missing"),
            ({"status": "lost"}, "status"),
            ({"from": "yesterday"}, None),
            ({"from": "2020-01-02T00:00:00Z", "to": "2020-01-01T00:00:00Z"}, "moment_order"),
            ({"webhookId": str(second["id"])}, None),
            ({"code": "a" * 301}, None),
        ):
            for do in ("resend", "cancel"):
                reply = await tea.post(f"{where}/{do}", filters)
                assert (reply.status, reply.code) == (422, code or reply.code), filters
                assert not reply.document["detail"].startswith(":")
        operators = await server.make_webhook(kind="automation", goodsOwnerIds=None, eventType="test.anything")
        reply = await tea.post(f"{where}/cancel", {"webhookId": operators["id"]})
        assert (reply.status, reply.code) == (403, "not_allowed")
        assert by_status(database) == {"pending": 10}


async def test_more_than_a_batch_goes_through_the_page_to_its_end(tmp_path, database, monkeypatch):
    shown, work = asyncio.Event(), bulk._work

    async def work_once_it_was_shown(*given: Any) -> None:
        await shown.wait()
        await work(*given)

    monkeypatch.setattr(bulk, "_work", work_once_it_was_shown)
    async with a_server(database, tmp_path) as server:
        webhook = await server.make_webhook(eventType="test.anything")
        many = 2 * bulk.A_BATCH + 7
        put_deliveries(database, webhook["id"], range(1, many + 1))
        browser = a_browser(server.app, server.parts)
        await browser.get(LOG)
        await browser.submit(f"{LOG}/selected", {"which": "all", "do": "cancel", "status": "pending"})
        await browser.submit(f"{LOG}/bulk", confirmed(browser))
        assert "data-renew" in browser.text
        assert '<noscript><meta http-equiv="refresh"' in browser.text.partition("</head>")[0]
        shown.set()
        await until(lambda: finished(browser))
        assert f"Finished: {many} done, 0 left out." in browser.words
        assert "refresh" not in browser.text
        assert by_status(database) == {"cancelled": many}
