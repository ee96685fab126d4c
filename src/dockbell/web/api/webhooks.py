"""Webhooks over the API: make, read, change, delete, change the signing secret, test."""

# ruff: noqa: FAST003 - the parameter's name in the path is its alias, in IdInPath

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from dockbell.actions import bulk, missed
from dockbell.actions.test_event import send_test_event
from dockbell.actions.webhook_input import WebhookInput
from dockbell.domain.limits import parse_range
from dockbell.errors import Problems
from dockbell.web.actor import Acting, Here
from dockbell.web.answers import Answer
from dockbell.web.api.deliveries import begun, shown
from dockbell.web.body import document_of
from dockbell.web.inputs import (
    IdInPath,
    MissedQuery,
    MissedRange,
    Rotation,
    TestOrder,
    WebhooksQuery,
    id_in_path,
    id_in_query,
    no_parameters,
    one_of,
    read_model,
)
from dockbell.web.openapi import answers, takes
from dockbell.web.paging import Paging

router = APIRouter(prefix="/webhooks", tags=["webhooks"])
ALONE = [Depends(no_parameters)]


@router.get("", summary="List webhooks", responses=answers(200, "Webhooks by id.", 401, 403, 422))
async def list_webhooks(parts: Here, actor: Acting, asked: Annotated[WebhooksQuery, Query()]) -> Answer:
    problems = Problems()
    with problems.gather():
        paging = Paging("webhooks", actor, asked)
    with problems.gather():
        one_of(asked.sort, "sort", ("id",))
    with problems.gather():
        enabled = one_of(asked.enabled, "enabled", ("true", "false"))
    with problems.gather():
        owner = id_in_query(asked.goods_owner_id, "goodsOwnerId")
    problems.refuse()
    found = await parts.database.read(
        lambda tx: parts.webhooks.page(
            tx,
            actor,
            after=paging.position[0] if paging.position else 0,
            limit=paging.rows,
            event_type=asked.event_type,
            goods_owner_id=owner,
            enabled=None if enabled is None else enabled == "true",
        ),
    )
    return Answer(paging.page(found, lambda webhook: (webhook["id"],)))


@router.post(
    "",
    summary="Make a webhook",
    description="The answer tells a signing secret that Dockbell made; nobody can read it again.",
    dependencies=ALONE,
    openapi_extra=takes(WebhookInput),
    status_code=201,
    responses=answers(201, "The webhook was made.", 400, 401, 403, 409, 413, 415, 422),
)
async def create_webhook(parts: Here, actor: Acting, request: Request) -> Answer:
    document = await document_of(request.scope, request.receive)
    now = parts.clock.now()
    saved = await parts.database.write(lambda tx: parts.webhooks.create(tx, actor, document, now=now))
    await parts.index.refresh(parts.database)
    made = saved.webhook
    # What the caller brought along is known to them; only a new secret is told.
    told = {} if document.get("signingSecret") is not None else {"signingSecret": saved.signing_secret}
    location = b"/api/v1/webhooks/%d" % made["id"]
    return Answer({**made, **told}, 201, [(b"location", location)])


@router.get(
    "/{id}",
    summary="Read a webhook",
    dependencies=ALONE,
    responses=answers(200, "The webhook; secrets only as fingerprints.", 401, 403, 404),
)
async def get_webhook(parts: Here, actor: Acting, webhook_id: IdInPath) -> Answer:
    number = _id(webhook_id)
    return Answer(await parts.database.read(lambda tx: parts.webhooks.get(tx, actor, number)))


@router.patch(
    "/{id}",
    summary="Change a webhook",
    description=(
        "Fields that are left out stay; `filters` is merged the same way. When scheme, host or port of the target URL "
        "change, credentials that are not sent again are cleared and the webhook is disabled."
    ),
    dependencies=ALONE,
    openapi_extra=takes(WebhookInput, partly=True),
    responses=answers(200, "The webhook as it is now.", 400, 401, 403, 404, 409, 413, 415, 422),
)
async def change_webhook(parts: Here, actor: Acting, webhook_id: IdInPath, request: Request) -> Answer:
    number = _id(webhook_id)
    patch = await document_of(request.scope, request.receive)
    now = parts.clock.now()
    saved = await parts.database.write(lambda tx: parts.webhooks.change(tx, actor, number, patch, now=now))
    await parts.index.refresh(parts.database)
    return Answer(saved.webhook)


