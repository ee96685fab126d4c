"""Is it alive? One read of the store says so."""

from fastapi import APIRouter, Depends

from dockbell.web.actor import Here
from dockbell.web.answers import Answer
from dockbell.web.inputs import no_parameters
from dockbell.web.openapi import answers

router = APIRouter(tags=["health"])


@router.get(
    "/health",
    summary="Is it alive?",
    dependencies=[Depends(no_parameters)],
    responses=answers(200, "The store answers.", 503),
    openapi_extra={"security": []},
)
async def health(parts: Here) -> Answer:
    await parts.database.read(lambda tx: tx.one("SELECT 1 AS one"))
    return Answer({"status": "ok"})
