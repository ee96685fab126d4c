"""What `dockbell demo` shows to somebody who has just installed it."""

import re
from datetime import datetime, timedelta
from pathlib import Path

from dockbell.testing.client import Client
from tests.support.program import Program, run, until

LAST_WORDS = "# and .../pick"
"""The end of what the demo says when it stays up: all the rest stands in its output by then."""


def test_the_demo_picks_delivers_logs_and_fetches_an_order(tmp_path: Path) -> None:
    ended = run(tmp_path, "demo", "--once", "--port", "0", "--folder", str(tmp_path))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    for shown in ("status 400 Picked", "webhook-id: ", "webhook-signature: v1,", '"orderNumber": "12345"'):
        assert shown in ended.stdout
    assert re.search(r"Attempt 1 at \S+ to 127\.0\.0\.1: delivered, [\d.]+ ms", ended.stdout)
    assert re.search(r"GET /api/v1/orders/\d+\n\{", ended.stdout)
    assert "Picked, delivered, logged and fetched." in ended.stdout


def test_a_demo_in_the_folder_of_an_earlier_one_says_that_the_order_was_picked_then(tmp_path: Path) -> None:
    again = ("demo", "--once", "--port", "0", "--folder", str(tmp_path))
    assert run(tmp_path, *again).returncode == 0
    ended = run(tmp_path, *again)
    assert (ended.returncode, "Traceback" in ended.stderr) == (1, False), ended.stderr
    assert "Order 12345 was picked when the demo ran in this folder before." in ended.stdout
    with Program(tmp_path, "demo", "--port", "0", "--folder", str(tmp_path)) as program:
        until(lambda: LAST_WORDS in program.output, "it stays up with what there is")
        [url, key] = [
            re.findall(each, program.output)[0] for each in (r"(http://\S+)/api/v1/deliveries ", r"KEY=(\S+)")
        ]
        client = Client(url, key)
        assert len(client.get("/api/v1/webhooks")["items"]) == 2
        client.close()
        program.stop()


def test_a_demo_whose_receiver_fails_shows_the_retry_and_claims_nothing(tmp_path: Path) -> None:
    ended = run(tmp_path, "demo", "--once", "--answer", "500", "--port", "0", "--folder", str(tmp_path))
    assert ended.returncode != 0
    assert "Picked, delivered" not in ended.stdout
    [began] = re.findall(r"Attempt 1 at (\S+) to", ended.stdout)
    planned = re.findall(r"Next attempt at (\S+)", ended.stdout)[0]
    wait = datetime.fromisoformat(planned) - datetime.fromisoformat(began)
    assert timedelta(seconds=50) <= wait <= timedelta(seconds=75)


def test_a_demo_without_once_stays_up_until_it_is_told_to_stop(tmp_path: Path) -> None:
    with Program(tmp_path, "demo", "--port", "0", "--folder", str(tmp_path)) as program:
        until(lambda: LAST_WORDS in program.output, "the demo says what next")
        [url] = re.findall(r"(http://127\.0\.0\.1:\d+)/api/v1/deliveries ", program.output)
        client = Client(url)
        assert client.get("/api/v1/health") == {"status": "ok"}
        client.close()
        assert program.stop() == 0
        assert "Traceback" not in program.output
