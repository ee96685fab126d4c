"""What holds for every route, taken from the OpenAPI document: who may, one error shape, strict queries."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from dockbell.web.server import Parts, build_app
from tests.support.asgi import Api, Reply
from tests.support.parts import ANYTHING, Server, a_server, a_webhook, an_event
from tests.support.rows import FJORD, TEA

MEMBERS = {"type", "title", "status", "detail", "code", "hint", "problems"}
OPEN = {("get", "/api/v1/health")}

# Who may, by the words of the keys: a = administrator, m/r/p = manage/read/publish for every goods owner,
# M/R/P = the same for the goods owner it is about, x = everything, even admin, but for another goods owner.
MAY = {
    "get /api/v1/webhooks": "a r R x",
    "post /api/v1/webhooks": "a m M",
    "get /api/v1/webhooks/{id}": "a r R",
    "patch /api/v1/webhooks/{id}": "a m M",
    "delete /api/v1/webhooks/{id}": "a m M",
    "post /api/v1/webhooks/{id}/rotateSecret": "a m M",
    "post /api/v1/webhooks/{id}/testEvent": "a",  # manage alone may not read what came of it
    "get /api/v1/events": "a r R x",
    "post /api/v1/events": "a p P",
    "get /api/v1/events/{id}": "a r R",
    "get /api/v1/events/{id}/why": "a r R",
    "get /api/v1/refusals": "a r R x",
    "get /api/v1/deliveries": "a r R x",
    "get /api/v1/deliveries/{id}": "a r R",
    "get /api/v1/deliveries/{id}/attempts": "a r R",
    "get /api/v1/attempts": "a r R",
    "post /api/v1/deliveries/{id}/resend": "a m M",
    "post /api/v1/deliveries/{id}/cancel": "a m M",
    "post /api/v1/deliveries/resend": "a m M x",
    "post /api/v1/deliveries/cancel": "a m M x",
    "get /api/v1/webhooks/{id}/missed": "a m M",
    "post /api/v1/webhooks/{id}/sendMissed": "a m M",
    "get /api/v1/bulkRuns/{id}": "a",  # and whoever began it
    "get /api/v1/eventTypes": "a m r p M R P x",
    "post /api/v1/eventTypes": "a",
    "get /api/v1/eventTypes/{key}": "a m r p M R P x",
    "put /api/v1/eventTypes/{key}": "a",
    "delete /api/v1/eventTypes/{key}": "a",
    "get /api/v1/goodsOwners": "a r R x",
    "put /api/v1/goodsOwners/{id}": "a",
    "get /api/v1/apiKeys": "a",
    "post /api/v1/apiKeys": "a",
    "delete /api/v1/apiKeys/{id}": "a",
    "post /api/v1/erasures": "a",
}


def keys_of(server: Server) -> dict[str, Api]:
    everyone = {"m": "manage", "r": "read", "p": "publish"}
    return {
        "a": server.admin,
        **{letter: server.as_key([scope]) for letter, scope in everyone.items()},
        **{letter.upper(): server.as_key([scope], [TEA]) for letter, scope in everyone.items()},
        "x": server.as_key(["publish", "read", "manage"], [FJORD]),
        "X": server.as_key(["admin"], [FJORD]),
    }


async def routes_of(server: Server) -> list[tuple[str, str]]:
    document = (await server.nobody.get("/api/v1/openapi.json")).document
    return [(method, path) for path, operations in document["paths"].items() for method in operations]


def body_for(route: str) -> Any:
    return {
        "post /api/v1/webhooks": a_webhook(),
        "patch /api/v1/webhooks/{id}": {"name": "New name"},
        "post /api/v1/events": an_event(),
        "post /api/v1/eventTypes": {**ANYTHING, "key": "test.other", "name": "Other"},
        "put /api/v1/eventTypes/{key}": {**ANYTHING, "key": "test.unused", "name": "Unused"},
        "put /api/v1/goodsOwners/{id}": {"name": "Nordic Tea AB"},
        "post /api/v1/apiKeys": {"label": "x", "scopes": ["read"]},
        "post /api/v1/erasures": {"key": "thing/404"},
        "post /api/v1/deliveries/resend": {"status": "failed"},
        "post /api/v1/deliveries/cancel": {"status": "failed"},
        "post /api/v1/webhooks/{id}/sendMissed": {"from": "2020-01-01T00:00:00Z"},
    }.get(route)


async def target_for(server: Server, route: str) -> str:
    """A path whose things exist and belong to goods owner 114."""
    path = route.split()[1]
    if "eventTypes/{key}" in path:
        await server.admin.put("/api/v1/eventTypes/test.unused", {**ANYTHING, "key": "test.unused", "name": "Unused"})
        return path.replace("{key}", "test.unused")
    if "goodsOwners" in path:
        return path.replace("{id}", str(TEA))
    if "apiKeys/{id}" in path:
        return path.replace("{id}", server.make_key(["read"], None).split("_")[1])
    if "bulkRuns/{id}" in path:
        run = (await server.admin.post("/api/v1/deliveries/resend", {"status": "failed"})).document
        return path.replace("{id}", run["id"])
    if "{id}" not in path and "attempts" not in path:
        return path
    webhook = await server.make_webhook(eventType="test.anything")
    event = await server.publish()
    delivery = f"{event['eventId']}-{webhook['id']}"
    if path.endswith("/attempts") and "{id}" not in path:
        return f"{path}?deliveryId={delivery}"
    if path.endswith("/missed"):
        return f"{path.replace('{id}', str(webhook['id']))}?from=2020-01-01T00:00:00Z"
    which = webhook["id"] if "webhooks" in path else event["eventId"] if "events" in path else delivery
    return path.replace("{id}", str(which))


def is_problem(reply: Reply) -> bool:
    document = reply.document
    return (
        reply.headers["content-type"] == "application/problem+json"
        and set(document) == MEMBERS
        and document["status"] == reply.status
        and re.fullmatch(r"[a-z][a-z0-9_]*", document["code"]) is not None
        and bool(document["detail"])
        and "Traceback" not in reply.body.decode()
    )


async def test_every_route_opens_to_those_it_is_for_and_to_nobody_else(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        keys = keys_of(server)
        routes = [f"{method} {path}" for method, path in await routes_of(server) if (method, path) not in OPEN]
        assert sorted(routes) == sorted(MAY), "a route without a line in the matrix"
        wrong = []
        for route in routes:
            await server.parts.refusals.end()  # so that what was refused until now is there to be seen
            for who, api in keys.items():
                reply = await api.ask(route.split()[0].upper(), await target_for(server, route), body_for(route))
                allowed = ("x" if who == "X" else who) in MAY[route].split()
                fine = reply.status < 300 if allowed else reply.status in (403, 404, 422) and is_problem(reply)
                if who in "xX" and reply.status < 300 and "refusals" in route:
                    # What a key was refused tells what it named, also another's goods owner; but it is of FJORD's own keys.
                    own = {(keys[each].key or "").split("_")[1] for each in "xX"}
                    fine = {item["keyId"] for item in reply.document["items"]} == own
                elif who in "xX" and reply.status < 300 and "eventTypes" not in route:
                    told = re.sub(rb'"(id|\w+At)":"[^"]*"', b"", reply.body)  # made by chance; may hold a 114
                    fine = b"114" not in told and b"Nordic" not in told
                if not fine:
                    wrong.append((route, who, reply.status, reply.body[:150]))
        assert not wrong


async def test_every_route_asks_for_a_key(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        for method, path in await routes_of(server):
            if (method, path) in OPEN:
                continue
            target = path.replace("{id}", "1").replace("{key}", "order.picked")
            reply = await server.nobody.ask(method.upper(), target, body_for(f"{method} {path}"))
            assert (reply.status, reply.code, is_problem(reply)) == (401, "not_signed_in", True), (method, path)
            assert reply.headers["www-authenticate"] == 'Bearer, Basic realm="Dockbell"'
            cookie = [("cookie", "session=abc")]
            reply = await server.nobody.ask(method.upper(), target, body_for(f"{method} {path}"), headers=cookie)
            assert reply.status == (401 if method == "get" else 403), (method, path)
            assert is_problem(reply)
            assert method == "get" or reply.code == "csrf"


async def test_every_route_refuses_parameters_it_does_not_know_or_gets_twice(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        for method, path in await routes_of(server):
            route = f"{method} {path}"
            target = await target_for(server, route)
            joint = "&" if "?" in target else "?"
            for query in ("nonsense=1", "%00=1", "limit[]=1"):
                reply = await server.admin.ask(method.upper(), f"{target}{joint}{query}", body_for(route))
                assert (reply.status, is_problem(reply)) == (422, True), (route, query, reply.body)
        for query, code in (
            ("limit=1&limit=2", "parameter_twice"),
            ("object=%00", "control_character"),
            ("object=a%0Ab", "control_character"),
            ("object=" + "a" * 301, "too_long"),
            ("goodsOwnerId=1.0", "number"),
            ("goodsOwnerId=99999999999999999999", "number"),
            ("Limit=1", "unknown_parameter"),
        ):
            for path in ("/api/v1/deliveries", "/api/v1/events"):
                reply = await server.admin.get(f"{path}?{query}")
                assert (reply.status, reply.code) == (422, code), (path, query)


async def test_every_route_with_a_body_takes_only_plain_json_objects(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        document = (await server.nobody.get("/api/v1/openapi.json")).document
        checked = 0
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                if "requestBody" not in operation or path == "/api/v1/events":
                    continue
                checked += 1
                target = await target_for(server, f"{method} {path}")
                for raw, content_type, status, code in (
                    (b"{}", "text/plain", 415, "content_type"),
                    (b"{}", None, 415, "content_type"),
                    (b"{", "application/json", 400, "body_json"),
                    (b"[]", "application/json", 422, "body_not_object"),
                    (b'{"a":1,"a":2}', "application/json", 422, "body_duplicate_key"),
                    (b'{"a":"\\u0000"}', "application/json", 422, "body_nul"),
                    (b'{"a":[["\\ud800"]]}', "application/json", 422, "body_surrogate"),
                    (b"{" + b" " * 262_144 + b"}", "application/json", 413, "body_too_large"),
                    (b'{"unknown": 1}', "application/json; charset=UTF-8", 422, None),
                ):
                    reply = await server.admin.ask(method.upper(), target, raw, content_type=content_type)
                    assert reply.status == status, (method, path, raw[:20], reply.body)
                    assert is_problem(reply)
                    assert code in (None, reply.code)
                reply = await server.admin.ask(method.upper(), target, b"x", headers=[("content-encoding", "gzip")])
                assert (reply.status, reply.code) == (415, "content_encoding")
        assert checked == 12


async def test_everything_wrong_with_a_request_is_said_at_once(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        hook = await server.make_webhook()
        page = "limit=0&sort=x&from=yesterday&to=tomorrow&goodsOwnerId=b&cursor=x"
        range_ = {"from": "x", "to": "y", "status": "odd", "code": "odd"}
        rotation = {"overlapInHours": 999, "signingSecret": "x"}
        key = {"label": "", "scopes": ["odd"], "expiresAt": "tomorrow"}
        answers = {
            "/deliveries": await server.admin.get(f"/api/v1/deliveries?{page}&webhookId=a&status=odd&code=odd"),
            "/events": await server.admin.get(f"/api/v1/events?{page}"),
            "/webhooks": await server.admin.get("/api/v1/webhooks?limit=0&cursor=x&sort=x&enabled=x&goodsOwnerId=x"),
            "/apiKeys": await server.admin.post("/api/v1/apiKeys", key),
            "/deliveries/resend": await server.admin.post("/api/v1/deliveries/resend", range_),
            "/deliveries/cancel": await server.admin.post("/api/v1/deliveries/cancel", range_),
            "/rotateSecret": await server.admin.post(f"/api/v1/webhooks/{hook['id']}/rotateSecret", rotation),
        }
        told = {name: {each["field"] for each in reply.document["problems"]} for name, reply in answers.items()}
    listed = {"limit", "sort", "from", "to", "goodsOwnerId", "cursor"}
    assert told == {
        "/deliveries": {*listed, "webhookId", "status", "code"},
        "/events": listed,
        "/webhooks": {"limit", "cursor", "sort", "enabled", "goodsOwnerId"},
        "/apiKeys": set(key),
        "/deliveries/resend": set(range_),
        "/deliveries/cancel": set(range_),
        "/rotateSecret": set(rotation),
    }


async def test_unknown_paths_and_methods_answer_in_the_same_shape(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        for method, target, status in (
            ("GET", "/api", 404),
            ("GET", "/api/v1/nothing", 404),
            ("GET", "/api/v1/webhooks/", 404),
            ("GET", "/api/docs", 404),
            ("GET", "/api/openapi.json", 404),
            ("PUT", "/api/v1/webhooks", 405),
            ("DELETE", "/api/v1/events", 405),
            ("POST", "/api/v1/events/", 404),
            ("BREW", "/api/v1/events", 405),
            ("GET", "/api/v1/events?" + "a" * 9000, 414),
            ("GET", "/api/" + "%00" * 10, 404),
        ):
            reply = await server.admin.ask(method, target)
            assert (reply.status, is_problem(reply)) == (status, True), (method, target[:50], reply.body)
            assert reply.headers["x-content-type-options"] == "nosniff"
            assert reply.headers["cache-control"] == "no-store"
            assert reply.headers["content-security-policy"].startswith("default-src 'none'")
        for target, allowed in (
            ("/api/v1/webhooks", "GET, POST"),
            ("/api/v1/webhooks/1", "DELETE, GET, PATCH"),
            ("/api/v1/events", "GET, POST"),
            ("/api/v1/eventTypes/a", "DELETE, GET, PUT"),
        ):
            reply = await server.admin.ask("BREW", target)
            assert (reply.headers["allow"], reply.document["hint"]) == (allowed, f"Possible: {allowed}.")


async def test_health_needs_no_key(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        reply = await server.nobody.get("/api/v1/health")
        assert (reply.status, reply.document) == (200, {"status": "ok"})


class Broken:
    """Whatever is asked of it is a bug."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"secret detail: {name}")


