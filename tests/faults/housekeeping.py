"""What goes on beside the deliveries: old rows are deleted, secrets are sealed with a new key. Under load, and killed in the middle."""

import itertools
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from dockbell.clock import DAY, SystemClock
from dockbell.domain.ids import first_id_at
from dockbell.store.database import Transaction, open_database
from tests.faults.altered import altered
from tests.faults.fairness import OTHERS, a_webhook_of, p99_ms
from tests.faults.load import Load, under_load
from tests.faults.processes import ALTERED, DOCKBELL, pause
from tests.faults.scenario import Run, scenario

KEPT_DAYS = 30
OLD = 60 * DAY
LIVE = 100
"""So many of the old deliveries are held: they are not to go, however old."""
ROWS_AT_ONCE = 5_000
LARGEST_LOG = 128 * 2**20
DELETED_WITHIN_S = 600.0


@scenario(
    "T18",
    "old rows are deleted under load, SQLite",
    holds="publishers' and deliveries' p99 at most twice as long, or 100 ms more; nothing that is live goes; the log stays small",
)
def retention(run: Run) -> None:
    with under_load(run, "sqlite", rate=60, DOCKBELL_RETENTION__DAYS="0") as load:
        began = time.monotonic()
        pause(run.pick(8.0, 300.0))
        answers_ms, usual_ms = _answers_p99_ms(load, began), p99_ms(load, began)
        webhook = _held_webhook(load)
        load.node.stop()
        events = run.pick(20_000, 700_000)
        _grow_old(load, webhook, events)
        load.node.environment["DOCKBELL_RETENTION__DAYS"] = str(KEPT_DAYS)
        load.node.start()
        since, largest = time.monotonic(), 0
        while (left := _old_events(load)) > LIVE and time.monotonic() < since + DELETED_WITHIN_S:
            largest = max(largest, Path(f"{load.database}-wal").stat().st_size)
            pause(0.2)
        took_s = time.monotonic() - since
        pause(1.0)
        meanwhile_answers_ms, meanwhile_ms = _answers_p99_ms(load, since + 0.5), p99_ms(load, since + 0.5)
        run.figure("deleted", f"{events - left:,} events with their rows in {took_s:.0f} s")
        run.figure("publishers' answers, p99", f"{meanwhile_answers_ms:.0f} ms, before {answers_ms:.0f} ms")
        run.figure("accepted to received, p99", f"{meanwhile_ms:.0f} ms, before {usual_ms:.0f} ms")
        run.figure("log, at most", f"{largest / 2**20:.0f} MiB")
        run.must(left == LIVE, f"{left} old events are left, where {LIVE} are live")
        for name, now, usual in (
            ("publishers", meanwhile_answers_ms, answers_ms),
            ("deliveries", meanwhile_ms, usual_ms),
        ):
            run.must(now < max(2 * usual, usual + 100), f"{name} waited {now:.0f} ms, before {usual:.0f} ms")
        run.must(largest <= LARGEST_LOG, f"the log grew to {largest / 2**20:.0f} MiB")
        run.survived += 1


@scenario(
    "T3b",
    "kill -9 amid deleting old rows, and amid a rotation of keys",
    holds="each point is met; what was begun is ended when it is run again; nothing that is live goes",
    short=True,
)
def kill_amid_housekeeping(run: Run) -> None:
    for kind in ("sqlite", "postgres"):
        with under_load(run, kind, rate=60, DOCKBELL_RETENTION__DAYS="0") as load:
            _rotate(run, load, kind)
            webhook = _held_webhook(load)
            load.node.stop()
            _grow_old(load, webhook, run.pick(3_000, 50_000))
            load.node.environment["DOCKBELL_RETENTION__DAYS"] = str(KEPT_DAYS)
            for _ in range(run.pick(2, 20)):
                load.node.program = ALTERED
                load.node.environment |= altered(f"crash:mid_retention:{run.choose.randint(1, 3)}")
                load.node.launch()
                code = load.node.wait(60)
                run.must(code == -signal.SIGKILL, f"{kind}: the point mid_retention was not met (code {code})")
                run.survived += code == -signal.SIGKILL
            load.node.program = DOCKBELL
            load.node.stop()
            load.node.start()
            until = time.monotonic() + DELETED_WITHIN_S
            while (left := _old_events(load)) > LIVE and time.monotonic() < until:
                pause(0.2)
            run.must(left == LIVE, f"{kind}: {left} old events are left, where {LIVE} are live")


