"""What commands print of what people typed, and that none ends with a traceback."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from dockbell import log
from dockbell.cli import app
from dockbell.errors import DockbellError

TOO_LARGE = str(2**64)
PUBLISH = ("publish", "--type", "order.picked", "--goods-owner", "114", "--data")


@pytest.fixture(autouse=True)
def _a_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("DOCKBELL_DATABASE", str(tmp_path / "data.sqlite"))
    monkeypatch.setattr(log, "set_up", lambda **_: None)  # of this process it is the tests'
    assert run("migrate").exit_code == 0


def run(*words: str, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(app, list(words), input=stdin)


def test_keys_are_listed_whatever_they_are_called():
    labels = ("[/erp]", "[red]ERP", ":bell: ERP")
    for label in labels:
        assert run("keys", "create", label, "--scope", "read").exit_code == 0
    told = run("keys", "list")
    assert told.exit_code == 0
    assert all(label in told.output for label in labels)


@pytest.mark.parametrize("system", ["WMS [/b]", "WMS [north]", "WMS :bell:"])
def test_check_shows_a_setting_as_it_is(monkeypatch: pytest.MonkeyPatch, system: str):
    monkeypatch.setenv("DOCKBELL_SYSTEM", system)
    told = run("check")
    assert told.exit_code == 0
    assert system in told.output


@pytest.mark.parametrize(
    "words",
    [
        (*PUBLISH, "@nowhere.json"),
        (*PUBLISH, "@."),
        (*PUBLISH, "@latin1.json"),
        (*PUBLISH, "-"),
        (*PUBLISH, '"\udcff"'),
        ("keys", "create", "x", "--scope", "read", "--goods-owner", TOO_LARGE),
        ("erase", "--goods-owner", TOO_LARGE),
        ("users", "link", "\udcff@x"),
        ("keys", "revoke", "\udcff"),
        ("erase", "--key", "\udcff"),
        ("inspect", "--port", "99999"),
        ("inspect", "--answer", "99"),
        ("demo", "--once", "--port", "99999"),
        ("demo", "--once", "--port", "65535"),
    ],
)
def test_no_command_ends_with_a_traceback(words: tuple[str, ...]):
    Path("latin1.json").write_bytes(b'{"name": "caf\xe9"}')
    error = run(*words, stdin=b"\xe9").exception
    assert isinstance(error, DockbellError | SystemExit), repr(error)
