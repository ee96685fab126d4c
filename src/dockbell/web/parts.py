"""What the web server needs of the program it runs in, put together by the application."""

from collections.abc import Callable
from dataclasses import dataclass, field

from dockbell.actions.access import Doorkeeper
from dockbell.actions.ceiling import Ceiling
from dockbell.actions.index import Index
from dockbell.actions.journal import Journal
from dockbell.actions.pace import Pace
from dockbell.actions.publish import Publisher
from dockbell.actions.rates import Rates
from dockbell.actions.refusals import Refusals
from dockbell.actions.webhooks import Webhooks
from dockbell.clock import Clock, SystemClock
from dockbell.domain.findings import Installation
from dockbell.errors import Unavailable
from dockbell.store.database import Database


@dataclass(frozen=True)
class Parts:
    database: Database
    index: Index
    journal: Journal
    publisher: Publisher
    webhooks: Webhooks
    doorkeeper: Doorkeeper
    clock: Clock
    system: str
    refusals: Refusals
    """What publishers were refused here."""
    secure: bool = False
    """Browsers reach us over TLS, so cookies may insist on it."""
    warehouse: bool = False
    """The reference warehouse runs in this process."""
    ended: Callable[[], str | None] = lambda: None
    """The part of the node that ended unasked; while all of them run, None."""
    refused: Callable[[], Unavailable | None] = lambda: None
    """Why the store takes no writes; while it does, None."""
    room: Callable[[], bool] = lambda: True
    """The disk has room for more events."""
    tests: Pace = field(default_factory=lambda: Pace(SystemClock()))
    """How often somebody may send a test event."""
    installation: Installation = field(default_factory=Installation)
    """How this node is set up, for the findings of the system page."""
    rates: Rates = field(default_factory=lambda: Rates(SystemClock()))
    """How fast a key may publish."""
    ceiling: Ceiling | None = None
    """How much may wait for a goods owner; None: anything."""
    open_outbox: Callable[[], Database] | None = None
    """How to reach the outbox; None: there is none."""
    hosts: frozenset[bytes] = frozenset()
    """Names that requests may call this server by; empty: any."""
