"""The log over the API: deliveries, their attempts, resend and cancel of one or of many."""

# ruff: noqa: FAST003 - the parameter's name in the path is its alias, in IdInPath

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Query, Request

from dockbell.actions import bulk, deliveries
from dockbell.domain.limits import parse_range
from dockbell.domain.permissions import Actor
from dockbell.errors import InvalidInput, Problem, Problems
from dockbell.web.actor import Acting, Here
from dockbell.web.answers import Answer
from dockbell.web.body import document_of
from dockbell.web.inputs import (
    AttemptsQuery,
    DeliveriesFilter,
    DeliveriesQuery,
    IdInPath,
    id_in_query,
    no_parameters,
    one_of,
    read_model,
)
from dockbell.web.openapi import answers, takes
from dockbell.web.paging import Paging, all_of
from dockbell.web.parts import Parts

router = APIRouter(tags=["deliveries"])
ALONE = [Depends(no_parameters)]


@router.get("/deliveries", summary="List deliveries", responses=answers(200, "The newest first.", 401, 403, 422))
async def list_deliveries(parts: Here, actor: Acting, asked: Annotated[DeliveriesQuery, Query()]) -> Answer:
    problems = Problems()
    with problems.gather():
        paging = Paging("deliveries", actor, asked, numbers=2)
    with problems.gather():
        one_of(asked.sort, "sort", ("-id",))
    with problems.gather():
        since, until = parse_range(asked.since, asked.until)
    with problems.gather():
        owner = id_in_query(asked.goods_owner_id, "goodsOwnerId")
    with problems.gather():
        webhook = id_in_query(asked.webhook_id, "webhookId")
    with problems.gather():
        status, code = deliveries.searched(asked.status, asked.code)
    problems.refuse()
    before = (paging.position[0], paging.position[1]) if paging.position else None
    found = await parts.database.read(
        lambda tx: deliveries.page(
            tx,
            actor,
            webhook_id=webhook,
            goods_owner_id=owner,
            event_type=asked.event_type,
            status=status,
            code=code,
            about=asked.about,
            since=since,
            until=until,
            before=before,
            limit=paging.rows,
        ),
    )
    return Answer(paging.page(found, lambda delivery: (delivery["eventId"], delivery["webhookId"])))


@router.get(
    "/deliveries/{id}",
    summary="Read a delivery with its attempts",
    dependencies=ALONE,
    responses=answers(200, "The delivery.", 401, 403, 404),
)
async def get_delivery(parts: Here, actor: Acting, delivery_id: IdInPath) -> Answer:
    return Answer(shown(await parts.database.read(lambda tx: deliveries.get(tx, actor, delivery_id))))


@router.get(
    "/deliveries/{id}/attempts",
    summary="List the attempts of a delivery",
    dependencies=ALONE,
    responses=answers(200, "Attempts, the first first.", 401, 403, 404),
)
async def attempts_of(parts: Here, actor: Acting, delivery_id: IdInPath) -> Answer:
    found = await parts.database.read(lambda tx: deliveries.get(tx, actor, delivery_id))
    return Answer(all_of(found["attemptList"]))


@router.get(
    "/attempts",
    summary="List the attempts of a delivery",
    responses=answers(200, "Attempts, the first first.", 401, 403, 404, 422),
)
async def list_attempts(parts: Here, actor: Acting, asked: Annotated[AttemptsQuery, Query()]) -> Answer:
    return await attempts_of(parts, actor, asked.delivery_id)


@router.post(
    "/deliveries/{id}/resend",
    summary="Send a delivery again",
    description="New attempts, also after success. The `webhook-id` stays, so that the receiver can tell.",
    dependencies=ALONE,
    responses=answers(200, "The delivery as it is now.", 401, 403, 404, 409),
)
async def resend(parts: Here, actor: Acting, delivery_id: IdInPath) -> Answer:
    now = parts.clock.now()
    return Answer(await parts.database.write(lambda tx: deliveries.resend(tx, actor, delivery_id, now=now)))


@router.post(
    "/deliveries/{id}/cancel",
    summary="Cancel a delivery that waits",
    dependencies=ALONE,
    responses=answers(200, "The delivery as it is now.", 401, 403, 404, 409),
)
async def cancel(parts: Here, actor: Acting, delivery_id: IdInPath) -> Answer:
    now = parts.clock.now()
    return Answer(await parts.database.write(lambda tx: deliveries.cancel(tx, actor, delivery_id, now=now)))


_MANY = (
    "The filters are those of the list; at least one is needed. The run goes on in the background, also after a "
    "restart, and means what was accepted before it began; {left_out}. GET /api/v1/bulkRuns/{{id}} tells how far it is."
)


@router.post(
    "/deliveries/resend",
    summary="Send many deliveries again",
    description=_MANY.format(left_out="tests, what is under way and what the caller may not resend are left out"),
    dependencies=ALONE,
    openapi_extra=takes(DeliveriesFilter),
    status_code=202,
    responses=answers(202, "The run that was begun.", 400, 401, 403, 413, 415, 422),
)
async def resend_many(parts: Here, actor: Acting, request: Request) -> Answer:
    return await _begin(parts, actor, "resend", request)


@router.post(
    "/deliveries/cancel",
    summary="Cancel many deliveries that wait",
    description=_MANY.format(left_out="what does not wait, and what the caller may not cancel, is left out"),
    dependencies=ALONE,
    openapi_extra=takes(DeliveriesFilter),
    status_code=202,
    responses=answers(202, "The run that was begun.", 400, 401, 403, 413, 415, 422),
)
async def cancel_many(parts: Here, actor: Acting, request: Request) -> Answer:
    return await _begin(parts, actor, "cancel", request)


@router.get(
    "/bulkRuns/{id}",
    summary="Read how far a run over many deliveries is",
    description="For who began it, and for administrators.",
    dependencies=ALONE,
    responses=answers(200, "The run: state, changed, leftOut.", 401, 403, 404),
)
async def get_bulk_run(parts: Here, actor: Acting, run_id: IdInPath) -> Answer:
    return Answer(await parts.database.read(lambda tx: bulk.get(tx, actor, run_id)))


async def _begin(parts: Parts, actor: Actor, do: str, request: Request) -> Answer:
    wanted = read_model(DeliveriesFilter, await document_of(request.scope, request.receive))
    filters = {name: value for name, value in wanted.model_dump().items() if value is not None}
    if not filters:
        text = "Name at least one filter; to mean every delivery, say `from` with an early moment."
        raise InvalidInput([Problem("", "filter_missing", text)])
    problems = Problems()
    with problems.gather():
        filters["since"], filters["until"] = parse_range(wanted.since, wanted.until)
    with problems.gather():
        deliveries.searched(wanted.status, wanted.code)
    problems.refuse()
    now = parts.clock.now()
    return begun(parts, await parts.database.write(lambda tx: bulk.begin(tx, actor, do, now=now, **filters)))


def begun(parts: Parts, run: dict[str, Any]) -> Answer:
    """Let a run go on by itself; the answer to who began it."""
    bulk.go_on(parts.database, parts.clock, run["id"])
    return Answer(run, 202, [(b"location", b"/api/v1/bulkRuns/" + run["id"].encode())])


def shown(delivery: Mapping[str, Any]) -> dict[str, Any]:
    """The delivery as JSON: what Dockbell wrote and what was published, both with the bytes that are sent."""
    return {
        **{name: value for name, value in delivery.items() if name != "head"},
        "header": msgspec.Raw(b"{" + delivery["head"].encode() + b"}"),
        "data": msgspec.Raw(delivery["data"].encode()),
    }
