"""Settings that cannot be read are refused in words: which file or variable, and how it is written."""

import os
from pathlib import Path

import pytest

from dockbell.errors import ConfigError
from dockbell.settings import read_settings
from dockbell.start import need_sound, refusals


@pytest.fixture(autouse=True)
def _folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("DOCKBELL_"):
            monkeypatch.delenv(name)


def refused() -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        read_settings()
    return caught.value


@pytest.mark.parametrize("content", [b"[server\nport = 8420", b'system = "caf\xe9"', b"system = yes"])
def test_a_file_that_is_no_toml_is_named(tmp_path: Path, content: bytes):
    (tmp_path / "dockbell.toml").write_bytes(content)
    assert refused().message.startswith(f"{tmp_path / 'dockbell.toml'} is not TOML in UTF-8: ")


def test_a_folder_in_the_files_place_is_not_passed_over(tmp_path: Path):
    (tmp_path / "dockbell.toml").mkdir()
    assert refused().message == f"{tmp_path / 'dockbell.toml'} cannot be read: Is a directory."


def test_a_file_of_another_user_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def forbidden(path: Path, *_: object) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_text", forbidden)  # tests may run as root, whom no file is forbidden
    assert refused().message == f"{tmp_path / 'dockbell.toml'} cannot be read: Permission denied."


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            'databas = "postgresql://u:geheim@h/n"',
            "databas is set but there is no such setting. Did you mean database?",
        ),
        ('[smpt]\npassword = "geheim"', "smpt is set but there is no such setting. Did you mean smtp?"),
        (
            '[outbx]\ndsn = "postgresql://u:geheim@h/n"',
            "outbx is set but there is no such setting. Did you mean outbox?",
        ),
        ('[server]\npasword = "geheim"', "server.pasword is set but there is no such setting."),
        ('server = "postgresql://u:geheim@h/n"', "server (DOCKBELL_SERVER) is ***: "),
        ('[database]\nurl = "postgresql://u:geheim@h/n"', "database (DOCKBELL_DATABASE) is ***: "),
        ('database = ["postgresql://u:geheim@h/n"]', "database (DOCKBELL_DATABASE) is ***: "),
    ],
)
def test_a_misspelt_setting_is_named_without_its_secret(tmp_path: Path, content: str, said: str):
    (tmp_path / "dockbell.toml").write_text(content)
    told = refused().message
    assert told.startswith(said) and "geheim" not in told


def test_a_wrong_value_that_is_no_secret_is_shown(tmp_path: Path):
    (tmp_path / "dockbell.toml").write_text("[server]\nport = 99999")
    assert refused().message.startswith("server.port (DOCKBELL_SERVER__PORT) is 99999: ")


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.com/", "https://hooks.example.com/app", "https://hooks.example.com?a", "see https://a b",
        "https://a b", "https://hooks.example.com\n", "hooks.example.com", "",
    ],
)  # fmt: skip
def test_a_base_url_that_would_spoil_links_is_refused(monkeypatch: pytest.MonkeyPatch, url: str):
    monkeypatch.setenv("DOCKBELL_SERVER__BASE_URL", url)
    said = f"server.base_url (DOCKBELL_SERVER__BASE_URL) is {url!r}: Write scheme and host alone"
    assert refused().message.startswith(said)


@pytest.mark.parametrize("url", ["https://hooks.example.com", "http://127.0.0.1:8420", "https://[fd00::1]:8420"])
def test_a_base_url_is_scheme_and_host(monkeypatch: pytest.MonkeyPatch, url: str):
    monkeypatch.setenv("DOCKBELL_SERVER__BASE_URL", url)
    assert read_settings().server.base_url == url


@pytest.mark.parametrize("text", ["10.0.0.0/8", "", '"* 10.0.0.0/8"', "{}"])
def test_a_list_that_is_no_json_is_told_how_to_be_written(monkeypatch: pytest.MonkeyPatch, text: str):
    monkeypatch.setenv("DOCKBELL_EGRESS__ALLOW", text)
    monkeypatch.setenv("DOCKBELL_SERVERPORT", "1")
    told = refused().message
    assert f'egress.allow (DOCKBELL_EGRESS__ALLOW) is {text!r}: write a list as JSON, such as ["one", "two"].' in told
    assert "DOCKBELL_SERVERPORT is set but there is no such setting" in told


def test_a_list_in_json_is_taken(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DOCKBELL_EGRESS__ALLOW", '["* 10.1.0.0/16"]')
    assert read_settings().egress.allow == ("* 10.1.0.0/16",)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"EGRESS__CA_FILE": "nowhere.pem"}, "nowhere.pem"),
        ({"SMTP__PASSWORD_FILE": "nowhere"}, "smtp.password_file cannot be read"),
        (
            {"SMTP__HOST": "mail", "SMTP__SENDER": "a@example.com", "SMTP__CA_FILE": "nowhere.pem"},
            "smtp.ca_file nowhere",
        ),
        (
            {
                "SMTP__HOST": "mail",
                "SMTP__SENDER": "a@example.com",
                "SMTP__USERNAME": "a",
                "SMTP__PASSWORD": "hemligt ö",
            },
            "smtp.password has a letter",
        ),
        ({"SERVER__HOST": "0.0.0.0"}, "server.host is 0.0.0.0"),
        ({"EGRESS__ALLOW": '["x"]'}, "egress.allow[0] 'x'"),
        ({"OUTBOX__DSN_FILE": "nowhere"}, "outbox.dsn_file cannot be read"),
    ],
)
def test_what_no_node_starts_with_is_found_before_it_starts(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], said: str
):
    for name, value in variables.items():
        monkeypatch.setenv(f"DOCKBELL_{name}", value)
    [error] = refusals(read_settings())
    assert said in error.message
    monkeypatch.setenv("DOCKBELL_SMTP__SENDER", "x")
    assert len(refusals(read_settings())) == 1


def test_everything_no_node_starts_with_is_told_at_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DOCKBELL_SERVER__HOST", "0.0.0.0")
    monkeypatch.setenv("DOCKBELL_EGRESS__CA_FILE", "nowhere.pem")
    monkeypatch.setenv("DOCKBELL_OUTBOX__DSN_FILE", "nowhere")
    with pytest.raises(ConfigError) as caught:
        need_sound(read_settings())
    for each in refusals(read_settings()):
        assert each.message in caught.value.message and each.hint in caught.value.message
    assert len(refusals(read_settings())) == 3


def test_a_sound_installation_is_refused_nothing():
    assert refusals(read_settings()) == []
