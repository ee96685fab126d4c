"""Lets a test be an `async def`: it runs in an event loop of its own, for three minutes at most.

The limit ends a test that waits for what never comes; the longest needs half a minute on a machine of its own, and
three times that was seen where others worked beside it.
"""

import asyncio
import inspect

import pytest

LONGEST_S = 180.0


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    asyncio.run(asyncio.wait_for(pyfuncitem.obj(**arguments), LONGEST_S))
    return True
