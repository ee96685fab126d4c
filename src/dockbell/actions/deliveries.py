"""Reading the log, and what people do to deliveries: resend, cancel."""

import json
import re
from collections.abc import Collection
from typing import Any

from dockbell.actions import audit, held_back
from dockbell.actions.webhook_access import may_see
from dockbell.clock import Moment, to_text
from dockbell.domain import advice
from dockbell.domain.ids import first_id_at
from dockbell.domain.permissions import Actor
from dockbell.domain.request import delivery_id
from dockbell.errors import Conflict, InvalidInput, NotAllowed, NotFound, Problem, Problems
from dockbell.store import delivery_log, events, log_search, turns, webhooks
from dockbell.store.backlog import FAR
from dockbell.store.database import Row, Transaction
from dockbell.store.objects import Sought

STATUSES = ("pending", "sending", "delivered", "failed", "held", "cancelled")
_ID = re.compile(r"([1-9][0-9]{0,15})-([1-9][0-9]{0,15})")
_STATUS = re.compile(r"[1-9][0-9]{2}")
_OBJECT = re.compile(r"([a-z][a-z0-9-]{0,63})[ /](.{1,200})")
NEWEST = 1 << 62
MOST_COUNTED = 10_000


def parse_delivery_id(text: str) -> tuple[int, int]:
    """`880123-12` as event and webhook; anything else is a delivery that does not exist."""
    found = _ID.fullmatch(text)
    if found is None:
        raise NotFound(f"There is no delivery {text[:80]!r}.")
    return int(found[1]), int(found[2])


def page(
    tx: Transaction,
    actor: Actor,
    *,
    webhook_id: int | None = None,
    goods_owner_id: int | None = None,
    event_type: str | None = None,
    status: str | None = None,
    code: str | None = None,
    about: str | None = None,
    since: Moment | None = None,
    until: Moment | None = None,
    before: tuple[int, int] | None = None,
    limit: int = 50,
) -> list[dict[str, Any]]:
    """Deliveries, newest first. `about` finds an object: `order 12345`, `order/50163`, or just a number."""
    actor.need("read")
    filters, last = search_of(
        actor, webhook_id=webhook_id, goods_owner_id=goods_owner_id, event_type=event_type, status=status, code=code,
        about=about, since=since, until=until,
    )  # fmt: skip
    rows = delivery_log.page(tx, **filters, before=last if before is None else min(last, before), limit=limit)
    return [view(row) for row in rows]


def search_of(
    actor: Actor,
    *,
    webhook_id: int | None = None,
    goods_owner_id: int | None = None,
    event_type: str | None = None,
    status: str | None = None,
    code: str | None = None,
    about: str | None = None,
    since: Moment | None = None,
    until: Moment | None = None,
) -> tuple[dict[str, Any], tuple[int, int]]:
    """The filters as the store wants them, limited to what the actor may read, and the pair all of them are below."""
    status, code = searched(status, code)
    filters = {
        "goods_owners": None if actor.goods_owners is None else sorted(actor.goods_owners),
        "webhook_id": webhook_id,
        "goods_owner_id": goods_owner_id,
        "event_type": event_type,
        "status": status,
        "code": code,
        "about": sought(about),
        "from_id": 0 if since is None else first_id_at(since),
    }
    return filters, (NEWEST, 0) if until is None else (first_id_at(until + 1000), 0)


def count(tx: Transaction, actor: Actor, *, most: int = MOST_COUNTED, run: str | None = None, **filters: Any) -> int:
    """How many deliveries fit the filters of `page`; one more than `most` stands for all beyond.

    With `run` only those that a bulk run of this actor would resend or cancel.
    """
    actor.need("read")
    wanted, before = search_of(actor, **filters)
    if run is not None:
        wanted |= {"own_of": own_of(actor), "run": run}
    return delivery_log.count(tx, **wanted, before=before, most=most + 1)


