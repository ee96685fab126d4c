"""Why an event was never accepted: kept for who looks for it, bounded, and shown to nobody it does not concern."""

import asyncio

import pytest

from dockbell.actions import refusals
from dockbell.actions.retention import Retention, erase
from dockbell.clock import DAY, HOUR, SECOND
from dockbell.domain.ids import first_id_at
from dockbell.domain.permissions import SYSTEM, Actor
from dockbell.errors import InvalidInput, Problem, StorageFull, TooMuch, Unavailable
from dockbell.store import refusals as stored
from dockbell.testing.clock import ManualClock
from tests.support.asgi import Api
from tests.support.parts import a_server, an_event
from tests.support.rows import FJORD, NOW, TEA, put_goods_owners, read, rows_of, write


async def listed(server, api=None, **query):
    """The list as it stands once all that was noted is written."""
    await server.parts.refusals._write()
    asked = "&".join(f"{name}={value}" for name, value in query.items())
    reply = await (api or server.admin).get(f"/api/v1/refusals?{asked}" if asked else "/api/v1/refusals")
    assert reply.status == 200, reply.document
    return reply.document["items"]


async def test_a_refused_event_is_found_by_its_object_with_all_that_was_wrong(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        picked = {"type": "order.picked", "goodsOwnerId": TEA, "id": "erp-1", "data": {"orderNumber": "SO-1001"}}
        reply = await server.admin.post("/api/v1/events", picked)
        assert reply.status == 422
        [found] = await listed(server, object="SO-1001")
        assert (found["type"], found["number"], found["goodsOwnerId"]) == ("order.picked", "SO-1001", TEA)
        assert (found["publisherId"], found["by"], found["status"], found["more"]) == ("erp-1", "for a test", 422, 0)
        assert found["code"] == reply.code
        for problem in reply.document["problems"]:
            assert f"{problem['field']}: {problem['message']} [{problem['code']}]" in found["detail"].split("\n")
        assert await listed(server, object="SO-1002") == []
        assert await listed(server, object="order%20SO-1001") == [found], "its id is not there: the number is enough"
        assert await listed(server, object="order%20SO-1002") == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "order.pickt", "data": {"orderId": 50163, "orderNumber": "12345"}},
        {"type": "order.pickt", "data": {"orderNumber": 12345}},
        {"type": "order.picked", "data": {"orderNumber": 12345}},
        {"type": "order.picked", "number": 12345, "data": {}},
        {"type": "no.such", "key": "order/50163", "number": 12345, "data": {}},
        {"type": "no.such", "number": "12345", "data": {}},
    ],
)
async def test_it_is_found_by_the_words_that_find_the_event_whatever_is_wrong_with_it(tmp_path, database, wrong):
    """A misspelt type, a number in place of text, no id: what is wrong must not hide the event from who looks for it."""
    async with a_server(database, tmp_path) as server:
        assert (await server.admin.post("/api/v1/events", {"goodsOwnerId": TEA, **wrong})).status == 422
        for words in ("order%2012345", "12345"):
            assert [each["number"] for each in await listed(server, object=words)] == ["12345"], words
        assert await listed(server, object="order%2012346") == []


@pytest.mark.parametrize(
    ("body", "content_type", "code"),
    [
        (b'{"type": "order.picked", ', "application/json", "body_json"),
        (b"{}", "text/plain", "content_type"),
        (b'{"type": "order.pickt", "goodsOwnerId": 114, "data": {}}', "application/json", "event_type"),
        (b'{"type": "test.anything", "goodsOwnerId": 999, "data": {}}', "application/json", "goods_owner"),
        (b'{"type": "test.anything", "goodsOwnerId": 114, "data": {"a": "\\u0000"}}', "application/json", None),
        (b'{"type": "test.any\\u0000", "id": "\\ud800", "key": 7, "goodsOwnerId": -5}', "application/json", None),
        (b'{"type": "order.picked", "goodsOwnerId": 1e99, "data": []}', "application/json", None),
        (b"[]", "application/json", None),
        (b"\xff\xfe{}", "application/json", None),
    ],
)
async def test_whatever_is_wrong_is_kept_as_the_publisher_was_told(tmp_path, database, body, content_type, code):
    async with a_server(database, tmp_path) as server:
        reply = await server.admin.ask("POST", "/api/v1/events", body, content_type=content_type)
        assert 400 <= reply.status < 500
        [found] = await listed(server)
        assert (found["status"], found["code"]) == (reply.status, reply.code)
        assert code in (None, found["code"])


