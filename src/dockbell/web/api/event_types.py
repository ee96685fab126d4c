"""The catalog over the API."""

from fastapi import APIRouter, Depends, Request

from dockbell.actions import event_types
from dockbell.web.actor import Acting, Here
from dockbell.web.answers import Answer, Empty
from dockbell.web.body import document_of
from dockbell.web.inputs import EventTypeInput, no_parameters
from dockbell.web.openapi import answers, takes
from dockbell.web.paging import all_of

router = APIRouter(prefix="/eventTypes", tags=["event types"], dependencies=[Depends(no_parameters)])


@router.get("", summary="List event types", responses=answers(200, "Built-in types, then your own.", 401, 403))
async def list_event_types(parts: Here, actor: Acting) -> Answer:
    return Answer(all_of(event_types.page(actor, parts.index.state)))


@router.post(
    "",
    summary="Make an event type of your own",
    openapi_extra=takes(EventTypeInput),
    status_code=201,
    responses=answers(201, "The event type was made.", 400, 401, 403, 409, 413, 415, 422),
)
async def create_event_type(parts: Here, actor: Acting, request: Request) -> Answer:
    document = await document_of(request.scope, request.receive)
    now = parts.clock.now()
    made = await parts.database.write(lambda tx: event_types.create(tx, actor, parts.index, document, now=now))
    await parts.index.refresh(parts.database)
    return Answer(made, 201, [(b"location", b"/api/v1/eventTypes/" + made["key"].encode("ascii"))])


@router.get("/{key}", summary="Read an event type", responses=answers(200, "The event type.", 401, 403, 404))
async def get_event_type(parts: Here, actor: Acting, key: str) -> Answer:
    return Answer(event_types.get(actor, parts.index.state, key))


@router.put(
    "/{key}",
    summary="Make or replace an event type of your own",
    openapi_extra=takes(EventTypeInput),
    responses=answers(200, "The event type as it is now.", 400, 401, 403, 409, 413, 415, 422),
)
async def put_event_type(parts: Here, actor: Acting, key: str, request: Request) -> Answer:
    document = await document_of(request.scope, request.receive)
    now = parts.clock.now()
    made = await parts.database.write(lambda tx: event_types.put(tx, actor, parts.index, key, document, now=now))
    await parts.index.refresh(parts.database)
    return Answer(made)


@router.delete(
    "/{key}",
    summary="Delete an event type of your own",
    status_code=204,
    responses=answers(204, "It is gone; its events and their log stay.", 401, 403, 404, 409),
)
async def delete_event_type(parts: Here, actor: Acting, key: str) -> Empty:
    now = parts.clock.now()
    await parts.database.write(lambda tx: event_types.delete(tx, actor, parts.index, key, now=now))
    await parts.index.refresh(parts.database)
    return Empty()
