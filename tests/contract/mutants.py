"""Prove that the contract tests can fail: small mistakes are put into the store one by one, each must be caught.

    python tests/contract/mutants.py [WORD ...]      only mutants whose name or file holds one of the words

Each mutant lives in a copy of the tree. Its own file of tests runs first, the others only if that one lets it pass; a
table is printed, and the exit code is 1 if any mutant survives (or no longer fits the source: then mend the list).
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
STORE = Path("src/dockbell/store")
TOGETHER = 2
LONGEST_S = 240

NAMES = (
    "claims",
    "deliveries",
    "events",
    "log",
    "backlog",
    "webhooks",
    "nodes",
    "transactions",
    "wakes",
    "schema",
    "turns",
)
ALL = [f"tests/contract/test_store_{name}.py" for name in NAMES]
CLAIMS, DELIVERIES, EVENTS, LOG, BACKLOG, WEBHOOKS, NODES, TRANSACTIONS, WAKES, SCHEMA, TURNS = ALL


@dataclass(frozen=True)
class Mutant:
    name: str
    file: str
    old: str
    new: str
    caught_by: str


CLAIM_LOCK = """         WHERE w.id = :webhook_id /*pg FOR UPDATE SKIP LOCKED */
"""
JOINED = """         WHERE deliveries.event_id = picked.event_id AND deliveries.webhook_id = picked.webhook_id
"""
NESTED = """         WHERE deliveries.webhook_id = :webhook_id AND deliveries.event_id IN (
               SELECT d.event_id FROM deliveries d
                WHERE d.webhook_id = :webhook_id AND d.status = 'pending' AND d.due_at <= :now
                ORDER BY d.due_at, d.event_id LIMIT :room /*pg FOR UPDATE SKIP LOCKED */)
           AND deliveries.status = 'pending'
