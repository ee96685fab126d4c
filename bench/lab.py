"""The place all runs of a bench happen in: makes what a run needs, runs it, takes it away again."""

import contextlib
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench import stocks, systems
from bench.logs import Log, PostgresLog, SqliteLog
from bench.measure import Load, asked, measure
from bench.postgres import Cluster
from bench.stocks import NOTHING_MORE, Contents
from bench.systems import KEY_FILE, SERVE, Shape, Site, Target
from bench.targets import Run

DIRECT, RELAY, SQLITE, POSTGRES = "receivers alone", "nginx relay", "Dockbell on SQLite", "Dockbell on PostgreSQL"


class Lab:
    def __init__(self, folder: Path, postgres: Cluster | None, *, seconds: float, scale: float = 1.0) -> None:
        self._folder = folder
        self._postgres = postgres
        self.seconds = seconds
        self._scale = scale
        self._rates: dict[str, list[float]] = {}
        self._stocks: dict[tuple[str, Shape, Contents], tuple[Site, float]] = {}
        self._kept = contextlib.ExitStack()

    @property
    def databases(self) -> tuple[str, ...]:
        return (SQLITE,) if self._postgres is None else (SQLITE, POSTGRES)

    def size(self, full: int) -> int:
        """A size of a scenario, smaller if a smaller bench was asked for."""
        return max(1, round(full * self._scale))

    def load(self, *, seconds: float | None = None, shape: Shape | None = None, **differs: object) -> Load:
        """The usual load but for what is said here."""
        return Load(seconds or self.seconds, shape=shape or Shape(), **differs)  # type: ignore[arg-type]

    def run(
        self,
        system: str,
        load: Load,
        *,
        case: str = "",
        site: Site | None = None,
        nodes: int = 1,
        words: Sequence[str] = SERVE,
        counted: bool = False,
    ) -> Run:
        """One run; on a `site` that is there already if one is given."""
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(self._temporary()))
            if system in (DIRECT, RELAY):
                receiver, ports = stack.enter_context(systems.receivers(load.shape, folder))
                target = stack.enter_context(self._yardstick(system, ports, folder))
            else:
                if site is None:
                    site = stack.enter_context(self.site(system, load.shape, counted=counted))
                else:
                    site.log.begin_after_newest()
                    asked(site.receiver, "forget")
                receiver = site.receiver
                target = stack.enter_context(systems.dockbell(site, nodes=nodes, words=words))
            found = measure(load, target, receiver, folder)
        if load.is_plain and nodes == 1 and words == SERVE and not case:
            self._rates.setdefault(system, []).append(found.figures["delivered and logged/s"])
        return Run(system, found.figures, case, found.events, found.judged, found.faults)

    def plain_rate(self, system: str) -> float:
        """Events a second in scenario (a): of this bench so far, or measured now."""
        if system not in self._rates:
            self.run(system, self.load())
        return statistics.median(self._rates[system])

    def stock(self, system: str, shape: Shape, contents: Contents) -> Site:
        """A database with much in it, made once and kept until the scenario ends."""
        if (system, shape, contents) not in self._stocks:
            began = time.monotonic()
            site = self._kept.enter_context(self.site(system, shape, contents))
            self._stocks[system, shape, contents] = (site, time.monotonic() - began)
        return self._stocks[system, shape, contents][0]

    def took_s(self, site: Site) -> float:
        """How long the stock took to make."""
        return next(took for kept, took in self._stocks.values() if kept is site)

    def clear(self) -> None:
        """Give up all stocks."""
        self._stocks.clear()
        self._kept.close()

    @contextlib.contextmanager
    def site(
        self,
        system: str,
        shape: Shape,
        contents: Contents = NOTHING_MORE,
        *,
        counted: bool = False,
    ) -> Iterator[Site]:
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(self._temporary()))
            receiver, ports = stack.enter_context(systems.receivers(shape, folder))
            if system == SQLITE:
                url = str(folder / "dockbell.sqlite")
                log: Log = SqliteLog(Path(url))
            else:
                assert self._postgres is not None
                url = stack.enter_context(self._postgres.database(counted=counted))
                log = PostgresLog(url, counted=counted and self._postgres.counts_statements)
            key = stocks.make(url, folder / KEY_FILE, shape, ports, contents)
            log.begin_after_newest()
            if shape.unwatched:
                log.owners_below = shape.goods_owners[shape.watched]
            pid = None if system == SQLITE or self._postgres is None else self._postgres.pid
            yield Site(shape, url, folder, key, log, pid, receiver, ports)

    def _temporary(self) -> tempfile.TemporaryDirectory[str]:
        return tempfile.TemporaryDirectory(prefix="run-", dir=self._folder, ignore_cleanup_errors=True)

    @contextlib.contextmanager
    def _yardstick(self, system: str, ports: list[int], folder: Path) -> Iterator[Target]:
        with systems.direct(ports) if system == DIRECT else systems.relay(ports, folder) as target:
            yield target