def with_webhooks(tx: Transaction, actor: Actor, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Views with the webhook's name, whether its page is there for this actor, and whether they may resend or cancel."""
    rows = delivery_log.webhooks_of(tx, [one["webhookId"] for one in found])
    own = _changeable(tx, actor, {one["webhookId"] for one in found}) if actor.may("manage") else set()
    return [
        {
            **one,
            "webhookName": rows[one["webhookId"]]["name"] if one["webhookId"] in rows else None,
            "webhookShown": _is_shown(actor, rows.get(one["webhookId"])),
            "mayChange": one["webhookId"] in own,
        }
        for one in found
    ]


def with_durations(tx: Transaction, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Views with how long the last attempt took, in milliseconds; None before the first has ended."""
    took = delivery_log.last_durations(tx, [(one["eventId"], one["webhookId"]) for one in found])
    durations = [took.get((one["eventId"], one["webhookId"])) for one in found]
    return [
        {**one, "lastDurationInMs": None if us is None else us / 1000} for one, us in zip(found, durations, strict=True)
    ]


def searched(status: str | None, code: str | None) -> tuple[str | None, str | None]:
    """Both as the store looks for them; raises InvalidInput for each that there is not."""
    problems = Problems()
    if status is not None and status not in STATUSES:
        text = f"There is no status {status[:40]!r}. Statuses: {', '.join(STATUSES)}."
        problems.append(Problem("status", "status", text))
    with problems.gather():
        code = None if code is None else _searched_code(code)
    problems.refuse()
    return status, code


def _searched_code(text: str) -> str:
    """A class of outcomes (`5xx`), a code (`timeout`) or a response's status (`500`), as the store looks for it."""
    wanted = text.strip().lower()
    status = wanted.removeprefix("http_")
    if _STATUS.fullmatch(status):
        return "delivered" if status[0] == "2" else "http_redirect" if status[0] == "3" else f"http_{status}"
    if wanted in log_search.CLASSES or wanted in advice.CODES:
        return wanted
    known = f"{', '.join(log_search.CLASSES)}, a status such as 500, or a code such as timeout"
    raise InvalidInput([Problem("code", "outcome", f"{text[:40]!r} is no outcome of an attempt. Write {known}.")])


def sought(about: str | None) -> Sought | None:
    """`order 12345` or `order/12345` or `12345`, as what the store looks for; also literally, as a key may have blanks."""
    if about is None:
        return None
    if not about.strip():  # a script's empty variable must not mean everything there is
        text = "The object is empty. Write one such as order/50163, or leave it out."
        raise InvalidInput([Problem("object", "required", text)])
    text = about.strip().replace("\x00", "")
    found = _OBJECT.fullmatch(text)
    return Sought(text) if found is None else Sought(text, found[1], found[2].strip())


def get(tx: Transaction, actor: Actor, text_id: str) -> dict[str, Any]:
    """One delivery with its attempts; one that is under way is the last of them.

    Of a webhook that the actor may not see, where it sends to and what was said there is left out (None).
    """
    actor.need("read")
    row = _visible(tx, actor, text_id)
    webhook = webhooks.find(tx, row["webhook_id"])
    may_read = webhook is not None and may_read_exchange(actor, webhook)
    left_out = {} if may_read else _OPERATORS
    made = delivery_log.attempts_of(tx, row["event_id"], row["webhook_id"])
    attempts = [{**attempt_view(attempt), **left_out} for attempt in made]
    if row["status"] == "sending" and row["attempt_started_at"] is not None:
        attempts.append(
            {"attemptNo": row["attempts"], "startedAt": to_text(row["attempt_started_at"]), "code": "sending"},
        )
    event = events.find(tx, row["event_id"])
    assert event is not None
    first = turns.first_before(tx, row["event_id"], row["webhook_id"])
    return {
        **view(row),
        "webhookName": None if webhook is None else webhook["name"],
        "data": event["data"],
        "head": event["head"],
        "erasedAt": None if event["erased_at"] is None else to_text(event["erased_at"]),
        "attemptList": attempts,
        "waitsFor": None if first is None else delivery_id(first, row["webhook_id"]),
        "heldBack": held_back.of_webhook(tx, row["webhook_id"]) if may_read and row["status"] == "pending" else None,
    }


def resend(tx: Transaction, actor: Actor, text_id: str, *, now: Moment) -> dict[str, Any]:
    """New attempts by a person's wish, also after success. The `webhook-id` stays, so a receiver can tell."""
    actor.need("manage")
    row = _visible(tx, actor, text_id, for_update=True)
    need_own(tx, actor, [row["webhook_id"]])
    webhook = webhooks.find(tx, row["webhook_id"])
    if webhook is None or webhook["deleted_at"] is not None:
        raise Conflict("The webhook was deleted, so there is nowhere to send to.", code="webhook_deleted")
    owners = json.loads(webhook["settings"])["goodsOwnerIds"]
    if owners is not None and row["goods_owner_id"] not in owners:
        raise Conflict(
            "The webhook does not serve this delivery's goods owner any more, so nothing of theirs is sent to it.",
            code="goods_owner_removed",
            hint="Add the goods owner to the webhook again, or make another webhook for them.",
        )
    event = events.find(tx, row["event_id"])
    if event is None or event["erased_at"] is not None:
        raise Conflict("The event's payload was erased, so there is nothing to send.", code="payload_erased")
    status = "pending" if webhook["enabled"] else "held"
    if not delivery_log.resend(tx, row["event_id"], row["webhook_id"], status=status, now=now):
        raise Conflict("An attempt is under way right now.", code="sending", hint="Wait for its outcome, then resend.")
    _note(tx, actor, "delivery.resent", row, now=now)
    return view(_visible(tx, actor, text_id))


def cancel(tx: Transaction, actor: Actor, text_id: str, *, now: Moment) -> dict[str, Any]:
    actor.need("manage")
    row = _visible(tx, actor, text_id, for_update=True)
    need_own(tx, actor, [row["webhook_id"]])
    if not delivery_log.cancel(tx, row["event_id"], row["webhook_id"], now=now):
        raise Conflict(f"The delivery is {row['status']}; only one that waits can be cancelled.", code="not_waiting")
    _note(tx, actor, "delivery.cancelled", row, now=now)
    return view(_visible(tx, actor, text_id))


def need_own(tx: Transaction, actor: Actor, webhook_ids: Collection[int]) -> None:
    """Raises NotAllowed if the deliveries to one of these webhooks are the operator's to resend or cancel."""
    own = _changeable(tx, actor, webhook_ids)
    for webhook_id in webhook_ids:
        if webhook_id not in own:
            raise NotAllowed(
                f"Deliveries to webhook {webhook_id} are the operator's: you see them, but may not resend or cancel them.",
                hint="An administrator does it.",
            )


def own_of(actor: Actor) -> list[int] | None:
    """Whose webhooks alone the actor may resend and cancel for; None: everyone's."""
    return None if actor.goods_owners is None else sorted(actor.goods_owners)


def _changeable(tx: Transaction, actor: Actor, webhook_ids: Collection[int]) -> set[int]:
    owners = own_of(actor)
    return set(webhook_ids) if owners is None else delivery_log.own_webhooks(tx, set(webhook_ids), owners)


def _is_shown(actor: Actor, webhook: Row | None) -> bool:
    return webhook is not None and webhook["deleted_at"] is None and may_read_exchange(actor, webhook)


def may_read_exchange(actor: Actor, webhook: Row) -> bool:
    """Whether the actor may know where this webhook sends to, and what was said there."""
    return actor.goods_owners is None or may_see(actor, json.loads(webhook["settings"]))


_OPERATORS = dict.fromkeys(("detail", "address", "requestHeaders", "responseHeaders", "responseBody"))


def _note(tx: Transaction, actor: Actor, action: str, row: Row, *, now: Moment) -> None:
    about = f"delivery/{delivery_id(row['event_id'], row['webhook_id'])}"
    before = {"status": row["status"]}
    audit.note(tx, actor, action, about, now=now, goods_owners=[row["goods_owner_id"]], before=before)


def view(row: Row) -> dict[str, Any]:
    return {
        "id": delivery_id(row["event_id"], row["webhook_id"]),
        "eventId": row["event_id"],
        "webhookId": row["webhook_id"],
        "goodsOwnerId": row["goods_owner_id"],
        "eventType": row["event_type"],
        "object": row["object_key"],
        "number": row["object_number"],
        "status": row["status"],
        "test": row["test_of"] is not None,
        "attempts": row["attempts"],
        "lastCode": row["last_code"],
        "acceptedAt": to_text(row["accepted_at"]),
        "nextAttemptAt": to_text(row["due_at"]) if row["status"] == "pending" and row["due_at"] < FAR else None,
        "endedAt": None if row["ended_at"] is None else to_text(row["ended_at"]),
    }


def attempt_view(row: Row) -> dict[str, Any]:
    return {
        "attemptNo": row["attempt_no"],
        "startedAt": to_text(row["started_at"]),
        "endedAt": to_text(row["ended_at"]),
        "code": row["code"],
        "statusCode": row["status_code"],
        "detail": row["detail"],
        "address": row["address"],
        "durationInMs": {
            "dns": row["dns_us"] / 1000,
            "connect": row["connect_us"] / 1000,
            "tls": row["tls_us"] / 1000,
            "firstByte": row["first_byte_us"] / 1000,
            "total": row["total_us"] / 1000,
        },
        "webhookVersion": row["webhook_version"],
        "requestHeaders": row["request_headers"],
        "responseHeaders": row["response_headers"],
        "responseBody": row["response_body"],
        "responseCut": bool(row["response_cut"]),
        "nextAttemptAt": None if row["next_attempt_at"] is None else to_text(row["next_attempt_at"]),
    }


def need_visible(tx: Transaction, actor: Actor, text_ids: Collection[str]) -> None:
    """Raises NotFound if one of them is unknown or another goods owner's."""
    for text_id in text_ids:
        _visible(tx, actor, text_id)


def _visible(tx: Transaction, actor: Actor, text_id: str, *, for_update: bool = False) -> Row:
    event_id, webhook_id = parse_delivery_id(text_id)
    row = delivery_log.find(tx, event_id, webhook_id, for_update=for_update)
    if row is None or not actor.sees(row["goods_owner_id"]):
        raise NotFound(f"There is no delivery {text_id[:80]!r}.")
    return row
