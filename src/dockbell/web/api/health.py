"""Is it alive? One read of the store says so, the last beat that it took, and that no part of the node has ended."""

from fastapi import APIRouter, Depends

from dockbell.errors import Unavailable
from dockbell.web.actor import Here
from dockbell.web.answers import Answer
from dockbell.web.inputs import no_parameters
from dockbell.web.openapi import answers

router = APIRouter(tags=["health"])


@router.get(
    "/health",
    summary="Is it alive?",
    dependencies=[Depends(no_parameters)],
    responses=answers(200, "The store answers and takes writes, and every part of the node runs.", 503),
    openapi_extra={"security": []},
)
async def health(parts: Here) -> Answer:
    if (ended := parts.ended()) is not None:
        raise Unavailable(
            f"The {ended} of this node ended by a mistake of Dockbell's.", hint="The node stops by itself."
        )
    if (refused := parts.refused()) is not None:
        raise refused
    await parts.database.read(lambda tx: tx.one("SELECT 1 AS one"))
    # Not an error: what was accepted is still delivered, and taking the node out of a load balancer would stop that.
    return Answer({"status": "ok" if parts.room() else "storage_full"})