@pytest.mark.parametrize(("method", "path"), [("GET", "/api/v1/webhooks"), ("POST", "/api/v1/events"), ("GET", "/x/y")])
async def test_a_bug_is_logged_whole_and_told_to_nobody(capsys, method, path):
    broken: Any = Broken()
    app = build_app(
        Parts(broken, broken, broken, broken, broken, broken, broken, "demo", broken), mounts=[("/x", broken)]
    )
    reply = await Api(app, "any").ask(method, path, {})
    assert (reply.status, reply.code, is_problem(reply)) == (500, "internal_error", True)
    assert b"secret detail" not in reply.body
    told = capsys.readouterr()
    assert "request.failed" in told.out + told.err
    assert "Traceback" in told.out + told.err


async def test_mounted_applications_answer_for_their_prefix_alone():
    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 299, "headers": []})
        await send({"type": "http.response.body", "body": scope["path"].encode()})

    nothing: Any = Broken()
    app = build_app(
        Parts(nothing, nothing, nothing, nothing, nothing, nothing, nothing, "demo", nothing),
        mounts=[("/api/v1/orders", mounted)],
    )
    for path, status in (("/api/v1/orders", 299), ("/api/v1/orders/1", 299), ("/api/v1/ordersx", 404)):
        assert (await Api(app).get(path)).status == status


def references_in(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for each in value.values():
            yield from references_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from references_in(each)


async def test_the_openapi_document_is_whole(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        reply = await server.nobody.get("/api/v1/openapi.json")
        document = reply.document
        assert reply.headers["content-type"] == "application/json"
        known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
        assert set(references_in(document)) <= known
        ids = []
        for path, operations in document["paths"].items():
            for operation in operations.values():
                ids.append(operation["operationId"])
                assert operation["summary"], path
                for status, answer in operation["responses"].items():
                    if status >= "400" and path != "/api/v1/events":
                        assert list(answer["content"]) == ["application/problem+json"], (path, status)
        assert len(set(ids)) == len(ids)