"""
MUTANTS = (
    # Claiming.
    Mutant("two nodes may claim for one webhook at once (PostgreSQL)", "deliveries.py", CLAIM_LOCK, "         WHERE w.id = :webhook_id\n", CLAIMS),
    Mutant("a claim queues behind another's lock (PostgreSQL)", "deliveries.py", CLAIM_LOCK, CLAIM_LOCK.replace(" SKIP LOCKED", ""), CLAIMS),
    Mutant("a claim passes the cap", "deliveries.py", 'min(limit, int(webhook["max_concurrency"]) + ahead - int(busy["n"]))', "limit", CLAIMS),
    Mutant("a claim counts only its own against the cap", "deliveries.py", 'int(webhook["max_concurrency"]) + ahead - int(busy["n"])', 'int(webhook["max_concurrency"]) + ahead', CLAIMS),
    Mutant("other webhooks' attempts count against the cap", "deliveries.py", "WHERE d.webhook_id = :webhook_id AND d.status = 'sending'\"", "WHERE :webhook_id > 0 AND d.status = 'sending'\"", CLAIMS),
    Mutant("a cap that was lowered gives a negative limit", "deliveries.py", "room=max(0, min(", "room=min(99, min(", CLAIMS),
    Mutant("a claim takes what is not due", "deliveries.py", "d.status = 'pending' AND d.due_at <= :now\n                 {_IN", "d.status = 'pending' AND :now > 0\n                 {_IN", CLAIMS),
    Mutant("a claim takes what is being sent", "deliveries.py", "d.status = 'pending' AND d.due_at <= :now\n                 {_IN", "d.status <> 'delivered' AND d.due_at <= :now\n                 {_IN", CLAIMS),
    Mutant("a claim takes any, not the oldest", "deliveries.py", "ORDER BY d.due_at, d.event_id LIMIT :room", "ORDER BY d.event_id LIMIT :room", CLAIMS),
    Mutant("a claim takes the newest", "deliveries.py", "ORDER BY d.due_at, d.event_id LIMIT :room", "ORDER BY d.due_at DESC, d.event_id DESC LIMIT :room", CLAIMS),
    Mutant("claimed deliveries come in any order", "deliveries.py", 'key=lambda row: (row["due_at"], row["event_id"])', 'key=lambda row: row["event_id"]', CLAIMS),
    Mutant("a claim's LIMIT is applied again and again (PostgreSQL)", "deliveries.py", JOINED, NESTED, CLAIMS),
    Mutant("a claim touches every webhook of the event", "deliveries.py", "deliveries.event_id = picked.event_id AND deliveries.webhook_id = picked.webhook_id", "deliveries.event_id = picked.event_id", CLAIMS),
    Mutant("a new lease has the old number", "deliveries.py", "lease_no = lease_no + 1, ", "", CLAIMS),
    Mutant("each attempt starts the retry day anew", "deliveries.py", "first_attempt_at = COALESCE(first_attempt_at, :now)", "first_attempt_at = :now", CLAIMS),
    Mutant("a disabled webhook is claimed for", "deliveries.py", 'if not webhook["enabled"]:', 'if webhook["deleted_at"]:', CLAIMS),
    Mutant("a webhook whose work is not due counts as waiting", "deliveries.py", ") <= :now\n         LIMIT", ") > 0 AND :now > 0\n         LIMIT", CLAIMS),
    Mutant("the search for waiting webhooks starts over", "deliveries.py", "WHERE d.status = 'pending' AND d.webhook_id > :after\n", "WHERE d.status = 'pending' AND :after >= 0\n", CLAIMS),
    # Closing and fencing.
    Mutant("a lost lease may write the outcome", "deliveries.py", '           AND deliveries.lease_until <> 0 AND deliveries.lease_no = r.lease_no\n        """,\n        rows=[\n', "           AND deliveries.status = 'sending'\n        \"\"\",\n        rows=[\n", DELIVERIES),
    Mutant("an outcome changes what is no longer being sent", "deliveries.py", '           AND deliveries.lease_until <> 0 AND deliveries.lease_no = r.lease_no\n        """,\n        rows=[\n', '           AND deliveries.lease_no = r.lease_no\n        """,\n        rows=[\n', DELIVERIES),
    Mutant("an outcome closes the event's other deliveries", "deliveries.py", 'WHERE deliveries.event_id = r.event_id AND deliveries.webhook_id = r.webhook_id\n           AND deliveries.lease_until <> 0 AND deliveries.lease_no = r.lease_no\n        """,\n        rows=[\n', "WHERE deliveries.event_id = r.event_id\n           AND deliveries.status = 'sending' AND deliveries.lease_no = r.lease_no\n        \"\"\",\n        rows=[\n", DELIVERIES),
    Mutant("failures are not counted", "deliveries.py", "failures = deliveries.failures + r.failed", "failures = deliveries.failures", DELIVERIES),
    Mutant("a failure for a disabled webhook goes on", "deliveries.py", "w.id = r.webhook_id AND w.enabled = 0)\n                             THEN 'held'", "w.id = r.webhook_id AND w.enabled = 0)\n                             THEN 'pending'", DELIVERIES),
    Mutant("a failure for a deleted webhook is held for ever", "deliveries.py", "w.id = r.webhook_id AND w.deleted_at IS NOT NULL)\n                             THEN 'cancelled'", "w.id = r.webhook_id AND w.deleted_at IS NOT NULL)\n                             THEN 'held'", DELIVERIES),
    Mutant("the truth that came late is not told", "deliveries.py", "          ended_at = excluded.ended_at, code = excluded.code,", "          ended_at = excluded.ended_at, code = attempts.code,", DELIVERIES),
    # Rescue, extend, release.
    Mutant("living leases are rescued", "deliveries.py", "WHERE d.status = 'sending' AND d.lease_until <= :leased_until", "WHERE d.status = 'sending' AND :leased_until > 0", DELIVERIES),
    Mutant("a rescue counts a failure", "deliveries.py", "due_at = :now, lease_until = 0, last_code = 'interrupted'", "due_at = :now, lease_until = 0, last_code = 'interrupted', failures = failures + 1", DELIVERIES),
    Mutant("a rescue leaves the old due moment", "deliveries.py", "due_at = :now, lease_until = 0, last_code = 'interrupted'", "lease_until = 0, last_code = 'interrupted'", DELIVERIES),
    Mutant("a rescued delivery of a disabled webhook goes on", "deliveries.py", "FROM switched_off o) THEN 'held' ELSE", "FROM switched_off o) THEN 'pending' ELSE", DELIVERIES),
    Mutant("a rescued delivery of a deleted webhook is held for ever", "deliveries.py", "o.deleted_at IS NOT NULL)\n                             THEN 'cancelled'", "o.deleted_at IS NOT NULL)\n                             THEN 'held'", DELIVERIES),
    Mutant("a rescue takes any, not the longest overdue", "deliveries.py", "ORDER BY d.lease_until LIMIT :limit", "ORDER BY d.event_id LIMIT :limit", DELIVERIES),
    Mutant("a lost lease can be extended", "deliveries.py", "           AND deliveries.lease_until <> 0 AND deliveries.lease_no = r.lease_no\n        RETURNING", "           AND deliveries.status = 'sending'\n        RETURNING", DELIVERIES),
    Mutant("a lost lease can be given back", "deliveries.py", '           AND deliveries.lease_until <> 0 AND deliveries.lease_no = r.lease_no\n        """,\n        rows=[(lease.event_id, lease.webhook_id, lease.lease_no, due_at)', "           AND deliveries.status = 'sending'\n        \"\"\",\n        rows=[(lease.event_id, lease.webhook_id, lease.lease_no, due_at)", DELIVERIES),
    Mutant("a lease given back counts as an attempt", "deliveries.py", "attempts = deliveries.attempts - 1,", "attempts = deliveries.attempts,", DELIVERIES),
    Mutant("a lease given back has begun the retry day", "deliveries.py", "THEN deliveries.first_attempt_at END", "THEN deliveries.first_attempt_at ELSE deliveries.first_attempt_at END", DELIVERIES),
    # Events and the log.
    Mutant("a repeated id is an error", "events.py", "        ON CONFLICT (goods_owner_id, publisher_id) WHERE publisher_id IS NOT NULL DO NOTHING\n", "", EVENTS),
    Mutant("an event id that is taken goes unnoticed", "events.py", "ON CONFLICT (goods_owner_id, publisher_id) WHERE publisher_id IS NOT NULL DO NOTHING", "ON CONFLICT DO NOTHING", EVENTS),
    Mutant("a publisher's id is looked up across goods owners", "events.py", "WHERE goods_owner_id = :goods_owner_id AND publisher_id = :publisher_id", "WHERE :goods_owner_id > 0 AND publisher_id = :publisher_id", EVENTS),
    Mutant("goods owner 14 sees those of 114", "events.py", '"," + ",".join(map(str, sorted(goods_owners))) + ","', '"1" + ",1".join(map(str, sorted(goods_owners))) + ",1"', LOG),
    Mutant("no goods owner means all of them", "events.py", "return None if goods_owners is None else", "return None if not goods_owners else", LOG),
    Mutant("a page of events repeats its last", "events.py", "WHERE e.id < :before", "WHERE e.id <= :before", LOG),
    Mutant("the log is not cut by goods owner", "log_search.py", 'add(f"d.goods_owner_id IN ({names})", **owners)', 'add(f"(d.goods_owner_id IN ({names}) OR 1 = 1)", **owners)', LOG),
    Mutant("a page of the log leaves out the event's other deliveries", "log_search.py", "d.event_id <= :before_event AND (d.event_id < :before_event OR d.webhook_id < :before_webhook)", "d.event_id < :before_event AND :before_webhook >= 0", LOG),
    Mutant("a page of the log has no order within an event", "log_search.py", '"d.event_id DESC, d.webhook_id DESC" if', '"d.event_id DESC, d.webhook_id" if', LOG),
    Mutant("a number is found whatever kind of object has it", "objects.py", "_BY_TEXT + _BY_KIND, {", '_BY_TEXT + _BY_KIND + " OR n.object_number = :object_number", {', LOG),
    Mutant("a kind is a pattern", "objects.py", "substr(n.object_key, 1, length(:object_kind) + 1) = :object_kind || '/'", "n.object_key LIKE :object_kind || '/%'", LOG),
    Mutant("a resend in the middle of an attempt", "delivery_log.py", "webhook_id = :webhook_id AND status <> 'sending'", "webhook_id = :webhook_id", LOG),
    Mutant("a resend keeps the old failures", "delivery_log.py", "failures = 0, first_attempt_at = NULL", "first_attempt_at = NULL", LOG),
    Mutant("a cancel ends what was delivered", "delivery_log.py", "webhook_id = :webhook_id AND status IN ('pending', 'held')\n            \"\"\"", "webhook_id = :webhook_id AND status <> 'sending'\n            \"\"\"", LOG),

    # The order of each object.
    Mutant("a claim asks for no turn", "deliveries.py", "b.event_id < t.event_id\n", "b.event_id < 0 * t.event_id\n", TURNS),
    Mutant("who leaves lets nobody come forward", "turns.py", '    _come_forward(tx, {(row["webhook_id"]', '    len({(row["webhook_id"]', TURNS),
    Mutant("who has not ended leaves", "turns.py", "AND ({_ENDED} OR {_KEEPS_NONE})", "AND ({_ENDED} OR {_KEEPS_NONE} OR true)", TURNS),
    Mutant("what is released does not wait for its turn", "backlog.py", "CASE WHEN due_at < :far THEN :due_at ELSE due_at END", ":due_at + 0 * :far", TURNS),
    Mutant("nobody steps back", "turns.py", "    join(tx, keys)\n    _step_back(tx, keys)\n", "    join(tx, keys)\n", TURNS),
    Mutant("those behind an object of another goods owner wait", "turns.py", "AND b.goods_owner_id = t.goods_owner_id\n                                                 AND b.object_key = t.object_key AND b.event_id < t.event_id\n                WHERE", "AND b.object_key = t.object_key AND b.event_id < t.event_id\n                WHERE", TURNS),

    # What waits follows its webhook.
    Mutant("holding stops what is being sent", "backlog.py", "_PENDING, _HELD = \"'pending'{}", "_PENDING, _HELD = \"'sending'{}", BACKLOG),
    Mutant("releasing keeps the old due moment", "backlog.py", "THEN :due_at ELSE due_at END", "THEN due_at + 0 * :due_at ELSE due_at END", BACKLOG),
    Mutant("what is released overtakes what came since", "backlog.py", 'due_at = min(now, int(webhook["changed_at"]))', "due_at = now", BACKLOG),
    Mutant("the newest are released first", "backlog.py", "\"'held'{} ORDER BY d.event_id\"", "\"'held'{} ORDER BY d.event_id DESC\"", BACKLOG),
    Mutant("all of a backlog follows at once (PostgreSQL)", "backlog.py", "LIMIT :most /*pg", "LIMIT 10 * :most /*pg", BACKLOG),
    Mutant("a change of a webhook waits for an attempt (PostgreSQL)", "backlog.py", "FOR UPDATE OF d SKIP LOCKED", "FOR UPDATE OF d NOWAIT", BACKLOG),
    Mutant("what is held for an enabled webhook is not found", "backlog.py", "CASE WHEN w.enabled = 1 OR w.deleted_at IS NOT NULL", "CASE WHEN w.deleted_at IS NOT NULL", BACKLOG),
    Mutant("what is held for a deleted webhook is not found", "backlog.py", "CASE WHEN w.enabled = 1 OR w.deleted_at IS NOT NULL", "CASE WHEN w.enabled = 1", BACKLOG),
    Mutant("what waits for a disabled webhook is not found", "backlog.py", "OR CASE WHEN w.enabled = 0", "OR CASE WHEN w.enabled = 2", BACKLOG),
    # Webhooks, counters, nodes.
    Mutant("a changed webhook keeps its old goods owners", "webhooks.py", 'tx.run("DELETE FROM webhook_goods_owners WHERE webhook_id = :id", id=values["id"])', 'tx.run("DELETE FROM webhook_goods_owners WHERE webhook_id = -:id", id=values["id"])', WEBHOOKS),
    Mutant("a change of a webhook has no number", "webhooks.py", "version = excluded.version, changed_no = excluded.changed_no,", "version = excluded.version,", WEBHOOKS),
    Mutant("the version of a moment is the newest", "webhooks.py", "x.webhook_id = w.id AND x.since <= :moment", "x.webhook_id = w.id AND :moment > 0", WEBHOOKS),
    Mutant("a goods owner sees automation webhooks that serve others", "webhooks.py", "(w.all_goods_owners = 0 AND NOT EXISTS (", "(w.all_goods_owners = 0 AND EXISTS (", WEBHOOKS),
    Mutant("a change of webhooks wakes nobody", "webhooks.py", "    tx.wake(TOPIC)\n\n\ndef find", "\n\ndef find", WAKES),
    Mutant("a pinned counter may change (PostgreSQL)", "counters.py", " /*pg FOR SHARE OF c */", "", TRANSACTIONS),
    Mutant("two nodes take one number (PostgreSQL)", "people.py", "WHERE name = :name /*pg FOR UPDATE */", "WHERE name = :name", NODES),
    # The databases.
    Mutant("a failing write is half kept (SQLite)", "sqlite.py", 'connection.execute("ROLLBACK" if alone else "ROLLBACK TO job")', "pass", TRANSACTIONS),
    Mutant("a failing write wakes listeners (SQLite)", "sqlite.py", "                    transaction.woken = woken\n", "", WAKES),
    Mutant("each write has a commit of its own (SQLite)", "sqlite.py", "while len(batch) < WRITES_A_COMMIT:", "while len(batch) < 1:", TRANSACTIONS),
    Mutant("a read may write (SQLite)", "sqlite.py", 'connection.execute("PRAGMA query_only = ON")', "pass", TRANSACTIONS),
    Mutant("a row may point nowhere (SQLite)", "sqlite.py", 'connection.execute("PRAGMA foreign_keys = ON")', "pass", TRANSACTIONS),
    Mutant("other processes are not heard (SQLite)", "sqlite.py", "if version != self._data_version:", "if version < self._data_version:", WAKES),
    Mutant("empty rows count (SQLite)", "sqlite.py", " WHERE column1 IS NOT NULL)", ")", TRANSACTIONS),
    Mutant("rows beyond the first statement are lost (SQLite)", "sqlite.py", "range(0, len(rows), STATEMENT_ROWS[-1])", "range(0, min(1, len(rows)), STATEMENT_ROWS[-1])", TRANSACTIONS),
    Mutant("a read may write (PostgreSQL)", "postgres.py", "connection.execute(_AS_READER)", "pass", TRANSACTIONS),
    Mutant("a per cent sign is a parameter (PostgreSQL)", "postgres_text.py", '.replace("%", "%%")', "", LOG),
    Mutant("PostgreSQL's clauses stay comments (PostgreSQL)", "postgres_text.py", 'ONLY_POSTGRES.sub(r"\\1", sql)', "sql", TRANSACTIONS),
    Mutant("nobody listens (PostgreSQL)", "postgres.py", "self._wake(notice.payload)", "pass", WAKES),
    # Migrations.
    Mutant("a newer schema is taken", "migrate.py", "if applied > known:", "if applied > known + 10_000:", SCHEMA),
    Mutant("a step is applied twice", "migrate.py", "if _newest_applied(tx) >= number:", "if _newest_applied(tx) > number:", SCHEMA),
    Mutant("two nodes migrate at once (PostgreSQL)", "migrate.py", '        tx.run("SELECT pg_advisory_xact_lock(727001)")\n    if _newest', "        pass\n    if _newest", SCHEMA),
)  # fmt: skip


