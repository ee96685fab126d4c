"""A warehouse system beside the node: its own PostgreSQL database, with an outbox in it."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.support.outbox import install_outbox


@pytest.fixture
def outbox_url(wms_schema: str) -> str:
    install_outbox(wms_schema)
    return wms_schema


@pytest.fixture
def wms(outbox_url: str) -> Iterator[psycopg.Connection[Any]]:
    """The warehouse system's connection; what a test leaves uncommitted is rolled back."""
    with psycopg.connect(outbox_url) as connection:
        yield connection
        connection.rollback()
