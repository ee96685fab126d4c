"""The commands around a node, and what they say about a wrong installation."""

import json
import sqlite3
import subprocess
from pathlib import Path

import pytest

from dockbell import __version__
from dockbell.testing.client import ApiError, Client
from dockbell.testing.receiver import Receiver, answering
from tests.support.node import an_event
from tests.support.program import Node, Program, answers, free_port, make_webhook, run, until


def refused(client: Client) -> bool:
    try:
        client.get("/api/v1/webhooks")
    except ApiError as error:
        return error.status == 401
    return False


def is_a_clear_failure(ended: subprocess.CompletedProcess[str]) -> bool:
    return ended.returncode != 0 and bool(ended.stderr.strip()) and "Traceback" not in ended.stderr + ended.stdout


@pytest.mark.parametrize("way", ["stdin", "file"])
def test_a_published_event_reaches_a_running_node(tmp_path: Path, database_url: str, way: str) -> None:
    data = json.dumps(an_event()["data"])
    (tmp_path / "data.json").write_text(data)
    with Receiver(answering(200)) as receiver, Node(tmp_path, database_url) as node:
        client = node.client(node.keys[0])
        make_webhook(client, receiver.url)
        client.close()
        given = ["--data", "-" if way == "stdin" else "@data.json", "--database", database_url]
        ended = run(
            tmp_path,
            "publish",
            "--type",
            "order.picked",
            "--goods-owner",
            "114",
            *given,
            stdin=data,
            key_file=str(tmp_path / "dockbell.key"),
        )
        assert ended.returncode == 0, ended.stderr
        assert "deliveries: 1" in ended.stdout
        assert receiver.wait_for_requests(1, 5)


def test_a_revoked_key_is_refused_by_a_running_node_within_a_second(tmp_path: Path, database_url: str) -> None:
    with Node(tmp_path, database_url) as node:
        own = {"database": database_url, "key_file": str(tmp_path / "dockbell.key")}
        made = run(tmp_path, "keys", "create", "ERP", "--scope", "read", **own).stdout.strip()
        client = node.client(made)
        assert not refused(client)
        key_id = made[4:12]
        assert key_id in run(tmp_path, "keys", "list", **own).stdout
        assert made not in run(tmp_path, "keys", "list", **own).stdout
        assert run(tmp_path, "keys", "revoke", key_id, **own).returncode == 0
        until(lambda: refused(client), "the key is refused", 1.5)
        client.close()


def test_migrate_and_check_say_that_an_installation_is_sound(tmp_path: Path, database_url: str) -> None:
    own = {"database": database_url, "key_file": str(tmp_path / "dockbell.key")}
    assert "Applied: 0001" in run(tmp_path, "migrate", **own).stdout
    assert "up to date" in run(tmp_path, "migrate", **own).stdout
    checked = run(tmp_path, "check", **own)
    assert checked.returncode == 0, checked.stderr
    assert "schema up to date" in checked.stdout


@pytest.mark.parametrize("asked", ["version", "--version"])
def test_the_version_is_printed(tmp_path: Path, asked: str) -> None:
    assert run(tmp_path, asked).stdout == f"Dockbell {__version__}\n"


def test_inspect_prints_what_arrives(tmp_path: Path) -> None:
    port = free_port()
    with Program(tmp_path, "inspect", "--port", str(port)) as program:
        until(lambda: answers(port), "the receiver listens")
        client = Client(f"http://127.0.0.1:{port}")
        client._connection.request("POST", "/hook", body=b'{"orderId": 5}')
        assert client._connection.getresponse().status == 200
        until(lambda: '"orderId": 5' in program.output, "the request is printed")
        client.close()


def test_all_wrong_settings_are_named_at_once(tmp_path: Path) -> None:
    ended = run(tmp_path, "serve", worker__slots="0", server__port="x")
    assert ended.returncode == 78
    assert "DOCKBELL_WORKER__SLOTS" in ended.stderr
    assert "DOCKBELL_SERVER__PORT" in ended.stderr
    assert is_a_clear_failure(ended)


def test_a_database_of_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    ended = run(tmp_path, "migrate", "--database", "mysql://somebody@127.0.0.1/dockbell")
    assert is_a_clear_failure(ended), f"{ended.returncode}: {ended.stdout}{ended.stderr}"
    assert not list(tmp_path.iterdir())


def test_a_postgresql_that_is_away_is_said_clearly(tmp_path: Path) -> None:
    ended = run(tmp_path, "serve", database=f"postgresql://dockbell@127.0.0.1:{free_port()}/dockbell")
    assert is_a_clear_failure(ended), ended.stderr
    assert "cannot be reached" in ended.stderr


def test_a_schema_newer_than_the_program_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "data.sqlite"
    assert run(tmp_path, "migrate", "--database", str(file)).returncode == 0
    connection = sqlite3.connect(file)
    connection.execute("INSERT INTO schema_steps (number, applied_at) VALUES (9999, 1)")
    connection.commit()
    connection.close()
    ended = run(tmp_path, "serve", database=str(file))
    assert is_a_clear_failure(ended), ended.stderr
    assert "9999" in ended.stderr