def check(mutant: Mutant) -> tuple[str, float]:
    """caught, SURVIVED or "does not fit", and how long that took."""
    began = time.monotonic()
    text = (ROOT / STORE / mutant.file).read_text("utf-8")
    if text.count(mutant.old) != 1:
        return f"does not fit: found {text.count(mutant.old)} times", 0.0
    with tempfile.TemporaryDirectory(prefix="dockbell-mutant-") as folder:
        tree = Path(folder) / "tree"
        _copy(tree)
        (tree / STORE / mutant.file).write_text(text.replace(mutant.old, mutant.new), "utf-8")
        verdict = "SURVIVED"
        # SQLite's tests need no server to be started and take a second; most mutants end there.
        first, second = ("postgres", "sqlite") if "PostgreSQL" in mutant.name else ("sqlite", "postgres")
        others = [name for name in ALL if name != mutant.caught_by]
        for words in ([mutant.caught_by, "-k", first], [mutant.caught_by, "-k", second], others):
            if not _passes(tree, words):
                verdict = "caught"
                break
    return verdict, time.monotonic() - began


def _copy(tree: Path) -> None:
    skipped = shutil.ignore_patterns("__pycache__", "*.pyc", ".hypothesis")
    for name in ("src", "tests"):
        shutil.copytree(ROOT / name, tree / name, ignore=skipped)
    shutil.copy(ROOT / "pyproject.toml", tree)


