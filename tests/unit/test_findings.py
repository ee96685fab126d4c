"""What the doctor says: each finding is seen when it is so, and is silent when it is not."""

from dataclasses import replace
from typing import Any

import pytest

from dockbell.domain.findings import MIB, Facts, Installation, judge

SOUND = Installation(floor_bytes=128 * MIB, ballast_bytes=64 * MIB, key_file="/etc/dockbell.key")
WELL = Facts(
    known_schema=11, schema=11, durability={"fsync": "on", "synchronous": "2"}, sqlite=(3, 51, 3), drift_s=2.0,
    key_mode=0o600, free_bytes=128 * MIB, ballast_bytes=64 * MIB, due=5, oldest_due_s=900.0,
)  # fmt: skip


def codes(here: Installation = SOUND, facts: Facts = WELL) -> list[str]:
    return [finding.code for finding in judge(here, facts)]


def test_a_sound_installation_has_no_findings():
    assert judge(SOUND, WELL) == []


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("schema", {"schema": None}),
    ("schema", {"schema": 10}),
    ("schema", {"schema": 12}),
    ("not_durable", {"durability": {"fsync": "off"}}),
    ("not_durable", {"durability": {"synchronous_commit": "off"}}),
    ("not_durable", {"durability": {"full_page_writes": "off"}}),
    ("not_durable", {"durability": {"synchronous": "1"}}),
    ("not_durable", {"durability": {"synchronous": "0"}}),
    ("no_writes", {"no_writes": "the server is a standby"}),
    ("keys", {"refused_keys": "The key ring lacks key k12345678."}),
    ("sqlite_version", {"sqlite": (3, 40, 1)}),
    ("sqlite_version", {"sqlite": (3, 51, 2)}),
    ("sqlite_version", {"sqlite": (3, 44, 5)}),
    ("clock_drift", {"drift_s": 2.1}),
    ("clock_drift", {"drift_s": -2.1}),
    ("disk_full", {"free_bytes": 128 * MIB - 1}),
    ("key_file_open", {"key_mode": 0o640}),
    ("key_file_open", {"key_mode": 0o604}),
    ("no_node", {"nodes_alive": 0}),
    ("backlog", {"oldest_due_s": 901.0}),
    ("mail_not_sent", {"unsent_mails": 1}),
]
RISKY: list[tuple[str, dict[str, Any]]] = [
    ("ballast", {"ballast_bytes": 64 * MIB - 1}),
    ("old_keys", {"on_old_keys": 1}),
    ("node_gone", {"nodes_gone": ["3 (north)"]}),
    ("webhook_failing", {"failing": [(12, "ERP", 7200.0)]}),
    ("webhook_disabled", {"disabled": [(12, "ERP", "410 Gone")]}),
]


@pytest.mark.parametrize(("code", "changed"), WRONG)
def test_what_breaks_a_promise_is_wrong(code, changed):
    [finding] = judge(SOUND, replace(WELL, **changed))
    assert (finding.code, finding.level) == (code, "wrong")


@pytest.mark.parametrize(("code", "changed"), RISKY)
def test_what_may_be_meant_so_is_a_risk(code, changed):
    [finding] = judge(SOUND, replace(WELL, **changed))
    assert (finding.code, finding.level) == (code, "risk")


def test_nobody_is_told_of_what_fails_where_there_is_no_mail_server():
    silent, failing = replace(SOUND, has_mail_server=False), replace(WELL, failing=[(12, "ERP", 7200.0)])
    assert codes(silent) == []
    assert codes(silent, failing) == ["webhook_failing", "no_mail_server"]


@pytest.mark.parametrize("version", [(3, 51, 3), (3, 54, 1), (3, 50, 7), (3, 44, 6), (4, 0, 0)])
def test_a_fixed_sqlite_is_none_to_speak_of(version):
    assert codes(facts=replace(WELL, sqlite=version)) == []


@pytest.mark.parametrize(
    ("code", "level", "changed"),
    [
        ("loopback_allowed", "risk", {"loopback": True}),
        ("private_allowed", "risk", {"allow": ["* 10.1.0.0/16"]}),
        ("warehouse", "risk", {"warehouse": True}),
        ("base_url", "wrong", {"base_url": "http://hooks.example.com"}),
        ("base_url", "risk", {"behind_proxy": True}),
        ("behind_proxy", "wrong", {"base_url": "https://hooks.example.com"}),
        ("retention_off", "risk", {"retention_days": 0}),
        ("settings", "wrong", {"refused": ["egress.ca_file cannot be read."]}),
    ],
)
def test_settings_are_judged(code, level, changed):
    [finding] = judge(replace(SOUND, **changed), WELL)
    assert (finding.code, finding.level) == (code, level)


def test_an_address_with_tls_behind_a_proxy_is_as_it_should_be():
    assert codes(replace(SOUND, behind_proxy=True, base_url="https://hooks.example.com")) == []


def test_what_is_wrong_comes_before_what_is_risky():
    here = replace(SOUND, retention_days=0)
    assert codes(here, replace(WELL, nodes_alive=0, on_old_keys=1)) == ["no_node", "old_keys", "retention_off"]


def test_the_advice_names_what_to_do_it_to():
    [finding] = judge(SOUND, replace(WELL, key_mode=0o644))
    assert finding.advice == "Run: chmod 600 /etc/dockbell.key"
    assert "644" in finding.text


def test_a_setting_of_postgresql_is_mended_where_it_was_made_and_not_by_a_restart():
    [finding] = judge(replace(SOUND, database_file=None), replace(WELL, durability={"synchronous_commit": "off"}))
    assert "ALTER ROLE, DATABASE or SYSTEM ... RESET synchronous_commit" in finding.advice
    assert "restart" not in finding.advice
