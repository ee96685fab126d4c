"""`POST /api/v1/events`: what is accepted, what is refused and how, and that nothing is accepted twice."""

import asyncio
import json
import random
import string

import pytest

from tests.support.asgi import Api
from tests.support.bad_inputs import Case, cases
from tests.support.parts import Server, a_server, an_event
from tests.support.rows import FJORD, TEA

EVENTS = "/api/v1/events"
AROUND = '{"type":"test.anything","goodsOwnerId":114,"data":%s}'


async def count_of(server: Server) -> int:
    row = await server.parts.database.read(lambda tx: tx.one("SELECT count(*) AS n FROM events"))
    assert row is not None
    return int(row["n"])


async def test_an_event_is_kept_when_202_is_answered(database, tmp_path):
    async with a_server(database, tmp_path) as server:
        await server.make_webhook(eventType="test.anything")
        reply = await server.admin.post(EVENTS, an_event())
        assert (reply.status, reply.document["deliveries"], reply.document["repeated"]) == (202, 1, False)
        assert (await server.admin.get(f"{EVENTS}/{reply.document['eventId']}")).status == 200
        [delivery] = (await server.admin.get("/api/v1/deliveries")).document["items"]
        assert delivery["status"] == "pending"


async def test_every_bad_body_gets_its_verdict(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        wrong = []
        for case in cases("event_body"):
            raw = case.input if isinstance(case.input, bytes) else case.input.encode()
            accepted = case.verdict == [202]
            if accepted:
                raw = wrapped(raw)
            headers = [("content-encoding", case.more["content_encoding"])] if "content_encoding" in case.more else []
            reply = await server.admin.post(EVENTS, raw, content_type=case.more["content_type"], headers=headers)
            if reply.status not in case.verdict or (not accepted and reply.code != case.code):
                wrong.append((case.id, reply.status, reply.body[:200]))
        assert not wrong


def wrapped(data: bytes) -> bytes:
    """A whole event around these data, or, for what is about a body's size, a whole event of that size."""
    whole = AROUND.encode() % data
    spare = len(whole) - 262_144
    return whole.replace(b"x" * spare, b"", 1) if spare > 0 else whole


async def test_the_largest_body_is_taken_and_one_byte_more_is_not(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        room = 262_144 - len(AROUND % '{"a":""}')
        for more, status in ((0, 202), (1, 413)):
            raw = (AROUND % ('{"a":"' + "x" * (room + more) + '"}')).encode()
            assert (await server.admin.post(EVENTS, raw)).status == status
            halves = [raw[:1000], raw[1000:]]
            chunked = [("transfer-encoding", "chunked")]
            reply = await server.admin.post(EVENTS, pieces=halves, headers=chunked)
            assert reply.status == status
            assert status == 202 or reply.code == "body_too_large"


async def test_a_body_too_large_is_refused_in_the_same_words_however_it_is_cut(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        body = b"{" + b"x" * 400_000
        cuts = [body, b""], [body[:300_000], body[300_000:]], [body[:100], body[100:200_000], body[200_000:]]
        chunked = [("transfer-encoding", "chunked")]
        replies = [await server.admin.post(EVENTS, pieces=pieces, headers=chunked) for pieces in cuts]
        assert {reply.document["detail"] for reply in replies} == {
            "The body is too large: at most 262,144 bytes are allowed."
        }


async def test_a_body_announced_as_too_large_is_refused_unread(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        headers = [("content-length", str(4 * 1024 * 1024 + 1))]
        reply = await server.admin.post(EVENTS, pieces=[b"[", b"]"], headers=headers)
        assert (reply.status, reply.code) == (413, "body_too_large")
        assert len(server.admin.unread) == 2


async def test_an_array_may_be_longer_than_one_event_but_has_an_end(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        one = (AROUND % ('{"a":"' + "x" * 200_000 + '"}')).encode()
        fits = b"[" + b",".join([one] * 20) + b"]"
        pieces = [fits[at : at + 65_536] for at in range(0, len(fits), 65_536)]
        chunked = [("transfer-encoding", "chunked")]
        assert (await server.admin.post(EVENTS, pieces=[b" ", *pieces], headers=chunked)).document["accepted"] == 20
        assert (await server.admin.post(EVENTS, pieces=[b" \n", *pieces, *pieces], headers=chunked)).status == 413
        # White space is no way around the limit of a single event.
        assert (await server.admin.post(EVENTS, pieces=[b" " * 300_000, one], headers=chunked)).status == 413


async def test_a_client_that_hangs_up_while_sending_leaves_nothing(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        raw = json.dumps(an_event()).encode()
        reply = await server.admin.post(EVENTS, pieces=[raw[:10], raw[10:]], hang_up=True)
        assert reply.status == 0
        assert await count_of(server) == 0


async def test_every_bad_field_gets_its_verdict(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        wrong = []
        for case in cases("event_field"):
            reply = await sent_field(server.admin, case)
            expected = [202] if case.is_accepted else case.more.get("statuses", [422])
            if case.more["field"] == "goods_owner" and case.input == -1:
                expected = [422, 404]
            if reply.status not in expected:
                wrong.append((case.id, reply.status, reply.body[:200]))
        assert not wrong


async def sent_field(api: Api, case: Case):
    field = case.more["field"]
    if field == "idempotency_key":
        return await api.post(EVENTS, an_event(), headers=[("idempotency-key", case.input)])
    event = an_event(**{{"type": "type", "id": "id", "goods_owner": "goodsOwnerId"}[field]: case.input})
    if field == "type" and case.is_accepted:
        event |= {"data": CATALOG_EXAMPLE}
    return await api.post(EVENTS, event)


CATALOG_EXAMPLE = {"orderId": 1, "orderNumber": "SO-1", "orderStatus": {"number": 400}}


async def test_every_bad_moment_gets_its_verdict(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        wrong = []
        for case in cases("date"):
            if isinstance(case.input, dict) or case.input is None:
                continue  # pairs belong to queries; null is as good as left out
            reply = await server.admin.post(EVENTS, an_event(occurredAt=case.input))
            if (reply.status == 202) != case.is_accepted or reply.status not in (202, 422):
                wrong.append((case.id, reply.status, reply.body[:200]))
        assert not wrong


async def test_what_an_object_is_found_by_fits_into_an_index(tmp_path, database):
    """Three thousand characters that do not compress made PostgreSQL refuse the commit, with everybody's events in it."""
    long = "".join(random.Random(1).choices(string.ascii_letters, k=3_000))
    async with a_server(database, tmp_path) as server:
        example = (await server.admin.get("/api/v1/eventTypes/order.picked")).document["example"]
        event = an_event(type="order.picked", data={**example, "orderNumber": long})
        reply = await server.admin.post("/api/v1/events", event)
        assert (reply.status, [(each["field"], each["code"]) for each in reply.document["problems"]]) == (
            422,
            [("data.orderNumber", "too_long")],
        )
        assert (await server.admin.post("/api/v1/events", {**event, "number": "short"})).status == 202
        event["data"]["orderNumber"] = long[:200]
        assert (await server.admin.post("/api/v1/events", event)).status == 202
        found = await server.admin.get(f"/api/v1/deliveries?object={long[:200]}")
        assert found.status == 200


async def test_an_event_repeated_with_the_same_bytes_answers_the_first_and_adds_nothing(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        first = await server.publish(id="a-1")
        again = await server.publish(id="a-1")
        assert again == {**first, "repeated": True}
        other = await server.admin.post(EVENTS, an_event(id="a-1", data={"a": 2}))
        assert (other.status, other.code) == (409, "event_id_reused")
        assert await count_of(server) == 1
        assert (await server.publish(id="a-1", goodsOwnerId=FJORD))["repeated"] is False


async def test_an_idempotency_key_does_the_same_for_an_event_without_an_id(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        key = [("idempotency-key", "k" * 255)]
        first = await server.admin.post(EVENTS, an_event(), headers=key)
        again = await server.admin.post(EVENTS, an_event(), headers=key)
        assert (first.status, again.document) == (202, {**first.document, "repeated": True})
        assert (await server.admin.post(EVENTS, an_event(data={"b": 1}), headers=key)).status == 409
        for bad in ([("idempotency-key", "a b")], [("idempotency-key", "")], [*key, ("idempotency-key", "x")]):
            refused = await server.admin.post(EVENTS, an_event(), headers=bad)
            assert (refused.status, refused.code) == (422, "idempotency_key")
        assert (await server.admin.post(EVENTS, [an_event()], headers=key)).code == "idempotency_key"


async def test_fifty_requests_at_once_with_one_id_make_one_event(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        await server.make_webhook(eventType="test.anything")
        replies = await asyncio.gather(*(server.admin.post(EVENTS, an_event(id="once")) for _ in range(50)))
        assert {reply.status for reply in replies} == {202}
        assert len({reply.document["eventId"] for reply in replies}) == 1
        assert sorted(reply.document["repeated"] for reply in replies) == [False] + [True] * 49
        assert await count_of(server) == 1
        assert len((await server.admin.get("/api/v1/deliveries")).document["items"]) == 1


async def test_each_event_of_an_array_is_judged_on_its_own(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        await server.publish(id="old", data={"was": "other"})
        reply = await server.admin.post(
            EVENTS,
            [
                an_event(id="one"),
                an_event(type="no.such"),
                an_event(id="one"),
                an_event(goodsOwnerId=999),
                an_event(id="old"),
                an_event(),
                7,
            ],
        )
        document = reply.document
        assert reply.status == 202
        assert (document["accepted"], document["repeated"], document["refused"]) == (2, 1, 4)
        assert [result["status"] for result in document["results"]] == [202, 422, 202, 404, 409, 202, 422]
        assert document["results"][2] == {**document["results"][0], "repeated": True}
        assert document["results"][1]["problems"][0]["field"] == "type"
        ids = [result["eventId"] for result in document["results"] if result["status"] == 202]
        assert ids[2] > ids[0]


async def test_an_array_without_one_good_event_is_422(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        reply = await server.admin.post(EVENTS, [{}, {"type": 1}])
        assert (reply.status, reply.document["refused"], len(reply.document["results"])) == (422, 2, 2)
        too_many = await server.admin.post(EVENTS, [an_event()] * 1001)
        assert (too_many.status, too_many.code) == (422, "body_not_object")
        whole = await server.admin.post(EVENTS, [an_event()] * 1000)
        assert (whole.status, whole.document["accepted"]) == (202, 1000)


async def test_data_come_back_byte_for_byte(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        data = '{ "n": 1.0,"m":1E2 , "big":123456789012345678901234567890,\n"t":"caf\\u00e9 \\/ \\ud83d\\ude00",   "z":-0.0}'
        reply = await server.admin.post(EVENTS, (AROUND % data).encode())
        assert reply.status == 202, reply.document
        shown = await server.admin.get(f"{EVENTS}/{reply.document['eventId']}")
        assert b'"data":' + data.encode() + b"," in shown.body
        listed = await server.admin.get(EVENTS)
        assert data.encode() in listed.body


async def test_a_key_of_one_goods_owner_publishes_for_that_one_alone(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        api = server.as_key(["publish"], [TEA])
        event = an_event()
        del event["goodsOwnerId"]
        made = await api.post(EVENTS, event)
        assert made.status == 202
        assert (await server.admin.get(f"{EVENTS}/{made.document['eventId']}")).document["goodsOwnerId"] == TEA
        foreign = await api.post(EVENTS, an_event(goodsOwnerId=FJORD))
        unknown = await api.post(EVENTS, an_event(goodsOwnerId=4711))
        assert foreign.status == unknown.status == 404
        assert foreign.body.replace(b"207", b"4711") == unknown.body
        # Whose data is wrong is not told either.
        foreign = await api.post(EVENTS, an_event(goodsOwnerId=FJORD, type="order.picked", data={}))
        assert foreign.status == 404


@pytest.mark.parametrize("query", ["x=1", "cursor=%00"])
async def test_publishing_takes_no_query_parameters(tmp_path, database, query):
    async with a_server(database, tmp_path) as server:
        reply = await server.admin.post(f"{EVENTS}?{query}", an_event())
        assert (reply.status, reply.code) == (422, "unknown_parameter")


async def test_a_stopping_node_accepts_nothing_and_says_when_to_come_back(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        server.parts.journal.stop()
        reply = await server.admin.post(EVENTS, an_event())
        assert (reply.status, reply.code, reply.headers["retry-after"]) == (503, "unavailable", "5")


async def test_u9_a_page_of_large_events_ends_early_and_says_where_to_go_on(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        made = [(await server.publish(data={"a": "x" * 250_000}))["eventId"] for _ in range(20)]
        found, cursor, pages = [], None, 0
        while pages == 0 or cursor is not None:
            page = (await server.admin.get(f"{EVENTS}?limit=200" + (f"&cursor={cursor}" if cursor else ""))).document
            found += [event["id"] for event in page["items"]]
            assert sum(len(event["data"]["a"]) for event in page["items"]) <= 4 * 1024 * 1024
            cursor, pages = page["nextCursor"], pages + 1
        assert (sorted(found), pages) == (sorted(made), 2)