def _passes(tree: Path, words: list[str]) -> bool:
    environment = {**os.environ, "PYTHONPATH": f"{tree / 'src'}{os.pathsep}{tree}", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--no-header", *words]
    try:
        done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, timeout=LONGEST_S)
    except subprocess.TimeoutExpired:
        return False
    if done.returncode not in (0, 1):
        raise RuntimeError(f"the tests did not run: {done.stdout.decode()[-2000:]}{done.stderr.decode()[-2000:]}")
    return done.returncode == 0


def is_sound() -> bool:
    """Whether the tests pass without any mistake: else each mutant would seem to be caught."""
    with tempfile.TemporaryDirectory(prefix="dockbell-mutant-") as folder:
        tree = Path(folder) / "tree"
        _copy(tree)
        return _passes(tree, ALL)


def main(words: list[str]) -> int:
    if not is_sound():
        print("The contract tests fail without any mutant: mend them first (pytest tests/contract -k store).")
        return 1
    chosen = [
        mutant for mutant in MUTANTS if not words or any(word in f"{mutant.name} {mutant.file}" for word in words)
    ]
    bad = 0
    with ThreadPoolExecutor(TOGETHER) as pool:
        for mutant, (verdict, took) in zip(chosen, pool.map(check, chosen), strict=True):
            bad += verdict != "caught"
            print(f"{verdict:9} {took:6.1f} s  {mutant.file:16} {mutant.name}", flush=True)
    print(f"{len(chosen) - bad} of {len(chosen)} mutants were caught.")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
