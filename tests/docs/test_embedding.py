"""The examples of embedding run in Django, in SQLAlchemy, with psycopg alone and in SQL: order and event, or neither."""

import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import django
import psycopg
import pytest
import sqlalchemy
import sqlalchemy.orm
from django.conf import settings as django_settings
from django.db import connections, models
from django.db import transaction as django_transaction

from dockbell.domain.permissions import SYSTEM
from dockbell.embed import Store
from dockbell.settings import Settings
from dockbell.store import backlog, people
from dockbell.store.database import Database, Row
from tests.support.examples import examples
from tests.support.node import TEA, a_node, a_webhook
from tests.support.outbox import a_drain, install_outbox, status
from tests.support.wakes import await_listener, tell

ORDER = 50163
PATIENCE_S = 10.0
Pick = Callable[[int], None]
Begin = Callable[[], AbstractContextManager[Pick]]


class ChangedMind(Exception):
    """What an application raises after it has published."""


class Wms:
    """A database with orders in one schema and Dockbell in another, and the module `wms.webhooks` of the page."""

    def __init__(self, address: str, webhooks: ModuleType) -> None:
        self.address = address
        self.store: Store = webhooks.store

    def status(self) -> int:
        with psycopg.connect(self.address) as connection:
            row = connection.execute("SELECT status FROM orders WHERE id = %s", [ORDER]).fetchone()
        assert row is not None
        return int(row[0])

    def rows(self, sql: str) -> list[Row]:
        return self.store.database.submit_read(lambda tx: tx.all(sql)).result()


def a_module(name: str, code: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    made = ModuleType(name)
    monkeypatch.setitem(sys.modules, name, made)
    exec(code, made.__dict__)
    return made


@pytest.fixture
def wms(fresh_schema: str, wms_schema: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wms]:
    monkeypatch.chdir(tmp_path)
    prepare_dockbell(Store(Settings(database=fresh_schema)))
    prepare_orders(wms_schema)
    for name, value in (("DATABASE", fresh_schema), ("MIGRATE_ON_START", "false")):
        monkeypatch.setenv(f"DOCKBELL_{name}", value)
    a_module("wms", "", monkeypatch)
    webhooks = a_module("wms.webhooks", examples()["embed"], monkeypatch)
    try:
        yield Wms(wms_schema, webhooks)
    finally:
        webhooks.store.close()


def prepare_dockbell(store: Store) -> None:
    def prepare(tx: Any) -> None:
        people.put_goods_owner(tx, TEA, "Nordic Tea AB", now=store.clock.now())
        store.webhooks.create(tx, SYSTEM, a_webhook(targetUrl="https://8.8.8.8/hook"), now=store.clock.now())

    store.database.submit_write(prepare).result()
    store.close()


def prepare_orders(address: str) -> None:
    with psycopg.connect(address) as connection:
        connection.execute(
            "CREATE TABLE orders (id bigint PRIMARY KEY, number text, status int NOT NULL, goods_owner_id bigint)"
        )
        connection.execute("INSERT INTO orders VALUES (%s, 'SO-1001', 300, %s)", [ORDER, TEA])
        connection.execute("CREATE TABLE events (this_is_not text)")  # of the application: Dockbell must not meet it


# --- the three applications ----------------------------------------------------------------------------------------


@contextmanager
def in_django(address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Begin]:
    parts = urlsplit(address)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    database = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path.removeprefix("/"),
        "USER": parts.username,
        "HOST": query["host"],
        "OPTIONS": {"options": query["options"]},
    }
    if not django_settings.configured:
        django_settings.configure(DEFAULT_AUTO_FIELD="django.db.models.BigAutoField")
        django.setup()
    monkeypatch.setitem(
        connections.settings, "default", connections.configure_settings({"default": database})["default"]
    )
    of_wms = ModuleType("wms.models")
    of_wms.Order = django_order()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wms.models", of_wms)
    pick = a_module("wms.picking", examples()["django"], monkeypatch).pick

    @contextmanager
    def begin() -> Iterator[Pick]:
        with django_transaction.atomic():
            yield pick

    try:
        yield begin
    finally:
        connections["default"].close()
        del connections["default"]


def django_order() -> type[models.Model]:
    known = django.apps.apps.all_models["wms"].get("order")
    if known is not None:
        return known  # type: ignore[no-any-return]

    class Order(models.Model):  # type: ignore[misc]  # noqa: DJ008
        number = models.TextField()
        status = models.IntegerField()
        goods_owner_id = models.BigIntegerField()

        class Meta:
            app_label = "wms"
            db_table = "orders"

    return Order


@contextmanager
def in_sqlalchemy(address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Begin]:
    class Base(sqlalchemy.orm.DeclarativeBase):
        pass

    class Order(Base):
        __tablename__ = "orders"
        id: sqlalchemy.orm.Mapped[int] = sqlalchemy.orm.mapped_column(primary_key=True)
        number: sqlalchemy.orm.Mapped[str]
        status: sqlalchemy.orm.Mapped[int]
        goods_owner_id: sqlalchemy.orm.Mapped[int]

    of_wms = ModuleType("wms.models")
    of_wms.Order = Order  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wms.models", of_wms)
    pick = a_module("wms.picking", examples()["sqlalchemy"], monkeypatch).pick
    engine = sqlalchemy.create_engine(address.replace("postgresql://", "postgresql+psycopg://"))
    sessions = sqlalchemy.orm.sessionmaker(engine)

    @contextmanager
    def begin() -> Iterator[Pick]:
        with sessions.begin() as session:
            yield lambda order_id: pick(session, order_id)

    try:
        yield begin
    finally:
        engine.dispose()


