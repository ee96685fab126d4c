"""What is wrong or risky about an installation, judged from facts: `dockbell doctor` and the system page say the same.

Pure: whoever collects the facts may be wrong about them, but not about what they mean.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Level = Literal["wrong", "risk"]
LARGEST_DRIFT_S = 2.0
LONGEST_BACKLOG_S = 900.0
MIB = 1024 * 1024
FIXED_SQLITE = ((3, 51, 3), (3, 50, 7), (3, 44, 6))
"""The first is right from then on, the others within their own line: before, a WAL reset could lose commits."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing an operator should know. `wrong` breaks a promise now or soon; `risk` may be meant so."""

    code: str
    level: Level
    text: str
    advice: str


@dataclass(frozen=True, slots=True)
class Installation:
    """How this program is set up, as far as it matters here."""

    host: str = "127.0.0.1"
    behind_proxy: bool = False
    base_url: str | None = None
    allow: Sequence[str] = ()
    loopback: bool = False
    warehouse: bool = False
    retention_days: int = 30
    floor_bytes: int = 0
    ballast_bytes: int = 0
    key_file: str | None = None
    """None: the keys are given."""
    given_keys: str | None = field(default=None, repr=False)
    database_file: str | None = None
    """None: PostgreSQL."""
    has_mail_server: bool = True
    refused: Sequence[str] = ()
    """Settings with which no node starts: what is wrong, and what is allowed."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What was found. A field that was not looked at keeps its default, which is sound."""

    known_schema: int = 0
    schema: int | None = 0
    """None: there is none yet."""
    durability: Mapping[str, str] = field(default_factory=dict)
    """The store's own settings by name: PostgreSQL's, or SQLite's pragmas."""
    no_writes: str | None = None
    """Why the store takes no writes."""
    sqlite: tuple[int, ...] | None = None
    drift_s: float = 0.0
    key_mode: int | None = None
    refused_keys: str | None = None
    """Why no node could open the secrets."""
    on_old_keys: int = 0
    free_bytes: int | None = None
    ballast_bytes: int = 0
    due: int = 0
    oldest_due_s: float = 0.0
    nodes_alive: int = 1
    nodes_gone: Sequence[str] = ()
    failing: Sequence[tuple[int, str, float]] = ()
    """Webhooks that only fail: id, name, seconds since the first failure."""
    disabled: Sequence[tuple[int, str, str]] = ()
    """Webhooks that were disabled by Dockbell: id, name, why."""
    unsent_mails: int = 0
    """Mails that the mail server did not take so far."""
    oldest_mail_s: float = 0.0


def of_settings(here: Installation) -> list[Finding]:
    """What needs no look at the store: no node starts with these settings."""
    return [
        Finding(
            "settings",
            "wrong",
            f"No node starts with these settings: {why}",
            "Mend it in dockbell.toml or in the variable, and start anew.",
        )
        for why in here.refused
    ]


def judge(here: Installation, facts: Facts) -> list[Finding]:
    """Everything that is wrong, then what is risky."""
    found = [
        *of_settings(here),
        *_store(here, facts),
        *_secrets(here, facts),
        *_work(facts),
        *_mails(here, facts),
        *_doors(here),
        *_kept(here),
    ]
    return sorted(found, key=lambda finding: finding.level == "risk")


def _store(here: Installation, facts: Facts) -> Iterator[Finding]:
    if facts.schema is None:
        yield Finding("schema", "wrong", "The database has no Dockbell schema yet.", "Run `dockbell migrate`.")
    elif facts.schema < facts.known_schema:
        yield Finding(
            "schema",
            "wrong",
            f"The database has schema {facts.schema}; this program needs {facts.known_schema}.",
            "Run `dockbell migrate`, or start with migrate_on_start.",
        )
    elif facts.schema > facts.known_schema:
        yield Finding(
            "schema",
            "wrong",
            f"The database has schema {facts.schema}; this program knows up to {facts.known_schema}.",
            "Start the newer program, or restore the backup made before the upgrade.",
        )
    if facts.no_writes is not None:
        yield Finding(
            "no_writes",
            "wrong",
            f"PostgreSQL takes no writes: {facts.no_writes}. No event is accepted, and none is delivered.",
            "ALTER ROLE or DATABASE ... RESET default_transaction_read_only, GRANT what is missing, or name the primary "
            "server in DOCKBELL_DATABASE.",
        )
    for name, value in sorted(facts.durability.items()):
        if value in {"off", "0", "1"}:  # SQLite's synchronous=NORMAL is 1: it survives a kill, not a power cut
            yield Finding(
                "not_durable",
                "wrong",
                f"The store runs with {name} = {value}: a power cut loses accepted events.",
                f"Switch it on where it was switched off: ALTER ROLE, DATABASE or SYSTEM ... RESET {name}, or "
                "postgresql.conf and `SELECT pg_reload_conf()`." if here.database_file is None
                else "Another program changed this setting of the file; start Dockbell anew.",
            )  # fmt: skip
    if facts.sqlite is not None and not _is_fixed(facts.sqlite):
        version = ".".join(map(str, facts.sqlite))
        yield Finding(
            "sqlite_version",
            "wrong",
            f"SQLite {version} can lose commits when its log starts over.",
            "Install apsw 3.51.3 or later, as requirements.lock says.",
        )
    if abs(facts.drift_s) > LARGEST_DRIFT_S:
        yield Finding(
            "clock_drift",
            "wrong",
            f"The clocks of this machine and of the database differ by {abs(facts.drift_s):.1f} seconds.",
            "Let both follow the same time server (chrony, systemd-timesyncd).",
        )
    if facts.free_bytes is not None and facts.free_bytes < here.floor_bytes:
        yield Finding(
            "disk_full",
            "wrong",
            f"The database's disk has {facts.free_bytes // MIB} MiB left; below {here.floor_bytes // MIB} MiB no events "
            "are accepted.",
            "Free space or enlarge the disk; Dockbell goes on by itself. A shorter retention.days helps for good.",
        )
    if facts.ballast_bytes < here.ballast_bytes:
        yield Finding(
            "ballast",
            "risk",
            f"The ballast beside the database has {facts.ballast_bytes // MIB} of {here.ballast_bytes // MIB} MiB.",
            "It is made by a running node as soon as the disk has room for it.",
        )


