"""Reading events over the API, and why webhooks fired for one or did not."""

# ruff: noqa: FAST003 - the parameter's name in the path is its alias, in IdInPath

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from dockbell.actions import events, refusals
from dockbell.domain.limits import parse_range
from dockbell.errors import Problems
from dockbell.web.actor import Acting, Here
from dockbell.web.answers import Answer
from dockbell.web.inputs import EventsQuery, IdInPath, RefusalsQuery, id_in_path, id_in_query, no_parameters, one_of
from dockbell.web.openapi import answers
from dockbell.web.paging import Paging, all_of

router = APIRouter(tags=["events"])
ALONE = [Depends(no_parameters)]


@router.get(
    "/events",
    summary="List events",
    description="A page ends with `limit`, or when its events have 4 MiB of data: go on by `nextCursor` alone.",
    responses=answers(200, "Events, the newest first.", 401, 403, 422),
)
async def list_events(parts: Here, actor: Acting, asked: Annotated[EventsQuery, Query()]) -> Answer:
    problems = Problems()
    with problems.gather():
        paging = Paging("events", actor, asked)
    with problems.gather():
        one_of(asked.sort, "sort", ("-id",))
    with problems.gather():
        since, until = parse_range(asked.since, asked.until)
    with problems.gather():
        owner = id_in_query(asked.goods_owner_id, "goodsOwnerId")
    problems.refuse()
    found = await parts.database.read(
        lambda tx: events.page(
            tx,
            actor,
            goods_owner_id=owner,
            event_type=asked.event_type,
            about=asked.about,
            since=since,
            until=until,
            before=paging.position[0] if paging.position else None,
            limit=paging.rows,
        ),
    )
    return Answer(paging.page(found, lambda event: (event["id"],), bytes_of=lambda event: len(event["data"])))


@router.get(
    "/events/{id}",
    summary="Read an event",
    description="`data` is, byte for byte, what was published.",
    dependencies=ALONE,
    responses=answers(200, "The event.", 401, 403, 404),
)
async def get_event(parts: Here, actor: Acting, event_id: IdInPath) -> Answer:
    number = id_in_path(event_id, "event")
    return Answer(await parts.database.read(lambda tx: events.get(tx, actor, number)))


@router.get(
    "/events/{id}/why",
    summary="Why did it fire, or not?",
    description="Each webhook that the event could have been meant for, judged by its settings at that time.",
    dependencies=ALONE,
    responses=answers(200, "Webhooks with the reason.", 401, 403, 404),
)
async def why(parts: Here, actor: Acting, event_id: IdInPath) -> Answer:
    number = id_in_path(event_id, "event")
    return Answer(all_of(await parts.database.read(lambda tx: events.why(tx, actor, number))))


@router.get(
    "/refusals",
    summary="List refused events",
    description=(
        "Events that were published over HTTP and not accepted, with what was wrong: the newest 50 of each key, for a week. "
        "An event that was refused for the same reasons again is told once, when it last was. Of what came within a second the "
        "first 20 are told; `more` says how many others there were. `key`, `number`, `type` and `goodsOwnerId` are as the event had them. For keys that are limited: of keys for the same goods owners alone."
    ),
    responses=answers(200, "Refusals, the newest first.", 401, 403, 422),
)
async def list_refusals(parts: Here, actor: Acting, asked: Annotated[RefusalsQuery, Query()]) -> Answer:
    paging = Paging("refusals", actor, asked)
    before = paging.position[0] if paging.position else None
    now = parts.clock.now()
    found = await parts.database.read(
        lambda tx: refusals.page(tx, actor, about=asked.about, before=before, limit=paging.rows, now=now)
    )
    return Answer(paging.page(found, lambda refusal: (refusal["id"],)))