@contextmanager
def in_psycopg(address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Begin]:
    pick = a_module("wms.picking", examples()["psycopg"], monkeypatch).pick

    @contextmanager
    def begin() -> Iterator[Pick]:
        with psycopg.connect(address) as connection:
            yield lambda order_id: pick(connection, order_id)

    yield begin


@pytest.fixture(params=[in_django, in_sqlalchemy, in_psycopg], ids=["django", "sqlalchemy", "psycopg"])
def begin(request: pytest.FixtureRequest, wms: Wms, monkeypatch: pytest.MonkeyPatch) -> Iterator[Begin]:
    with request.param(wms.address, monkeypatch) as begun:
        yield begun


# --- what is promised of each --------------------------------------------------------------------------------------


def test_a_commit_keeps_the_order_and_the_event_and_its_delivery(wms: Wms, begin: Begin):
    with begin() as pick:
        pick(ORDER)
        assert wms.status() == 300
        assert wms.rows("SELECT id FROM events") == []
    assert wms.status() == 400
    [event] = wms.rows("SELECT id, object_key, data FROM events")
    assert event["object_key"] == f"order/{ORDER}"
    assert '"number":400' in event["data"]
    [delivery] = wms.rows("SELECT event_id, status FROM deliveries")
    assert (delivery["event_id"], delivery["status"]) == (event["id"], "pending")


def test_a_rollback_keeps_neither(wms: Wms, begin: Begin):
    with pytest.raises(ChangedMind), begin() as pick:
        pick(ORDER)
        raise ChangedMind
    assert wms.status() == 300
    assert wms.rows("SELECT id FROM events") == []
    with begin() as pick:  # and the next one finds everything usable
        pick(ORDER)
    assert len(wms.rows("SELECT id FROM events")) == 1


def test_the_commit_wakes_the_worker_and_a_rollback_does_not(wms: Wms, begin: Begin):
    database, woken, after = wms.store.database, [], threading.Event()
    await_listener(database)
    database.listen(backlog.TOPIC, lambda: woken.append("worker"))
    database.listen("after", after.set)
    with pytest.raises(ChangedMind), begin() as pick:
        pick(ORDER)
        raise ChangedMind
    with begin() as pick:
        pick(ORDER)
    tell(database, "after")  # PostgreSQL tells in the order of the commits
    assert after.wait(PATIENCE_S)
    assert woken == ["worker"]


def test_the_rights_on_the_page_are_enough(wms: Wms, fresh_schema: str, monkeypatch: pytest.MonkeyPatch):
    ours, theirs = (schema_of(address) for address in (fresh_schema, wms.address))
    user = f"user_of_{theirs}"
    grants = examples()["rights"].replace("dockbell", ours).replace("wms", user)
    with psycopg.connect(wms.address) as connection:
        connection.execute(
            f"CREATE ROLE {user}; GRANT USAGE ON SCHEMA {theirs} TO {user}; GRANT ALL ON orders TO {user}"
        )
        connection.execute(grants)
    try:
        with in_psycopg(f"{wms.address}%20-crole%3D{user}", monkeypatch) as begin, begin() as pick:
            pick(ORDER)
        assert len(wms.rows("SELECT event_id FROM deliveries")) == 1
    finally:
        with psycopg.connect(wms.address) as connection:
            connection.execute(f"DROP OWNED BY {user}; DROP ROLE {user}")


# --- the outbox ----------------------------------------------------------------------------------------------------


@pytest.fixture
def with_outbox(wms_schema: str) -> str:
    install_outbox(wms_schema)
    prepare_orders(wms_schema)
    return wms_schema


def run_example(address: str) -> None:
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(examples()["outbox"])


async def test_the_example_of_the_outbox_becomes_an_event(database: Database, with_outbox: str, tmp_path: Path):
    run_example(with_outbox)
    async with a_node(database, tmp_path) as node, a_drain(node, with_outbox) as drain:
        assert await drain.drain_once() == 1
        [event] = node.rows("SELECT object_key, object_number, data FROM events")
    assert (event["object_key"], event["object_number"]) == (f"order/{ORDER}", "SO-1001")
    assert json.loads(event["data"])["orderStatus"] == {"number": 400}


async def test_the_rights_of_the_outbox_on_the_page_are_enough(database: Database, with_outbox: str, tmp_path: Path):
    schema = schema_of(with_outbox)
    publisher, drainer = f"publisher_of_{schema}", f"drainer_of_{schema}"
    grants = examples()["outbox_rights"].replace("TO wms", f"TO {publisher}").replace("TO dockbell", f"TO {drainer}")
    with psycopg.connect(with_outbox) as connection:
        for user in (publisher, drainer):
            connection.execute(f"CREATE ROLE {user}; GRANT USAGE ON SCHEMA {schema} TO {user}")
        connection.execute(f"GRANT ALL ON orders TO {publisher}")
        connection.execute(grants)
    try:
        run_example(f"{with_outbox}%20-crole%3D{publisher}")
        with psycopg.connect(with_outbox) as connection:
            connection.execute("SELECT dockbell_publish('{}')")
        async with a_node(database, tmp_path) as node, a_drain(node, f"{with_outbox}%20-crole%3D{drainer}") as drain:
            assert await drain.drain_once() == 2
            assert len(node.rows("SELECT id FROM events")) == 1
        assert status(with_outbox)["refused"] == 1
    finally:
        with psycopg.connect(with_outbox) as connection:
            connection.execute(f"DROP OWNED BY {publisher}, {drainer}; DROP ROLE {publisher}, {drainer}")


def schema_of(address: str) -> str:
    [options] = parse_qs(urlsplit(address).query)["options"]
    return options.removeprefix("-csearch_path=")
