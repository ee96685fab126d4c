"""The one place where parts are put together; they start and stop in order.

requests ─> web ─> journal ─> store ─> worker ─> sender ─> receivers
^                              │
└────────── outcomes ──────────┘
"""

import asyncio
import functools
import gc
import socket
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import structlog

from dockbell.actions.access import Doorkeeper
from dockbell.actions.ceiling import Ceiling
from dockbell.actions.journal import Journal
from dockbell.actions.outbox import Drain
from dockbell.actions.pace import Pace
from dockbell.actions.rates import Rates
from dockbell.actions.refusals import Refusals
from dockbell.delivery.postman import Postman
from dockbell.delivery.worker import Worker
from dockbell.egress.own_addresses import keep_own_addresses, own_addresses
from dockbell.egress.sender import Sender
from dockbell.embed import Store
from dockbell.errors import ConfigError, Unavailable
from dockbell.process import files_to_open, keep_memory_private
from dockbell.settings import Settings
from dockbell.start import mail_server, need_sound, refuse_open_door
from dockbell.store import deliveries
from dockbell.store.outbox import open_outbox
from dockbell.upkeep import Upkeep, installation_of
from dockbell.warehouse import pages as warehouse_pages
from dockbell.warehouse.api.server import PREFIXES, build_warehouse_api
from dockbell.web.api import publish as hot
from dockbell.web.connection import Limits
from dockbell.web.front import front_for
from dockbell.web.listen import HttpServer, a_server, taken_addresses, tell_when_started
from dockbell.web.server import Parts, build_app

log = structlog.get_logger()
SWITCH_INTERVAL_S = 0.0005
"""How soon a thread may take the GIL: the writer and the sender must not wait 5 ms for a busy event loop."""
OUTBOX_END_S = 10
JOURNAL_END_S = 20
END_OF_TIME = 2**62
OF_FILES_FOR_PUBLISHERS, OF_FILES_FOR_RECEIVERS = 3, 4
"""A third, and a fourth, of the files that the process may open; the last for connections kept open, not for those in use."""


