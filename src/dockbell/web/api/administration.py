"""Goods owners and API keys over the API."""

# ruff: noqa: FAST003 - the parameter's name in the path is its alias, in IdInPath

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from dockbell.actions import access, goods_owners, outbox, retention
from dockbell.domain.limits import parse_moment
from dockbell.errors import NotFound, Problems
from dockbell.web.actor import Acting, Here
from dockbell.web.answers import Answer, Empty
from dockbell.web.body import document_of
from dockbell.web.inputs import (
    ErasureInput,
    GoodsOwnerInput,
    IdInPath,
    NewApiKey,
    PageQuery,
    id_in_path,
    no_parameters,
    read_model,
)
from dockbell.web.openapi import answers, takes
from dockbell.web.paging import Paging, all_of

router = APIRouter()
ALONE = [Depends(no_parameters)]


@router.get(
    "/goodsOwners",
    summary="List goods owners",
    tags=["goods owners"],
    responses=answers(200, "Goods owners by id.", 401, 403, 422),
)
async def list_goods_owners(parts: Here, actor: Acting, asked: Annotated[PageQuery, Query()]) -> Answer:
    paging = Paging("goodsOwners", actor, asked)
    after = paging.position[0] if paging.position else 0
    found = await parts.database.read(lambda tx: goods_owners.page(tx, actor, after=after, limit=paging.rows))
    return Answer(paging.page(found, lambda owner: (owner["id"],)))


@router.put(
    "/goodsOwners/{id}",
    summary="Make a goods owner known, or rename it",
    tags=["goods owners"],
    dependencies=ALONE,
    openapi_extra=takes(GoodsOwnerInput),
    responses=answers(200, "The goods owner as it is now.", 400, 401, 403, 404, 413, 415, 422),
)
async def put_goods_owner(parts: Here, actor: Acting, goods_owner_id: IdInPath, request: Request) -> Answer:
    number = id_in_path(goods_owner_id, "goods owner")
    wanted = read_model(GoodsOwnerInput, await document_of(request.scope, request.receive))
    now = parts.clock.now()
    made = await parts.database.write(lambda tx: goods_owners.put(tx, actor, number, wanted.name, now=now))
    await parts.index.refresh(parts.database)
    return Answer(made)


@router.get(
    "/apiKeys",
    summary="List API keys",
    description="Without the keys themselves: Dockbell does not have them.",
    tags=["API keys"],
    dependencies=ALONE,
    responses=answers(200, "API keys, the oldest first.", 401, 403),
)
async def list_api_keys(parts: Here, actor: Acting) -> Answer:
    return Answer(all_of(await parts.database.read(lambda tx: access.list_keys(tx, actor))))


@router.post(
    "/apiKeys",
    summary="Make an API key",
    description="The answer tells the key; nobody can read it again.",
    tags=["API keys"],
    dependencies=ALONE,
    openapi_extra=takes(NewApiKey),
    status_code=201,
    responses=answers(201, "The key was made.", 400, 401, 403, 413, 415, 422),
)
async def create_api_key(parts: Here, actor: Acting, request: Request) -> Answer:
    wanted = read_model(NewApiKey, await document_of(request.scope, request.receive))
    problems, expires_at = Problems(), None
    with problems.gather():
        expires_at = None if wanted.expires_at is None else parse_moment(wanted.expires_at, "expiresAt")
    now = parts.clock.now()
    made = await parts.database.write(
        lambda tx: access.create_key(
            tx,
            actor,
            label=wanted.label,
            scopes=wanted.scopes,
            goods_owners=wanted.goods_owner_ids,
            expires_at=expires_at,
            now=now,
            also=problems,
        ),
    )
    return Answer({"id": made.key_id, "key": made.key}, 201)


@router.delete(
    "/apiKeys/{id}",
    summary="Revoke an API key",
    description="From the next request on it is worth nothing, on every node within a second.",
    tags=["API keys"],
    dependencies=ALONE,
    status_code=204,
    responses=answers(204, "The key is revoked.", 401, 403, 404),
)
async def revoke_api_key(parts: Here, actor: Acting, key_id: IdInPath) -> Empty:
    if not (key_id.isascii() and key_id.isalnum()):
        raise NotFound(f"There is no valid key {key_id[:80]!a}.")
    now = parts.clock.now()
    await parts.database.write(lambda tx: access.revoke_key(tx, actor, key_id, now=now))
    return Empty()


@router.post(
    "/erasures",
    summary="Erase payloads",
    description="Of a goods owner, or about an object, or both: data, attributes, and what was sent and answered. That "
    "there were events, and what came of them, stays in the log; what waits is cancelled. Nothing brings it back. `more` "
    "says that there was no time for all: ask again. `underWay` events were being sent right then: ask again. `inLog`: another "
    "program reads SQLite's file, so its log still holds what was erased: end that, and ask again. `setAside` rows were "
    "taken out of the outbox, which had refused them; 503: the outbox is away, all else is erased.",
    tags=["erasures"],
    dependencies=ALONE,
    openapi_extra=takes(ErasureInput),
    responses=answers(200, "What was erased.", 400, 401, 403, 404, 413, 415, 422, 503),
)
async def erase_payloads(parts: Here, actor: Acting, request: Request) -> Answer:
    wanted = read_model(ErasureInput, await document_of(request.scope, request.receive))
    erased = await retention.erase(
        parts.database, actor, parts.clock, goods_owner_id=wanted.goods_owner_id, about=wanted.key
    )
    gone = 0
    if parts.open_outbox is not None:
        gone = await asyncio.to_thread(
            outbox.erase_away, parts.open_outbox, goods_owner_id=wanted.goods_owner_id, about=wanted.key
        )
    return Answer(
        {
            "events": erased.events,
            "cancelled": erased.cancelled,
            "underWay": erased.under_way,
            "setAside": gone,
            "more": erased.more,
            "inLog": erased.in_log,
        }
    )
