"""The bytes of one attempt: reserved headers are ours alone, the data is the publisher's alone."""

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockbell.clock import HOUR, SECOND
from dockbell.domain.addresses import AddressPolicy
from dockbell.domain.credentials import new_signing_secret
from dockbell.domain.event import Event, payload_time
from dockbell.domain.headers import problems_with_headers
from dockbell.domain.request import OutgoingRequest, build_request, delivery_id, signatures
from dockbell.domain.webhook import SigningSecret, Webhook, compile_webhook

NOW = 1_795_500_000 * SECOND
SECRET = new_signing_secret(b"k" * 32)
OURS = {"content-type", "user-agent", "webhook-id", "webhook-timestamp", "webhook-signature", "dockbell-test"}
CONNECTION = {"host", "content-length", "transfer-encoding", "connection", "expect", "te", "trailer", "upgrade"}


def a_compiled_webhook(*, secrets: dict[str, Any] | None = None, **settings: Any) -> Webhook:
    return compile_webhook(
        webhook_id=12,
        version=1,
        enabled=True,
        deleted=False,
        settings={
            "name": "ERP",
            "kind": "regular",
            "eventType": "order.picked",
            "goodsOwnerIds": [114],
            "targetUrl": "https://erp.example/hook",
            "authentication": {"type": "none"},
            "headers": [],
            "filters": {},
            "retryPolicy": {"name": "one-day"},
            "timeoutInSeconds": 15,
            "maxConcurrency": 4,
            **settings,
        },
        secrets={"signing": [{"secret": SECRET}], **(secrets or {})},
        addresses=AddressPolicy(),
        fingerprint=lambda text: hashlib.sha256(text.encode()).hexdigest()[:8],
    )


def an_accepted_event(data: str = '{"orderId": 1}', *, test: bool = False) -> Event:
    return Event(880123, 114, "order.picked", NOW, '"webhookEventId":880123,"goodsOwnerId":114', data, test)


def built(webhook: Webhook, event: Event | None = None, *, now: int = NOW) -> tuple[OutgoingRequest, str]:
    return build_request(event or an_accepted_event(), webhook, id_field="webhookOrdersId", now=now)


def lines_of(request: OutgoingRequest) -> list[tuple[str, str]]:
    lines = [line if isinstance(line, str) else line.decode() for line in request.headers]
    return [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]


names = st.one_of(
    st.sampled_from(sorted(OURS | CONNECTION | {"authorization", "x-auth-token", "cookie", "x-company-id"})),
    st.text("abcXYZ-019 :\r\n_å", max_size=12),
).flatmap(lambda name: st.sampled_from([name, name.upper(), name.title(), f" {name}", f"{name} "]))
some_values = st.text("ab 1:;,\r\n\t\x00é\U0001f389", max_size=12)


@given(pairs=st.lists(st.tuples(names, some_values, st.booleans()), max_size=5), test=st.booleans())
def test_no_accepted_header_takes_the_place_of_ours_or_begins_a_line_of_its_own(
    pairs: list[tuple[str, str, bool]], test: bool
):
    if problems_with_headers([(name, value) for name, value, _ in pairs]):
        return  # a webhook with these cannot be saved
    webhook = a_compiled_webhook(
        headers=[
            {"name": n, "secret": True} if secret else {"name": n, "value": v, "secret": False}
            for n, v, secret in pairs
        ],
        secrets={"headers": {n: v for n, v, secret in pairs if secret}},
    )
    request, shown = built(webhook, an_accepted_event(test=test))
    sent = [name.lower() for name, _ in lines_of(request)]
    assert [name for name in sent if name in OURS] == [
        "content-type", "user-agent", "webhook-id", "webhook-timestamp", "webhook-signature", *(["dockbell-test"] if test else [])
    ]  # fmt: skip
    assert not CONNECTION & set(sent)
    assert len(sent) == len(set(sent))
    assert all("\r" not in str(line) and "\n" not in str(line) and "\x00" not in str(line) for line in request.headers)
    assert len(shown.split("\n")) == len(request.headers)


@pytest.mark.parametrize("name", sorted(OURS | CONNECTION))
def test_a_reserved_header_is_refused_in_any_spelling(name: str):
    for spelled in (name, name.upper(), name.title()):
        assert problems_with_headers([(spelled, "x")])


