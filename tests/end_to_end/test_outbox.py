"""The outbox as it is operated: the commands, and both sides killed. The long form is `python -m tests.faults.outbox`."""

import json
from pathlib import Path

import psycopg
import pytest

from tests.faults.outbox import run as run_kills
from tests.support.node import an_event
from tests.support.program import Node, run, until

PASSWORD = "geheim-4711"


@pytest.mark.slow
def test_kills_of_both_sides_lose_nothing_and_double_nothing(tmp_path: Path, database_url: str, wms_schema: str):
    found = run_kills("short", database_url, wms_schema, tmp_path, transactions=600, kills=3, seed=11, rate=150)
    assert found.is_clean, found.faults
    assert found.figures["transactions"] == 600
    assert found.figures["events"] == found.figures["  committed"]
    assert found.figures["  rolled back"] > 100
    assert found.figures["  while it was at work"] == 3


def test_the_printed_sql_is_what_gets_installed(tmp_path: Path, wms_schema: str):
    printed = run(tmp_path, "outbox", "install", "--print")
    assert printed.returncode == 0
    with psycopg.connect(wms_schema) as wms:
        wms.execute(printed.stdout)
        wms.execute("SELECT dockbell_publish('{}')")
    again = run(tmp_path, "outbox", "install", outbox__dsn=wms_schema)
    assert again.returncode == 0, again.stderr
    assert "Waiting: 1, the oldest since 2" in run(tmp_path, "outbox", "status", outbox__dsn=wms_schema).stdout


def test_a_refused_event_is_shown_with_its_reason_and_accepted_once_that_is_mended(
    tmp_path: Path, database_url: str, wms_schema: str
):
    (tmp_path / "dsn").write_text(wms_schema + "\n")
    own = {"outbox__dsn_file": str(tmp_path / "dsn")}
    assert run(tmp_path, "outbox", "install", **own).returncode == 0
    with Node(tmp_path, database_url, **own) as node:
        client = node.client(node.keys[0])
        with psycopg.connect(wms_schema) as wms:
            wms.execute("SELECT dockbell_publish(%s)", [json.dumps(an_event())])
        said = until(lambda: _with("aside: 1", run(tmp_path, "outbox", "status", **own).stdout), "it is set aside")
        assert "There is no goods owner 114. [goods_owner]" in said
        client.put("/api/v1/goodsOwners/114", {"name": "Nordic Tea AB"})
        assert "Waiting again: 1." in run(tmp_path, "outbox", "retry", **own).stdout
        until(lambda: client.get("/api/v1/events")["items"], "it is accepted")
        client.close()
        assert node.stop() == 0


def test_s5_an_erasure_over_the_api_takes_out_what_the_outbox_has_set_aside(
    tmp_path: Path, database_url: str, wms_schema: str
):
    own = {"outbox__dsn": wms_schema}
    assert run(tmp_path, "outbox", "install", **own).returncode == 0
    with Node(tmp_path, database_url, **own) as node:
        client = node.client(node.keys[0])
        client.put("/api/v1/goodsOwners/114", {"name": "Nordic Tea AB"})
        with psycopg.connect(wms_schema) as wms:
            for number in (7, 8):
                wms.execute("SELECT dockbell_publish(%s)", [json.dumps({"type": "no.such", "key": f"order/{number}"})])
        until(lambda: _with("aside: 2", run(tmp_path, "outbox", "status", **own).stdout), "they are set aside")
        assert client.post("/api/v1/erasures", {"key": "order/7"})["setAside"] == 1
        with psycopg.connect(wms_schema) as wms:
            assert [row[0]["key"] for row in wms.execute("SELECT event FROM dockbell_outbox")] == ["order/8"]
        client.close()
        assert node.stop() == 0


def _with(words: str, text: str) -> str:
    return text if words in text else ""


def test_without_an_outbox_the_commands_say_what_to_set(tmp_path: Path):
    ended = run(tmp_path, "outbox", "status")
    assert ended.returncode == 78
    assert "DOCKBELL_OUTBOX__DSN" in ended.stderr


def test_an_outbox_that_is_not_installed_is_said_clearly(tmp_path: Path, wms_schema: str):
    ended = run(tmp_path, "outbox", "status", outbox__dsn=wms_schema)
    assert ended.returncode == 78
    assert "dockbell outbox install" in ended.stderr


def test_a_user_who_may_not_use_the_outbox_is_told_what_is_missing(tmp_path: Path, wms_schema: str):
    own = {"outbox__dsn": wms_schema}
    assert run(tmp_path, "outbox", "install", **own).returncode == 0
    with psycopg.connect(wms_schema) as wms:
        [schema] = wms.execute("SELECT current_schema()").fetchone() or ("",)
        user = f"user_of_{schema}"
        wms.execute(f"CREATE ROLE {user}; GRANT USAGE ON SCHEMA {schema} TO {user}")
    try:
        weak = {"outbox__dsn": f"{wms_schema}%20-crole%3D{user}"}
        refused = run(tmp_path, "outbox", "status", **weak)
        assert "may not SELECT, UPDATE and DELETE" in refused.stderr
        refused = run(tmp_path, "outbox", "install", **weak)
        assert refused.returncode == 78
        assert "--print" in refused.stderr
    finally:
        with psycopg.connect(wms_schema) as wms:
            wms.execute(f"DROP OWNED BY {user}; DROP ROLE {user}")


@pytest.mark.parametrize(
    "settings",
    [
        {"outbox__dsn": f"mysql://wms:{PASSWORD}@127.0.0.1/wms"},
        {"outbox__dsn": f"postgresql://wms:{PASSWORD}@127.0.0.1:1/wms"},
        {"outbox__dsn": f"postgresql://wms:{PASSWORD}@", "outbox__dsn_file": "dsn"},
        {"outbox__dns": f"postgresql://wms:{PASSWORD}@127.0.0.1/wms"},
        {"outbox__dsn_file": "not-there"},
    ],
    ids=["another database", "nobody there", "both", "misspelt", "no file"],
)
def test_a_wrong_address_is_refused_in_words_that_do_not_hold_the_password(tmp_path: Path, settings: dict[str, str]):
    ended = run(tmp_path, "outbox", "status", **settings)
    assert ended.returncode == 78, ended.stderr
    assert ended.stderr.strip()
    assert "Traceback" not in ended.stderr
    assert PASSWORD not in ended.stderr + ended.stdout


def test_check_masks_the_password(tmp_path: Path):
    database = str(tmp_path / "data.sqlite")
    run(tmp_path, "migrate", "--database", database)
    shown = run(tmp_path, "check", database=database, outbox__dsn=f"postgresql://wms:{PASSWORD}@127.0.0.1/wms")
    assert shown.returncode == 0, shown.stderr
    assert "outbox.dsn" in shown.stdout
    assert PASSWORD not in shown.stdout