async def test_what_was_sent_neither_makes_lines_of_its_own_nor_turns_the_words_around(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        odd = {"type": "a\u202eb", "goodsOwnerId": TEA, "data": {}, "number": "1\n2", "x\nAll is well.\u202e": 1}
        reply = await server.admin.post("/api/v1/events", odd)
        assert reply.status == 422
        [found] = await listed(server)
        assert (found["type"], found["number"]) == ("a\ufffdb", "1\ufffd2")
        assert len(found["detail"].split("\n")) == len(reply.document["problems"])
        assert all(line.isprintable() for line in found["detail"].split("\n"))


async def test_a_key_that_may_not_publish_is_found_too(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        assert (await server.as_key(["read"]).post("/api/v1/events", an_event())).status == 403
        [found] = await listed(server)
        assert found["code"] == "not_allowed"


async def test_a_publisher_whose_key_ended_is_found_and_told_no_more_than_others(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        now = server.parts.clock.now()
        expired = Api(server.app, server.make_key(["publish"], None, expires_at=now - SECOND))
        held = server.make_key(["publish"], None)
        revoked = Api(server.app, held)
        await revoked.post("/api/v1/events", an_event())
        await server.admin.delete(f"/api/v1/apiKeys/{held.split('_')[1]}")
        unknown = Api(server.app, held[:-1] + ("a" if held[-1] != "a" else "b"))
        answers = [(await key.post("/api/v1/events", an_event())).document for key in (expired, revoked, unknown)]
        assert answers[0] == answers[1] == answers[2]
        assert answers[0]["status"] == 401
        of_revoked, of_expired = await listed(server)
        assert of_revoked["detail"].startswith("The key was revoked at ")
        assert of_expired["detail"].startswith("The key expired at ")
        assert {of_revoked["code"], of_expired["code"]} == {"not_signed_in"}


async def test_of_an_array_only_what_was_refused_is_kept(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        events = [an_event(number="good"), an_event(type="no.such", number="bad"), an_event(number="good too")]
        assert (await server.admin.post("/api/v1/events", events)).document["refused"] == 1
        [found] = await listed(server)
        assert (found["number"], found["code"]) == ("bad", "event_type")


async def test_large_events_of_an_array_are_noted_one_at_a_time(tmp_path, database, monkeypatch):
    """Each is read once more for what it says of itself: sixteen at once would hold up everybody for half a second."""
    async with a_server(database, tmp_path) as server:
        happened: list[str] = []
        noted = server.parts.refusals.note

        def note(actor, refused, raw):
            if not happened:
                asyncio.get_running_loop().call_soon(others)
            happened.append("noted")
            noted(actor, refused, raw)

        def others():
            happened.append("others")
            if happened.count("noted") < 4:
                asyncio.get_running_loop().call_soon(others)

        monkeypatch.setattr(server.parts.refusals, "note", note)
        large = [an_event(type="no.such", data={"a": "x" * 100_000}) for _ in range(4)]
        assert (await server.admin.post("/api/v1/events", large)).document["refused"] == 4
        assert happened == ["noted", "others"] * 4


async def test_an_id_that_is_used_for_another_event_is_found(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        await server.publish(id="erp-1")
        assert (await server.admin.post("/api/v1/events", an_event(id="erp-1", data={"a": 2}))).status == 409
        [found] = await listed(server)
        assert (found["code"], found["publisherId"]) == ("event_id_reused", "erp-1")


async def test_what_was_accepted_is_no_refusal(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        await server.publish()
        await server.admin.post("/api/v1/events", [an_event(), an_event()])
        assert await listed(server) == []


async def test_who_is_refused_without_end_costs_no_more_than_twenty_rows(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        many = [an_event(type="no.such", number=str(each)) for each in range(1_000)]
        assert (await server.admin.post("/api/v1/events", many)).document["refused"] == 1_000
        found = await listed(server)
        assert [each["number"] for each in found] == [str(each) for each in range(19, -1, -1)]
        assert [each["more"] for each in found] == [980] + [0] * 19


async def test_one_event_that_is_sent_again_and_again_does_not_push_out_what_else_was_refused(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        for number in ("12345", "12346"):
            await server.admin.post("/api/v1/events", an_event(type="no.such", number=number))
        for _ in range(4):
            await server.admin.post("/api/v1/events", [an_event(type="no.such", number="stuck")] * 20)
            await listed(server)
        await server.admin.post("/api/v1/events", an_event(type="nor.such", number="stuck"))
        found = await listed(server)
        assert [(each["type"], each["number"]) for each in found] == [
            ("nor.such", "stuck"), ("no.such", "stuck"), ("no.such", "12346"), ("no.such", "12345"),
        ]  # fmt: skip
        assert found[1]["id"] > found[2]["id"], "the newest of it is told"


async def test_of_each_key_the_newest_fifty_are_kept_and_none_for_more_than_a_week(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        other = server.as_key(["publish"])
        await other.post("/api/v1/events", an_event(type="no.such", number="other"))
        for round_no in range(4):
            events = [an_event(type="no.such", number=f"{round_no}-{each}") for each in range(20)]
            await server.admin.post("/api/v1/events", events)
            await listed(server)
        found = await listed(server, limit=100)
        assert len(found) == 51
        assert found[0]["number"] == "3-19"
        assert found[-1]["number"] == "other"
        ids = [each["id"] for each in found]
        first, second = ids[:30], ids[30:]
        page = (await server.admin.get("/api/v1/refusals?limit=30")).document
        assert [each["id"] for each in page["items"]] == first
        page = (await server.admin.get(f"/api/v1/refusals?limit=30&cursor={page['nextCursor']}")).document
        assert [each["id"] for each in page["items"]] == second
        now = server.parts.clock.now()
        later = read(database, lambda tx: refusals.page(tx, SYSTEM, now=now + 8 * DAY))
        assert later == []


def a_refusal(refusal_id, **fields):
    nothing = dict.fromkeys(("goods_owners", "goods_owner_id", "event_type", "publisher_id", "object_key"))
    row = {"actor": "key-1", "actor_label": "ERP", "object_number": "1", "status": 422, "code": "type", "detail": ""}
    return stored.RefusalRow(id=refusal_id, **{**nothing, **row, **fields})


def test_what_is_older_than_a_week_goes_when_others_come(database):
    old, new = first_id_at(NOW - 8 * DAY), first_id_at(NOW)
    write(database, lambda tx: stored.insert(tx, [a_refusal(old)], kept=50, oldest_id=0))
    write(database, lambda tx: stored.insert(tx, [a_refusal(new)], kept=50, oldest_id=first_id_at(NOW - 7 * DAY)))
    assert [row["id"] for row in rows_of(database, "SELECT id FROM refusals")] == [new]


@pytest.mark.parametrize(
    ("days", "payload_days", "kept_days"), [(30, None, 7), (0, None, 7), (30, 2, 2), (0, 2, 2), (3, 5, 3), (60, 30, 7)]
)
async def test_they_go_with_payloads_and_after_a_week_also_when_nobody_is_refused_any_more(
    database, days, payload_days, kept_days
):
    old, new = first_id_at(NOW - kept_days * DAY) - 1, first_id_at(NOW - kept_days * DAY)
    write(database, lambda tx: stored.insert(tx, [a_refusal(old), a_refusal(new)], kept=50, oldest_id=0))
    await Retention(database, ManualClock(NOW), days=days, payload_days=payload_days).once()
    assert [row["id"] for row in rows_of(database, "SELECT id FROM refusals")] == [new]


async def test_a_goods_owner_sees_what_its_own_keys_were_refused_and_nothing_else(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        bad = an_event(type="no.such")
        for owners in (None, [TEA], [FJORD], [TEA, FJORD]):
            key = server.as_key(["publish"], owners)
            await key.post("/api/v1/events", {**bad, "goodsOwnerId": TEA, "number": f"of {owners}"})
        assert [each["number"] for each in await listed(server, server.as_key(["read"], [TEA]))] == [f"of [{TEA}]"]
        assert [each["number"] for each in await listed(server, server.as_key(["read"], [FJORD]))] == [f"of [{FJORD}]"]
        assert len(await listed(server, server.as_key(["read"], [TEA, FJORD]))) == 3
        assert len(await listed(server)) == 4


async def test_a_store_that_is_away_is_no_fault_of_an_event_and_a_limit_is_told(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        kept = server.parts.refusals
        kept.note(SYSTEM, Unavailable("away"), b"{}")
        kept.note(SYSTEM, StorageFull("full"), b"{}")
        kept.note(SYSTEM, TooMuch("too fast", retry_after_s=1, code="rate_limit"), b"{}")
        assert [each["code"] for each in await listed(server)] == ["rate_limit"]


async def test_what_cannot_be_written_is_said_in_the_log_and_keeps_nothing_else_from_being(
    tmp_path, database, monkeypatch
):
    async with a_server(database, tmp_path) as server:
        kept = server.parts.refusals

        async def away(work):
            raise Unavailable("The store is away.")

        with monkeypatch.context() as patched:
            patched.setattr(database, "write", away)
            kept.note(SYSTEM, InvalidInput([Problem("a", "type", "lost")]), b"{}")
            await kept._write()
        kept.note(SYSTEM, InvalidInput([Problem("a", "type", "kept")]), b"{}")
        assert [each["detail"] for each in await listed(server)] == ["a: kept [type]"]


async def test_it_is_written_a_second_later_and_at_the_end(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        clock = ManualClock(server.parts.clock.now())
        kept = refusals.Refusals(database, server.parts.index, clock, server.parts.publisher.new_id)
        refused = InvalidInput([Problem("a", "type", "wrong")])
        kept.note(SYSTEM, refused, b"{}")
        task = kept._writing
        assert task is not None
        while not clock.sleepers():
            await server.admin.get("/api/v1/health")
        clock.advance(999_000)
        assert not task.done()
        clock.advance(1_000)
        await task
        assert len(await listed(server)) == 1
        kept.note(SYSTEM, InvalidInput([Problem("a", "type", "wrong again")]), b"{}")
        await kept.end()
        assert len(await listed(server)) == 2


@pytest.mark.parametrize(
    ("owner", "about", "left"), [(TEA, None, ["fjord"]), (None, "order/1", []), (TEA, "order/1", ["fjord"])]
)
async def test_an_erasure_takes_them_along_since_their_words_may_quote_what_was_sent(database, owner, about, left):
    put_goods_owners(database)
    rows = [
        a_refusal(first_id_at(NOW) + place, goods_owner_id=goods_owner, object_number=number)
        for place, (goods_owner, number) in enumerate([(TEA, "tea"), (FJORD, "fjord"), (None, "nobody's")])
    ]
    write(database, lambda tx: stored.insert(tx, rows, kept=50, oldest_id=0))
    admin = Actor("user/1", "Admin", frozenset({"admin"}), None, "user")
    await erase(database, admin, ManualClock(NOW), goods_owner_id=owner, about=about)
    assert [row["object_number"] for row in rows_of(database, "SELECT object_number FROM refusals")] == left


async def test_an_erasure_takes_along_what_is_not_written_yet_and_nothing_that_comes_after_it(tmp_path, database):
    """The erasure may be another program's, so what it erased must not be written by the node a second later."""
    async with a_server(database, tmp_path) as server:
        clock = ManualClock(server.parts.clock.now())
        kept = refusals.Refusals(database, server.parts.index, clock, server.parts.publisher.new_id)
        kept.note(SYSTEM, InvalidInput([Problem("a", "type", "before")]), b"{}")
        clock.advance(100_000)
        admin = Actor("user/1", "Admin", frozenset({"admin"}), None, "user")
        await erase(database, admin, clock, goods_owner_id=None, about="order/1")
        clock.advance(100_000)
        kept.note(SYSTEM, InvalidInput([Problem("a", "type", "after")]), b"{}")
        await kept.end()
        assert [each["detail"] for each in await listed(server)] == ["a: after [type]"]
        clock.jump(HOUR)
        await erase(database, admin, clock, goods_owner_id=None, about="order/1")
        clock.jump(-HOUR)
        kept.note(SYSTEM, InvalidInput([Problem("a", "type", "by a clock that was set back")]), b"{}")
        await kept.end()
        assert len(await listed(server)) == 1