def test_the_message_id_and_body_stay_and_the_signature_is_of_its_second():
    webhook = a_compiled_webhook()
    first, _ = built(webhook)
    again, _ = built(webhook, now=NOW + HOUR)
    assert first.body == again.body
    one, two = dict(lines_of(first)), dict(lines_of(again))
    assert one["webhook-id"] == two["webhook-id"] == "880123-12" == delivery_id(880123, 12)
    assert int(two["webhook-timestamp"]) - int(one["webhook-timestamp"]) == 3600
    assert one["webhook-signature"] != two["webhook-signature"]


@given(
    body=st.binary(max_size=200),
    message_id=st.text("0123456789-", min_size=1, max_size=30),
    second=st.integers(0, 10**10),
)
def test_a_signature_is_what_standard_webhooks_says(body: bytes, message_id: str, second: int):
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    expected = hmac.new(key, f"{message_id}.{second}.".encode() + body, hashlib.sha256).digest()
    found = signatures([SigningSecret(key)], message_id, second, body, NOW)
    assert found == "v1," + base64.b64encode(expected).decode()


def test_each_secret_signs_until_its_end_and_the_newest_comes_first():
    old, new = SigningSecret(b"o" * 32, until=NOW + HOUR), SigningSecret(b"n" * 32)
    both = signatures([new, old], "1-1", 1, b"", NOW).split(" ")
    assert both[0] == signatures([new], "1-1", 1, b"", NOW)
    assert len(both) == 2
    assert signatures([new, old], "1-1", 1, b"", NOW + HOUR) == both[0]


@pytest.mark.parametrize(
    "data", ["{}", "{ }", "{\n}", '{"orderId":1}', '{ "n" : 1E2 , "m": 0.1000}', '{"å": "\\u00e5 \\ud83c\\udf89"}']
)
def test_the_head_is_put_before_the_publishers_own_bytes(data: str):
    request, _ = built(a_compiled_webhook(), an_accepted_event(data))
    document = json.loads(request.body)
    assert list(document)[:3] == ["webhookOrdersId", "webhookEventId", "goodsOwnerId"]
    assert document["webhookOrdersId"] == 12
    assert {name: value for name, value in document.items() if name in json.loads(data)} == json.loads(data)
    rest = data[1:].lstrip(" \n")
    assert request.body.decode().endswith(rest)


def test_what_is_shown_has_no_secret_and_what_is_sent_has():
    webhook = a_compiled_webhook(
        authentication={"type": "basic", "username": "erp"},
        headers=[{"name": "X-Key", "secret": True}, {"name": "X-Company-Id", "value": "654", "secret": False}],
        secrets={"password": "correct horse", "headers": {"X-Key": "key-91-secret"}},
    )
    request, shown = built(webhook)
    pair = base64.b64encode(b"erp:correct horse").decode()
    sent = dict(lines_of(request))
    assert (sent["Authorization"], sent["X-Key"], sent["X-Company-Id"]) == (f"Basic {pair}", "key-91-secret", "654")
    assert "X-Company-Id: 654" in shown
    for secret in (pair, "key-91-secret", "correct horse", SECRET):
        assert secret not in shown
        assert secret not in repr(webhook)
    plain = {pair, "key-91-secret", "correct horse", "erp:correct horse", SECRET}
    written = {
        "correct%20horse",
        "correct+horse",
        b"key-91-secret".hex(),
        base64.b64encode(b"correct horse").decode()[:-2],
    }
    assert plain | written <= set(webhook.secret_texts)


def test_secrets_too_short_to_be_told_from_chance_are_not_searched_for():
    webhook = a_compiled_webhook(authentication={"type": "token"}, secrets={"token": "12345"})
    assert SECRET in webhook.secret_texts
    assert not [text for text in webhook.secret_texts if "12345" in text]


def test_only_a_test_is_marked_as_one():
    assert "dockbell-test" not in dict(lines_of(built(a_compiled_webhook())[0]))
    assert dict(lines_of(built(a_compiled_webhook(), an_accepted_event(test=True))[0]))["dockbell-test"] == "true"


def test_a_webhook_without_a_usable_url_is_no_request():
    webhook = a_compiled_webhook(targetUrl="https://10.0.0.5/hook")
    assert webhook.url is None
    with pytest.raises(ValueError, match="no usable URL"):
        built(webhook)


def test_a_connection_is_of_one_webhook_and_one_goods_owner():
    request, _ = built(a_compiled_webhook(kind="automation", goodsOwnerIds=None))
    assert (request.pool, request.goods_owners) == ((12, 114), frozenset({114}))


def test_payload_times_have_seven_digits_and_no_zone():
    assert payload_time(NOW + 441_231) == "2026-11-24T06:00:00.4412310"
    assert payload_time(NOW) == "2026-11-24T06:00:00.0000000"
