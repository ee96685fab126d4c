"""One POST, complete before anything is opened: the exact bytes that will be sent.

Signed after Standard Webhooks 1.0.0: `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`. While
a secret rotates, each valid secret signs, so that a receiver may change over when it likes.
"""

import base64
import hmac
from collections.abc import Iterable

import msgspec

from dockbell import __version__
from dockbell.clock import SECOND, Moment
from dockbell.domain.event import Event, body_of
from dockbell.domain.target_url import TargetUrl
from dockbell.domain.webhook import SigningSecret, Webhook

USER_AGENT = f"user-agent: Dockbell/{__version__}"
CONTENT_TYPE = "content-type: application/json"


class OutgoingRequest(msgspec.Struct, frozen=True, gc=False):
    """One POST, complete before anything is opened."""

    pool: tuple[int, int]
    """Webhook and goods owner: connections are never shared wider than that."""
    goods_owners: frozenset[int]
    """Whose goods the webhook speaks of: decides which private addresses it may reach."""
    url: TargetUrl
    headers: tuple[bytes | str, ...]
    """Complete `Name: value` lines, already checked."""
    body: bytes
    timeout_s: float
    """Total deadline, from 1 to 30 seconds."""


def delivery_id(event_id: int, webhook_id: int) -> str:
    """The `webhook-id` header: the same over all attempts, one per event and webhook, without a dot."""
    return f"{event_id}-{webhook_id}"


def build_request(event: Event, webhook: Webhook, *, id_field: str, now: Moment) -> tuple[OutgoingRequest, str]:
    """The request of one attempt, and its header block as it may be shown."""
    if webhook.url is None:
        raise ValueError(f"webhook {webhook.id} has no usable URL: {webhook.url_problem}")
    body = body_of(event, id_field=id_field, webhook_id=webhook.id)
    message_id = delivery_id(event.id, webhook.id)
    timestamp = now // SECOND
    lines = [
        f"webhook-id: {message_id}",
        f"webhook-timestamp: {timestamp}",
    ]
    if webhook.signing_secrets:
        lines.append(f"webhook-signature: {signatures(webhook.signing_secrets, message_id, timestamp, body, now)}")
    if event.test:
        lines.append("dockbell-test: true")
    headers = (CONTENT_TYPE, USER_AGENT, *webhook.own_headers, *lines)
    shown = "\n".join((CONTENT_TYPE, USER_AGENT, *webhook.masked_headers, *lines))
    request = OutgoingRequest(
        pool=(webhook.id, event.goods_owner_id),
        goods_owners=frozenset((event.goods_owner_id,)),
        url=webhook.url,
        headers=headers,
        body=body,
        timeout_s=webhook.timeout_s,
    )
    return request, shown


def signatures(secrets: Iterable[SigningSecret], message_id: str, timestamp: int, body: bytes, now: Moment) -> str:
    """The value of `webhook-signature`: one signature for each secret that is still valid."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return " ".join(
        "v1," + base64.b64encode(hmac.digest(secret.key, signed, "sha256")).decode()
        for secret in secrets
        if secret.until is None or secret.until > now
    )
