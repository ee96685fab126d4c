"""What the tests of the store begin with."""

import pytest

from dockbell.store.database import Database
from tests.support.rows import put_goods_owners, put_webhook


@pytest.fixture
def store(database: Database) -> Database:
    """With webhooks 1 and 2, each of which takes four attempts at once."""
    put_goods_owners(database)
    put_webhook(database, 1)
    put_webhook(database, 2)
    return database
