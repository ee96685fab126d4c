"""Log lines: structured, one per thing that happened, coloured on a terminal and JSON elsewhere.

Names are `noun.past_participle`. The level says who must act: info is normal (a receiver's 500 too),
warning is for tomorrow, error for now.
"""

import contextlib
import logging
import sys
from typing import Any

import structlog

NAMES = {
    "server.started": "Dockbell listens and works.",
    "server.stopped": "Everything taken was written; the program ends.",
    "node.not_left": "The program ended without telling the store, which took no writes; its number is free a little later.",
    "server.broken": "A part of the node ended unasked: a bug. The program stops, so that it is started again.",
    "journal.commit_failed": "The store refused a commit; the events in it were refused too.",
    "journal.cut_short": "The store was away when the program stopped; outcomes of the last attempts are not in it.",
    "journal.not_told": "An answer could not be given to who had asked; its events are stored all the same.",
    "journal.not_planned": "A mistake met events before they were stored; they were refused.",
    "filter.failed": "A webhook's filter cannot judge an event; that webhook does not get it.",
    "lease.expired": "Attempts whose program ended were written off as interrupted and made due again.",
    "worker.claim_failed": "Due deliveries could not be claimed; tried again at once.",
    "worker.tick_failed": "The regular look at leases failed; tried again in a few seconds.",
    "worker.release_failed": "Leases could not be given back. It is tried again while the store is away; else they run out by themselves.",
    "worker.cut_short": "The program stopped while attempts were under way.",
    "attempt.not_built": "A request could not be built; its delivery failed visibly.",
    "attempt.not_closed": "An outcome could not be decided on or stored; the log shows internal_error in its place.",
    "webhook.disabled": "A webhook failed for days, so it was disabled; what waits for it is held.",
    "postman.round_failed": "The look at failing webhooks failed; made again in a moment.",
    "ceiling.not_counted": "What waits for goods owners could not be counted; the last count stands.",
    "mail.not_sent": "The mail server did not take a mail; it is tried again unless it was given up.",
    "outbox.drain_failed": "The outbox or the store was away; tried again in a moment, nothing is lost.",
    "outbox.refused": "An event in the outbox cannot be accepted; it was set aside with the reason.",
    "outbox.not_judged": "A mistake of Dockbell's met an event in the outbox; it was set aside.",
    "store.slow": "A transaction took long.",
    "store.waits": "A command waits for PostgreSQL, and goes on waiting.",
    "store.cut": "A transaction waited too long for PostgreSQL and was ended; whoever asked was told 503.",
    "store.checkpoint_failed": "SQLite's log could not be copied back; tried again soon.",
    "store.log_kept": "SQLite's log cannot start over while somebody reads the database, so it grows; tried again every few seconds.",
    "store.file_gone": "SQLite's file or the -wal file beside it was deleted or replaced; nothing is accepted.",
    "store.file_is_back": "SQLite's files are those again that were opened; events are accepted.",
    "store.log_not_saved": "Another program writes to the database whose -wal file is gone; tried again soon.",
    "store.not_read": "SQLite's file could not be looked at for what others wrote; looked at again soon.",
    "store.listen_broken": "The line on which PostgreSQL tells of changes broke; it is opened again.",
    "store.not_durable": "PostgreSQL is set to lose commits in a power cut.",
    "refusals.not_written": "Why some publishers were refused could not be stored, so no page tells it; they were told.",
    "retention.done": "What ended long enough ago was deleted, or its payload erased.",
    "retention.log_not_emptied": "Somebody reads the database, so SQLite's log keeps what was deleted or erased until that is over.",
    "retention.failed": "Old deliveries could not be deleted now; tried again in a minute.",
    "clock.jumped": "The clock was set by more than two seconds; what waits keeps its intervals.",
    "clock.not_read": "The database's clock could not be asked; this node's goes on evenly.",
    "disk.full": "The database's disk is below its floor: no events are accepted until there is room.",
    "disk.free_again": "The disk has room again; events are accepted.",
    "disk.not_read": "The database's disk could not be looked at; what was last seen of it stands until it can.",
    "disk.ballast_released": "The disk was so full that the ballast was given up, so that attempts and retention can end.",
    "disk.ballast_not_made": "There was no room for the ballast after all; tried again later.",
    "vault.key_made": "A new key file was made; back it up.",
    "vault.key_retired": "A key that no secret needs any more is not known any more.",
    "vault.ring_unreadable": "The key file could not be read anew; the keys known until then are used.",
    "vault.key_open": "Others may read the key file.",
    "request.failed": "A request met a bug; the answer was internal_error.",
    "bulk.stopped": "A run over many deliveries met the store away; it goes on in half a minute.",
    "egress.admit_failed": "A mistake of Dockbell's met an attempt before it began; the log shows internal_error.",
    "egress.connecting_failed": "A mistake of Dockbell's met an attempt while it connected; the log shows internal_error.",
    "egress.addresses_not_read": "This machine's own addresses could not be read; those known until then stay refused.",
    "egress.loopback_allowed": "Webhooks may reach this machine: for tests and the demo only.",
}


def set_up(*, level: str = "info", to_terminal: bool | None = None) -> None:
    """Configure the program's log once, on standard error."""
    terminal = sys.stderr.isatty() if to_terminal is None else to_terminal
    render: Any = structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer()
    # What a client did wrong, it is told; a line for each would let anybody fill the log.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(_Stderr()),  # type: ignore[arg-type]
        cache_logger_on_first_use=True,
    )


class _Stderr:
    """Standard error, whichever that is now. One that is full or closed loses the line, and takes no part of the node along."""

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()
