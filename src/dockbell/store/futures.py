"""Waiting in an event loop for a result that a thread will set."""

import asyncio
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


async def awaited(future: Future[T]) -> T:
    """The future's result. A cancelled waiter leaves the work to end: a commit is not undone by impatience."""
    return await asyncio.shield(asyncio.wrap_future(future))