class App:
    """One node, running: web server, journal, worker, sender.

    Raises ConfigError when settings would leave a door open, or another program serves this SQLite file.
    """

    def __init__(self, settings: Settings, store: Store) -> None:
        refuse_open_door(settings)
        self._alone = store.database.serve_alone()
        if not self._alone and settings.database_file() is not None:
            raise ConfigError(
                f"Another Dockbell serves {settings.database}: a SQLite file has one, or deliveries would be sent twice.",
                hint="Stop that one first, or use PostgreSQL: several nodes may share that.",
            )
        self.settings = settings
        self.store = store
        self.drain: Drain | None = None
        self._tasks: list[asyncio.Task[Any]] = []
        self._server: HttpServer | None = None
        self.upkeep = Upkeep(settings, store.database, store.clock)
        self._stopping = False
        self._ended: str | None = None

    async def start(self) -> None:
        store, settings = self.store, self.settings
        store.addresses.own_addresses = own_addresses()
        address, mails = settings.outbox.address(), mail_server(settings)
        loop = asyncio.get_running_loop()
        if self._alone:
            await self._rescue_all()
        store.database.listen("webhooks", self._on_loop(loop, self._refresh))
        store.database.listen("catalog", self._on_loop(loop, self._refresh))
        await store.index.refresh(store.database)
        self.ceiling = Ceiling(
            store.database, store.clock,
            deliveries=settings.limits.queued_deliveries, mebibytes=settings.limits.queued_mebibytes,
        )  # fmt: skip
        self.worker = Worker(
            store.database, store.index, store.clock,
            node=store.node, slots=settings.worker.slots, waits=self.ceiling.waits,
        )  # fmt: skip
        self.journal = Journal(
            store.database, store.index, store.publisher, store.webhooks, store.clock, self.worker, node=store.node,
            need_room=self.upkeep.need_room,
        )  # fmt: skip
        self._files = files_to_open()
        self.sender = Sender(
            store.addresses,
            deliver=self.worker.outcomes,
            ca_file=settings.egress.ca_file,
            connect_timeout_s=settings.egress.connect_timeout_s,
            body_timeout_s=settings.egress.body_timeout_s,
            per_address_limit=settings.egress.per_address,
            kept=self._files // OF_FILES_FOR_RECEIVERS,
        )
        self.worker.attach(self.sender, self.journal)
        self.sender.start()
        if settings.egress.allow_loopback_for_tests:
            log.warning(
                "egress.loopback_allowed", hint="Unset DOCKBELL_EGRESS__ALLOW_LOOPBACK_FOR_TESTS in production."
            )
        parts = Parts(
            database=store.database,
            index=store.index,
            journal=self.journal,
            publisher=store.publisher,
            webhooks=store.webhooks,
            doorkeeper=Doorkeeper(store.database),
            clock=store.clock,
            system=settings.system,
            refusals=Refusals(store.database, store.index, store.clock, store.publisher.new_id),
            secure=settings.server.behind_proxy,
            warehouse=settings.warehouse.enabled,
            ended=lambda: self._ended,
            refused=lambda: self.worker.refused,
            room=self.upkeep.has_room,
            tests=Pace(store.clock, settings.limits.tests_per_minute),
            installation=installation_of(settings),
            rates=Rates(store.clock, settings.limits.events_per_second),
            ceiling=self.ceiling,
            open_outbox=None if address is None else lambda: open_outbox(address),
            hosts=frozenset(host.lower().encode() for host in settings.server.hosts),
        )
        self.parts = parts
        more_pages = [warehouse_pages.routes] if settings.warehouse.enabled else []
        self.asgi = build_app(parts, mounts=self._mounts(parts), more_pages=more_pages)
        self.front = front_for(hot.PATH, functools.partial(hot.publish_at_once, parts))
        self._journal_task = self._watched("journal", self.journal.run())
        self._worker_task = self._watched("worker", self.worker.run())
        self._upkeep_task = self._watched("upkeep", self.upkeep.run(alone=self._alone))
        postman = Postman(
            store.database, store.webhooks, store.clock, mails,
            disable_after_days=settings.limits.disable_after_days,
        )  # fmt: skip
        self._aside = [self._watched("postman", postman.run()), self._watched("ceiling", self.ceiling.run())]
        self._aside.append(self._watched("own addresses", keep_own_addresses(store.addresses, store.clock)))
        if address is not None:
            self.drain = Drain(
                lambda: open_outbox(address), store.database, store.index, store.publisher, self.journal, store.clock
            )
            self._drain_task = self._watched("drain", self.drain.run())
        gc.collect()
        gc.freeze()

    async def _rescue_all(self) -> None:
        """Whatever is still leased was left by a program that died: nobody need wait until those leases end."""
        now = self.store.clock.now()
        while await self.store.database.write(lambda tx: deliveries.rescue(tx, now=now, leased_until=END_OF_TIME)):
            pass

    async def serve(
        self, *, ready: Callable[[], None] = lambda: None, sockets: list[socket.socket] | None = None
    ) -> None:
        """Answer requests until a signal comes, then stop in order; what was accepted is kept.

        Raises Unavailable when a part of the node ended unasked: whoever runs the program starts it again.
        """
        mine = self.settings.server
        limits = Limits(
            mine.head_timeout_s, mine.body_timeout_s, mine.connections or self._files // OF_FILES_FOR_PUBLISHERS
        )
        self._server = server = a_server(self.asgi, mine.host, mine.port, limits, protocol=self.front)
        server.should_exit = self._ended is not None  # it may have ended before anyone listened
        listening = asyncio.create_task(tell_when_started(server, ready))
        try:
            await server.serve(sockets)
        finally:
            listening.cancel()
            await self.stop()
        if self._ended is not None:
            text = f"The {self._ended} ended by a mistake of Dockbell's, so this node stopped."
            raise Unavailable(text, hint="The log has the reason as server.broken. Start the node again.")

    async def stop(self) -> None:
        self._stopping = True
        grace_s = self.settings.worker.shutdown_s if self._ended is None else 0.0
        if self.drain is not None:
            self.drain.stop()
            if (await asyncio.wait({self._drain_task}, timeout=OUTBOX_END_S))[1]:
                # Its rows stay where they are; a thread that waits for them would keep the program.
                await self.drain.close()
        await self.worker.stop(grace_s=grace_s)
        self._upkeep_task.cancel()
        self._worker_task.cancel()
        for task in self._aside:
            task.cancel()
        await self.sender.close()
        await self.parts.refusals.end()
        self.journal.stop()
        if (await asyncio.wait({self._journal_task}, timeout=JOURNAL_END_S))[1]:
            log.error("journal.cut_short", hint="The store is away: what was under way will show as interrupted.")
            self._journal_task.cancel()
        self.store.close()
        log.info("server.stopped")

    def _watched(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task without which the node is none: it would take connections and answer nothing."""

        def note_end(task: asyncio.Task[None]) -> None:
            if task.cancelled() or ((self._stopping or self._ended) and task.exception() is None):
                return
            self._ended = name
            log.error("server.broken", part=name, exc_info=task.exception())
            self.journal.stop()
            if self._server is not None:
                self._server.should_exit = True

        task = asyncio.create_task(work)
        task.add_done_callback(note_end)
        return task

    def _mounts(self, parts: Parts) -> Sequence[tuple[str, Any]]:
        if not self.settings.warehouse.enabled:
            return ()
        warehouse = build_warehouse_api(parts)
        return [(f"/api/v1/{name}", warehouse) for name in PREFIXES]

    def _on_loop(self, loop: asyncio.AbstractEventLoop, coroutine: Callable[[], Any]) -> Callable[[], None]:
        def start() -> None:
            task = loop.create_task(coroutine())
            self._tasks.append(task)
            task.add_done_callback(self._tasks.remove)

        return lambda: _call_on(loop, start)

    async def _refresh(self) -> None:
        await self.store.index.refresh(self.store.database)


def _call_on(loop: asyncio.AbstractEventLoop, start: Callable[[], None]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(start)


def serve(settings: Settings, *, ready: Callable[[], None] = lambda: None) -> None:
    """Run a node until SIGTERM or Ctrl-C."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    keep_memory_private()
    # All that can be refused is refused before the first key and link are printed: nobody can read them again.
    need_sound(settings)
    sockets = taken_addresses(settings.server.host, settings.server.port)
    store = Store(settings)

    async def main() -> None:
        try:
            app = App(settings, store)
            _let_the_first_in(store)
            await app.start()
        except BaseException:
            store.close()
            raise

        def listening() -> None:
            log.info("server.started", url=store.url, node=store.node)
            ready()

        await app.serve(ready=listening, sockets=sockets)

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(main())


def _let_the_first_in(store: Store) -> None:
    first = store.first_key()
    if first is not None:
        print(f"\nAdministrator key, shown this once:\n\n    {first.key}\n", flush=True)
    link = store.first_link()
    if link is not None:
        print(f"Become the first administrator in the browser, within 30 minutes:\n\n    {link}\n", flush=True)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    import uvloop

    return uvloop.new_event_loop