def _rotate(run: Run, load: Load, kind: str) -> None:
    """A rotation that is killed when some secrets have the new key, and another that goes on with it."""
    pause(1.0)
    environment = {**load.node.environment, **altered("crash:mid_rotation:1")}
    words = ["rotate-keys", "--new-key"]
    for _ in range(run.pick(2, 20)):
        dying = subprocess.run(
            [*ALTERED, *words], cwd=load.node.folder, env=environment, capture_output=True, text=True, timeout=60
        )
        met = dying.returncode == -signal.SIGKILL
        run.must(met, f"{kind}: the point mid_rotation was not met (code {dying.returncode}): {dying.stderr[-300:]}")
        run.survived += met
        pause(0.5)
    done = subprocess.run(
        [*DOCKBELL, "rotate-keys"],
        cwd=load.node.folder, env=load.node.environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    run.must(
        done.returncode == 0, f"{kind}: rotate-keys, run again, ended with {done.returncode}: {done.stdout[-300:]}"
    )
    run.must("the others may leave the ring" in done.stdout, f"{kind}: a secret has an old key still: {done.stdout}")
    pause(1.0)


def _held_webhook(load: Load) -> int:
    """A webhook that is disabled, so that what waits for it is held."""
    return a_webhook_of(OTHERS, load, "https://receiver.example/hook", enabled=False)


def _grow_old(load: Load, webhook: int, events: int) -> None:
    """So many events of two months ago with a delivery and an attempt each, put into the store of a node that stands still."""
    first = first_id_at(SystemClock().now() - OLD)
    with closing(open_database(load.database)) as database:
        numbers = iter(range(events))
        while chunk := list(itertools.islice(numbers, ROWS_AT_ONCE)):
            database.submit_write(lambda tx, chunk=chunk: _insert(tx, webhook, first, chunk)).result()  # type: ignore[misc]


def _insert(tx: Transaction, webhook: int, first: int, numbers: list[int]) -> None:
    at = SystemClock().now() - OLD
    data = '{"orderStatus": {"number": 400}, "orderId": 1}'
    tx.run(
        """
        INSERT INTO events (id, goods_owner_id, event_type, occurred_at, accepted_at, object_key, attributes, head, data)
        SELECT r.id, r.owner, 'order.picked', r.at, r.at, r.key, '{}', '{}', r.data
          FROM :rows(id BIGINT, owner BIGINT, at BIGINT, key TEXT, data TEXT) r WHERE true
        """,
        rows=[(first + number, OTHERS, at, f"order/{number}", data) for number in numbers],
    )
    tx.run(
        """
        INSERT INTO deliveries (event_id, webhook_id, goods_owner_id, status, due_at, attempts, failures,
                                first_attempt_at, attempt_started_at, lease_no, last_code, ended_at)
        SELECT r.id, r.webhook, r.owner, r.status, r.at, 1, 0, r.at, r.at, 1, 'delivered', r.ended
          FROM :rows(id BIGINT, webhook BIGINT, owner BIGINT, status TEXT, at BIGINT, ended BIGINT) r WHERE true
        """,
        rows=[
            (first + number, webhook, OTHERS, *(("held", at, None) if number < LIVE else ("delivered", at, at)))
            for number in numbers
        ],
    )
    tx.run(
        """
        INSERT INTO attempts (event_id, webhook_id, attempt_no, webhook_version, node, started_at, ended_at, code, status_code,
                              detail, address, dns_us, connect_us, tls_us, first_byte_us, total_us, request_headers,
                              response_headers, response_body, response_cut)
        SELECT r.id, r.webhook, 1, 1, 0, r.at, r.at, 'delivered', 200, '', '', 0, 0, 0, 0, 0, r.headers, '', '', 0
          FROM :rows(id BIGINT, webhook BIGINT, at BIGINT, headers TEXT) r WHERE true
        """,
        rows=[(first + number, webhook, at, "content-type: application/json\n" * 10) for number in numbers],
    )


def _old_events(load: Load) -> int:
    before = first_id_at(SystemClock().now() - KEPT_DAYS * DAY)
    with closing(open_database(load.database)) as database:
        row = database.submit_read(
            lambda tx: tx.one("SELECT count(*) AS n FROM events WHERE id < :before", before=before)
        ).result()
    assert row is not None
    return int(row["n"])


def _answers_p99_ms(load: Load, since: float) -> float:
    took = sorted(_took_ms(load, since))
    return took[int(len(took) * 0.99)] if took else 0.0


def _took_ms(load: Load, since: float) -> Iterator[float]:
    return (one.took_s * 1000 for one in load.publishers.answers(since) if one.what == 202)