def _is_fixed(version: tuple[int, ...]) -> bool:
    newest, *backports = FIXED_SQLITE
    return version >= newest or any(version[:2] == line[:2] and version >= line for line in backports)


def _secrets(here: Installation, facts: Facts) -> Iterator[Finding]:
    if facts.key_mode is not None and facts.key_mode & 0o077:
        yield Finding(
            "key_file_open",
            "wrong",
            f"Others on this machine may read the key file (mode {facts.key_mode:o}).",
            f"Run: chmod 600 {here.key_file}",
        )
    if facts.refused_keys is not None:
        yield Finding(
            "keys",
            "wrong",
            f"No node starts with these keys: {facts.refused_keys}",
            "Put the key, or the whole key file, back from your backup; it must belong to the user that Dockbell runs as."
            if here.given_keys is None
            else "Put the key back into secret_keys, from your backup.",
        )
    if facts.on_old_keys:
        yield Finding(
            "old_keys",
            "risk",
            f"{facts.on_old_keys} webhooks are sealed with an old key.",
            "Run `dockbell rotate-keys`; it goes on where it was stopped.",
        )


def _work(facts: Facts) -> Iterator[Finding]:
    if facts.nodes_alive == 0:
        yield Finding("no_node", "wrong", "No node is running: nothing is delivered.", "Start `dockbell serve`.")
    if facts.nodes_gone:
        yield Finding(
            "node_gone",
            "wrong" if facts.nodes_alive == 0 else "risk",
            f"Nodes ended without a word: {', '.join(facts.nodes_gone)}.",
            "Look into that machine's log. What the node had in hand was taken up by others, or will be at the next start.",
        )
    if facts.oldest_due_s > LONGEST_BACKLOG_S:
        yield Finding(
            "backlog",
            "wrong",
            f"{facts.due} deliveries are due, the oldest for {facts.oldest_due_s / 60:.0f} minutes.",
            "One webhook's receiver may be slow (see its page); if all wait, add a node or raise worker.slots.",
        )
    for webhook_id, name, since_s in facts.failing:
        yield Finding(
            "webhook_failing",
            "risk",
            f"Webhook {webhook_id}, {name}: every attempt has failed for {since_s / 3600:.1f} hours.",
            "Its log says what the receiver answers.",
        )
    for webhook_id, name, why in facts.disabled:
        yield Finding(
            "webhook_disabled",
            "risk",
            f"Webhook {webhook_id}, {name}, is disabled: {why}",
            "Mend the reason and enable it: what was held is delivered then. What happens until then is missed, and can be sent then from its page: Send what it missed.",
        )


def _mails(here: Installation, facts: Facts) -> Iterator[Finding]:
    if facts.unsent_mails:
        yield Finding(
            "mail_not_sent",
            "wrong",
            f"The mail server takes no mails about failing webhooks: {facts.unsent_mails} wait, the oldest for "
            f"{facts.oldest_mail_s / 60:.0f} minutes.",
            "A node's log has its answer as mail.not_sent; mend smtp.host, smtp.username and what belongs to them.",
        )
    if facts.failing and not here.has_mail_server:
        yield Finding(
            "no_mail_server",
            "risk",
            "Webhooks fail and nobody is told: there is no mail server (smtp.host).",
            "Set smtp.host and smtp.sender; the webhook's own e-mail address gets the mails.",
        )


def _doors(here: Installation) -> Iterator[Finding]:
    if here.loopback:
        yield Finding(
            "loopback_allowed",
            "risk",
            "Webhooks may reach this very machine (egress.allow_loopback_for_tests).",
            "That is for tests and the demo: unset it.",
        )
    for rule in here.allow:
        yield Finding(
            "private_allowed",
            "risk",
            f"Webhooks may reach a private network: {rule} (egress.allow).",
            "Keep the rule as narrow as the receiver: one owner, one network, one port.",
        )
    if here.warehouse:
        yield Finding(
            "warehouse",
            "risk",
            "The reference warehouse runs in this process (warehouse.enabled).",
            "That is for trying Dockbell: unset it.",
        )
    if here.base_url is not None and not here.base_url.startswith("https://"):
        yield Finding(
            "base_url",
            "wrong",
            f"People reach the pages at {here.base_url}: passwords and keys travel in clear.",
            "Put a proxy with TLS in front and write https:// in server.base_url.",
        )
    elif here.behind_proxy and here.base_url is None:
        yield Finding(
            "base_url",
            "risk",
            "server.behind_proxy is set but server.base_url is not: printed links lead to this machine's own port.",
            "Set server.base_url to the address people type.",
        )
    if here.base_url is not None and here.base_url.startswith("https://") and not here.behind_proxy:
        yield Finding(
            "behind_proxy",
            "wrong",
            "The pages are reached over TLS but server.behind_proxy is not set: cookies go out without Secure.",
            "Set server.behind_proxy.",
        )


def _kept(here: Installation) -> Iterator[Finding]:
    if here.retention_days == 0:
        yield Finding(
            "retention_off",
            "risk",
            "Nothing is ever deleted from the log (retention.days = 0): the database only grows.",
            "Set retention.days; payloads are personal data.",
        )