@router.delete(
    "/{id}",
    summary="Delete a webhook",
    description="What waits for it is cancelled; its log stays.",
    dependencies=ALONE,
    responses=answers(200, "How many deliveries were cancelled.", 401, 403, 404),
)
async def delete_webhook(parts: Here, actor: Acting, webhook_id: IdInPath) -> Answer:
    number = _id(webhook_id)
    now = parts.clock.now()
    cancelled = await parts.database.write(lambda tx: parts.webhooks.delete(tx, actor, number, now=now))
    await parts.index.refresh(parts.database)
    return Answer({"id": number, "cancelledDeliveries": cancelled})


@router.post(
    "/{id}/rotateSecret",
    summary="Change the signing secret",
    description="The old secret signs along for a while. The answer tells the new one; nobody can read it again.",
    dependencies=ALONE,
    openapi_extra=takes(Rotation, optional=True),
    responses=answers(200, "The webhook, and the new secret if Dockbell made it.", 400, 401, 403, 404, 413, 415, 422),
)
async def rotate_secret(parts: Here, actor: Acting, webhook_id: IdInPath, request: Request) -> Answer:
    number = _id(webhook_id)
    wanted = read_model(Rotation, await document_of(request.scope, request.receive, may_be_empty=True))
    now = parts.clock.now()
    saved = await parts.database.write(
        lambda tx: parts.webhooks.rotate_secret(
            tx, actor, number, overlap_h=wanted.overlap_in_hours, own=wanted.signing_secret, now=now
        ),
    )
    await parts.index.refresh(parts.database)
    told = {} if wanted.signing_secret is not None else {"signingSecret": saved.signing_secret}
    return Answer({**saved.webhook, **told})


@router.post(
    "/{id}/testEvent",
    summary="Send a test event",
    description="The event type's example, or a past event again, to this webhook alone, also when it is disabled.",
    dependencies=ALONE,
    openapi_extra=takes(TestOrder, optional=True),
    responses=answers(200, "The delivery with its attempt.", 400, 401, 403, 404, 409, 413, 415, 422, 429),
)
async def test_event(parts: Here, actor: Acting, webhook_id: IdInPath, request: Request) -> Answer:
    number = _id(webhook_id)
    wanted = read_model(TestOrder, await document_of(request.scope, request.receive, may_be_empty=True))
    found = await send_test_event(
        parts.database,
        parts.index,
        parts.journal,
        parts.webhooks,
        parts.clock,
        actor,
        number,
        pace=parts.tests,
        past_event_id=wanted.event_id,
        goods_owner_id=wanted.goods_owner_id,
    )
    return Answer(shown(found))


_MISSED = (
    "Events of the webhook's type and goods owners that it wants as it is now and has no delivery for: it was disabled, "
    "or its filter was another, or it was made later. Tests and erased events are none of them."
)


@router.get(
    "/{id}/missed",
    summary="Count what a webhook missed",
    description=_MISSED + " `complete` is false when there was no time to look at all of them.",
    responses=answers(200, "events and complete.", 401, 403, 404, 422),
)
async def count_missed(
    parts: Here, actor: Acting, webhook_id: IdInPath, asked: Annotated[MissedQuery, Query()]
) -> Answer:
    number = _id(webhook_id)
    since, until = parse_range(asked.since, asked.until)
    found = await parts.database.read(
        lambda tx: missed.count(tx, actor, number, since=since, until=until, clock=parts.clock)
    )
    return Answer({"events": found.events, "complete": found.all_of_them})


@router.post(
    "/{id}/sendMissed",
    summary="Send what a webhook missed",
    description=(
        _MISSED
        + " Each becomes a delivery, the oldest first; of a disabled webhook they are held. The run goes on in the "
        "background, also after a restart; GET /api/v1/bulkRuns/{id} tells how far it is."
    ),
    dependencies=ALONE,
    openapi_extra=takes(MissedRange),
    status_code=202,
    responses=answers(202, "The run that was begun.", 400, 401, 403, 404, 413, 415, 422),
)
async def send_missed(parts: Here, actor: Acting, webhook_id: IdInPath, request: Request) -> Answer:
    number = _id(webhook_id)
    wanted = read_model(MissedRange, await document_of(request.scope, request.receive))
    since, until = parse_range(wanted.since, wanted.until)
    now = parts.clock.now()
    run = await parts.database.write(lambda tx: bulk.begin_missed(tx, actor, number, since=since, until=until, now=now))
    return begun(parts, run)


def _id(text: str) -> int:
    return id_in_path(text, "webhook")
