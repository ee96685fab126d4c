"""An installation's store with what belongs to it: schema, key ring, webhooks in memory, a number for its event ids.

It is all that a program needs to publish without being a node: the command line, and a warehouse system that publishes in its
own transactions (docs/how-to/embed-in-your-wms.md). Such a program loads neither web server nor worker nor sender.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from dockbell.actions import sign_in
from dockbell.actions.access import NewKey, create_key
from dockbell.actions.index import Index
from dockbell.actions.publish import Publisher
from dockbell.actions.webhooks import Webhooks
from dockbell.clock import SystemClock
from dockbell.domain.addresses import AddressPolicy, parse_allow_rules
from dockbell.domain.catalog import load_catalog
from dockbell.domain.ids import EventIds
from dockbell.domain.permissions import SYSTEM
from dockbell.errors import DockbellError
from dockbell.settings import Settings
from dockbell.store import events, people
from dockbell.store.database import Database, Transaction, open_database
from dockbell.store.migrate import migrate, verify
from dockbell.store.vault import Vault, open_vault

log = structlog.get_logger()


class Store:
    """The database with what belongs to it: schema, key ring, clock."""

    def __init__(self, settings: Settings) -> None:
        self.url = settings.server.base_url or f"http://{settings.server.host}:{settings.server.port}"
        """Where people reach this program."""
        self.database: Database = open_database(settings.database)
        self.clock = SystemClock(self.database.clock_offset())
        if settings.migrate_on_start:
            migrate(self.database, now=self.clock.now())
        verify(self.database)
        self.vault: Vault = open_vault(settings.key_path(), self.database, given=settings.given_keys())
        self.catalog = load_catalog()
        self.addresses = AddressPolicy(
            parse_allow_rules(settings.egress.allow, allow_wide=settings.egress.allow_wide),
            settings.egress.allow_loopback_for_tests,
            settings.egress.nat64_prefixes,
            private_names=settings.egress.private_names,
            own_ports=[settings.server.port],
        )
        self.index = Index(self.catalog, self.vault, self.addresses)
        self.webhooks = Webhooks(
            self.index, self.vault, self.addresses, most_of_an_owner=settings.limits.webhooks_per_owner
        )
        self._staying = threading.Lock()
        self._looked_at = 0
        self.publisher = Publisher(self.index, self._join(), system=settings.system)

    @contextmanager
    def inside(self, connection: object) -> Iterator[Transaction]:
        """The transaction that an application has open on its own psycopg connection, to publish in.

        What is published is committed or rolled back with everything else the application does in it.
        """
        self._stay()
        with self.database.inside(connection) as tx:
            yield tx

    def first_key(self) -> NewKey | None:
        """The administrator key of a database that has none yet."""

        def make(tx: Transaction) -> NewKey | None:
            if people.keys(tx):
                return None
            now = self.clock.now()
            return create_key(
                tx, SYSTEM, label="First administrator", scopes=["admin"], goods_owners=None, expires_at=None, now=now
            )

        return self.database.submit_write(make).result()

    def first_link(self) -> str | None:
        """A link that works once and makes the first administrator; None when there is one already."""
        told = self.database.submit_write(lambda tx: sign_in.first_link(tx, now=self.clock.now())).result()
        return None if told is None else f"{self.url}/first/{told}"

    def close(self) -> None:
        """Also when the store takes no writes: a SQLite file that is not closed may lack what its log held."""
        try:
            self.database.submit_write(lambda tx: people.leave_node(tx, self.node, joined_at=self._joined_at)).result()
        except DockbellError as refused:
            log.warning("node.not_left", node=self.node, error=refused.message)
        finally:
            self.database.close()

    def _join(self) -> EventIds:
        now = self.clock.now()

        def join(tx: Transaction) -> tuple[int, int]:
            return people.join_node(tx, name=socket.gethostname(), now=now), events.newest_id(tx)

        self.node, newest = self.database.submit_write(join).result()
        self._joined_at = now
        return EventIds(self.node, newest=newest)

    def _stay(self) -> None:
        """Keep our node number, and the index fresh, in a program that has no worker to do it.

        One that stood idle for a minute may have lost its number to another, and two that make ids with
        one number make them twice.
        """
        with self._staying:
            now = self.clock.now()
            if 0 <= now - self._looked_at < people.NODE_GONE_AFTER // 2:
                return
            keep = self.database.submit_write(
                lambda tx: people.keep_node(tx, self.node, joined_at=self._joined_at, now=now)
            )
            if not keep.result():
                self.publisher.use_ids(self._join())
            self.index.adopt(self.database.submit_read(self.index.fresh).result())
            self._looked_at = now
