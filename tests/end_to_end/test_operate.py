"""Commands of an operator on real installations: what the doctor finds, what erasing leaves."""

import json
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from dockbell.clock import HOUR, SystemClock
from dockbell.store import people
from dockbell.store.database import open_database
from dockbell.testing.receiver import Receiver, answering
from tests.support.parts import ANYTHING
from tests.support.program import Node, delivered, free_port, make_webhook, run


def own(folder: Path, database: str, **variables: str) -> dict[str, str]:
    return {"database": database, "key_file": str(folder / "dockbell.key"), "disk__ballast_mib": "0", **variables}


def found(ended: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert ended.stdout, ended.stderr
    return {each["code"]: each for each in json.loads(ended.stdout)["findings"]}


def test_a_missing_database_is_said_and_not_made(tmp_path: Path) -> None:
    ended = run(tmp_path, "doctor", database="nowhere.sqlite")
    assert ended.returncode == 78
    assert "nowhere.sqlite" in ended.stdout
    assert list(tmp_path.iterdir()) == []


def test_settings_that_cannot_be_read_are_a_finding_too(tmp_path: Path) -> None:
    (tmp_path / "dockbell.toml").write_text("database = data.sqlite\n")
    ended = run(tmp_path, "doctor", "--json")
    assert ended.returncode == 78
    assert "dockbell.toml" in found(ended)["settings"]["text"]
    assert "dockbell.toml" in run(tmp_path, "doctor").stdout


COMMANDS = [
    ("keys", "create", "ERP", "--scope", "read"),
    ("keys", "list"),
    ("keys", "revoke", "a1b2c3d4"),
    ("users", "first-link"),
    ("users", "link", "anna@example.com"),
    ("publish", "--type", "order.picked", "--goods-owner", "114", "--data", "{}"),
    ("check",),
    ("rotate-keys",),
    ("backup", "copy"),
    ("erase", "--goods-owner", "114"),
    ("audit", "verify"),
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_command_in_the_wrong_folder_is_refused_and_makes_nothing(tmp_path: Path, words: tuple[str, ...]) -> None:
    ended = run(tmp_path, *words)
    assert (ended.returncode, "There is no database" in ended.stderr) == (78, True), ended.stdout + ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_check_shows_the_settings_also_where_there_is_no_database_yet(tmp_path: Path) -> None:
    ended = run(tmp_path, "check", server__base_url="https://hooks.example.com")
    assert (ended.returncode, "https://hooks.example.com" in ended.stdout) == (78, True), ended.stdout + ended.stderr
    assert "There is no database" in ended.stderr


def test_a_printed_link_begins_with_the_address_people_type_if_it_is_known(tmp_path: Path) -> None:
    given = own(tmp_path, str(tmp_path / "data.sqlite"))
    assert run(tmp_path, "migrate", **given).returncode == 0
    assert run(tmp_path, "users", "first-link", **given).stdout.startswith("/first/")
    told = run(tmp_path, "users", "first-link", **given, server__base_url="https://hooks.example.com").stdout
    assert told.startswith("https://hooks.example.com/first/"), told


@pytest.mark.parametrize("words", COMMANDS[:6], ids=" ".join)
def test_a_command_on_an_empty_postgresql_is_refused_and_makes_nothing(
    tmp_path: Path, fresh_schema: str, words: tuple[str, ...]
) -> None:
    ended = run(tmp_path, *words, database=fresh_schema)
    assert (ended.returncode, "no Dockbell schema yet" in ended.stderr) == (78, True), ended.stdout + ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_installation_that_runs_and_one_that_does_not(tmp_path: Path, database_url: str) -> None:
    with Node(tmp_path, database_url) as node:
        running = run(tmp_path, "doctor", "--json", **own(tmp_path, database_url))
        # The PostgreSQL of the tests does not sync, and the doctor sees it.
        durable = database_url.startswith("sqlite")
        assert running.returncode == (0 if durable else 1), running.stdout
        assert set(found(running)) <= ({"retention_off"} if durable else {"not_durable"})
        node.stop()
    stopped = run(tmp_path, "doctor", "--json", **own(tmp_path, database_url))
    assert stopped.returncode == 1
    assert found(stopped)["no_node"]["level"] == "wrong"


def test_a_database_that_is_away_is_a_finding_beside_those_of_the_settings(tmp_path: Path) -> None:
    given = {"database": f"postgresql://u:secret@127.0.0.1:{free_port()}/x", "egress__ca_file": "nowhere.pem"}
    ended = run(tmp_path, "doctor", "--json", **given)
    assert (ended.returncode, list(found(ended))) == (78, ["database", "settings"])
    assert "cannot be reached" in found(ended)["database"]["text"]
    assert "secret" not in ended.stdout + ended.stderr


def test_nothing_is_made_or_told_once_before_everything_is_looked_at(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        ended = run(tmp_path, "serve", server__port=str(other.getsockname()[1]))
    assert (ended.returncode, "server.port" in ended.stderr) == (78, True), ended.stdout + ended.stderr
    assert (ended.stdout, list(tmp_path.iterdir())) == ("", [])


def test_in_words_it_says_what_is_wrong_and_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "data.sqlite"
    given = own(tmp_path, str(file))
    assert run(tmp_path, "migrate", **given).returncode == 0
    (tmp_path / "dockbell.key").write_text("A" * 43 + "=\n")
    (tmp_path / "dockbell.key").chmod(0o644)
    ended = run(tmp_path, "doctor", **{**given, "egress__allow": '["* 10.1.0.0/16:8443"]'})
    assert ended.returncode == 1
    assert "Others on this machine may read the key file (mode 644)." in ended.stdout
    assert f"chmod 600 {tmp_path / 'dockbell.key'}" in ended.stdout
    assert "* 10.1.0.0/16:8443" in ended.stdout
    assert not (tmp_path / "dockbell.key").stat().st_mode & 0o022, "the doctor changed it"


def test_an_old_schema_is_said_before_anything_that_needs_the_new_one(tmp_path: Path, database_url: str) -> None:
    given = own(tmp_path, database_url)
    assert run(tmp_path, "migrate", **given).returncode == 0
    opened = open_database(database_url)
    opened.submit_write(lambda tx: tx.run("DELETE FROM schema_steps WHERE number > 1")).result()
    opened.close()
    ended = run(tmp_path, "doctor", "--json", **given)
    assert list(found(ended)) == ["schema"]
    assert "schema 1;" in found(ended)["schema"]["text"]


def test_what_waits_and_what_fails_is_told_with_its_age(tmp_path: Path, database_url: str) -> None:
    given = own(tmp_path, database_url)
    assert run(tmp_path, "migrate", **given).returncode == 0
    opened = open_database(database_url)

    def spoil(tx: Any) -> None:
        long_ago = SystemClock().now() - 3 * HOUR
        people.join_node(tx, name="north", now=long_ago)
        tx.run(
            """
            INSERT INTO deliveries (event_id, webhook_id, goods_owner_id, status, due_at)
            VALUES (1, 1, 114, 'pending', :at)
            """,
            at=long_ago,
        )
        tx.run(
            """
            INSERT INTO webhooks (id, version, changed_no, kind, name, event_type, all_goods_owners, enabled, settings,
                                  secrets, max_concurrency, created_at, changed_at)
            VALUES (1, 1, 1, 'regular', 'ERP', 'order.picked', 0, 1, '{}', '', 4, 1, 1)
            """
        )
        tx.run("INSERT INTO webhook_health (webhook_id, tried_at, failing_since) VALUES (1, 1, :at)", at=long_ago)

    opened.submit_write(spoil).result()
    opened.close()
    told = found(run(tmp_path, "doctor", "--json", **given))
    assert {"no_node", "node_gone", "backlog", "webhook_failing"} <= set(told)
    assert "the oldest for 180 minutes" in told["backlog"]["text"]
    assert "ERP: every attempt has failed for 3.0 hours" in told["webhook_failing"]["text"]


def test_u12_audit_verify_names_the_row_that_was_changed(tmp_path: Path, database_url: str) -> None:
    given = own(tmp_path, database_url)
    assert run(tmp_path, "migrate", **given).returncode == 0
    for label in ("ERP", "BI"):
        assert run(tmp_path, "keys", "create", label, "--scope", "read", **given).returncode == 0
    sound = run(tmp_path, "audit", "verify", **given)
    assert (sound.returncode, "Sound rows: 2." in sound.stdout) == (0, True)
    head = sound.stdout.split()[-1]
    assert run(tmp_path, "audit", "verify", "--head", head, **given).returncode == 0
    opened = open_database(database_url)
    opened.submit_write(lambda tx: tx.run("UPDATE audit SET actor_label = 'nobody' WHERE id = 2")).result()
    opened.close()
    broken = run(tmp_path, "audit", "verify", **given)
    assert (broken.returncode, "Row 2 is where the audit trail breaks" in broken.stdout) == (1, True)


def test_s5_erase_takes_the_payload_out_of_the_files_beside_a_running_node(tmp_path: Path) -> None:
    mark = "Anna-Lind-Storgatan-5"
    file = tmp_path / "data.sqlite"
    given = own(tmp_path, str(file))
    with Receiver(answering(200, body=mark.encode())) as receiver, Node(tmp_path, str(file)) as node:
        client = node.client(node.keys[0])
        client.put("/api/v1/goodsOwners/114", {"name": "Nordic Tea AB"})
        client.post("/api/v1/eventTypes", {**ANYTHING})
        make_webhook(client, receiver.url, eventType="test.anything")
        event = {"type": "test.anything", "goodsOwnerId": 114, "key": "thing/7", "data": {"name": mark}}
        client.post("/api/v1/events", event)
        delivered(client)
        assert mark.encode() in b"".join(each.read_bytes() for each in tmp_path.glob("data.sqlite*"))
        ended = run(tmp_path, "erase", "--key", "thing/7", **given)
        assert "Payloads erased: 1 events." in ended.stdout, ended.stderr

        def gone() -> bool:
            return mark.encode() not in b"".join(each.read_bytes() for each in tmp_path.glob("data.sqlite*"))

        if not gone():  # the node was copying the log back in that moment; its own erasure empties it too
            client.post("/api/v1/erasures", {"key": "thing/7"})
        assert gone()
        [row] = client.get("/api/v1/deliveries")["items"]
        assert (row["status"], row["object"]) == ("delivered", "thing/7")
        client.close()
    assert run(tmp_path, "erase", **given).returncode == 1


def test_an_erasure_says_that_the_log_holds_it_while_another_program_reads(tmp_path: Path) -> None:
    file = tmp_path / "data.sqlite"
    with Node(tmp_path, str(file)) as node, closing(node.client(node.keys[0])) as client:
        client.put("/api/v1/goodsOwners/114", {"name": "Nordic Tea AB"})
        assert not client.post("/api/v1/erasures", {"goodsOwnerId": 114})["inLog"]
        with reading(file):
            assert client.post("/api/v1/erasures", {"goodsOwnerId": 114})["inLog"]
    with reading(file):
        ended = run(tmp_path, "erase", "--goods-owner", "114", **own(tmp_path, str(file)))
    assert (ended.returncode, "Another program still reads the database" in ended.stdout) == (1, True)
    ended = run(tmp_path, "erase", "--goods-owner", "114", **own(tmp_path, str(file)))
    assert (ended.returncode, "still reads" in ended.stdout) == (0, False)


@contextmanager
def reading(file: Path) -> Iterator[None]:
    with closing(sqlite3.connect(file, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM events").fetchall()
        yield
