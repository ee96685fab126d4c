"""Every setting: name, type, default, one sentence. Read once at the start; nothing else reads the environment.

Sources, strongest first: command line, environment (`DOCKBELL_WORKER__SLOTS`), the file `dockbell.toml`.
"""

import difflib
import json
import os
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_core import ErrorDetails, PydanticCustomError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from dockbell.database_address import file_in
from dockbell.errors import ConfigError

PREFIX = "DOCKBELL_"
FILE = "dockbell.toml"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ServerSettings(_Part):
    host: str = Field(
        default="127.0.0.1", description="Address to listen on. Beyond loopback needs TLS in front: see behind_proxy."
    )
    port: int = Field(default=8420, ge=1, le=65535, description="Port to listen on.")
    behind_proxy: bool = Field(
        default=False, description="A TLS-terminating proxy stands in front, so listening beyond loopback is fine."
    )
    base_url: str | None = Field(
        default=None,
        description="Where people reach the pages, such as https://hooks.example.com: links that commands print begin with it. "
        "Links on pages begin with the name that the page was asked for by.",
    )
    hosts: tuple[str, ...] = Field(
        default=(), description="Names that requests may call this server by (Host, without port); empty: any."
    )
    head_timeout_s: float = Field(
        default=10.0, gt=0, le=300, description="Seconds in which a request's path and headers must come."
    )
    body_timeout_s: float = Field(
        default=30.0, gt=0, le=3_600, description="Seconds in which a request's body must come, and an answer be read."
    )
    connections: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        description="Connections of clients at once; a third of the files this process may open unless said.",
    )

    @field_validator("base_url")
    @classmethod
    def _is_scheme_and_host(cls, given: str | None) -> str | None:
        if given is not None and not re.fullmatch(r"https?://[^/?#\s]+", given):
            raise PydanticCustomError(
                "base_url",
                "Write scheme and host alone, such as https://hooks.example.com: no path, and no / at its end",
            )
        return given


class WorkerSettings(_Part):
    slots: int = Field(default=512, ge=1, le=10_000, description="Attempts in flight at once on this node.")
    shutdown_s: float = Field(
        default=20.0, ge=0, le=300, description="Seconds that attempts under way may take when stopping."
    )


class EgressSettings(_Part):
    allow: tuple[str, ...] = Field(
        default=(),
        description='Private networks that webhooks may reach: "114 10.1.0.0/16:8443" or "* 192.168.4.0/24".',
    )
    allow_wide: bool = Field(default=False, description="Accept allow rules wider than /16 (IPv4) or /48 (IPv6).")
    allow_loopback_for_tests: bool = Field(
        default=False, description="Let webhooks reach this very machine. For tests and the demo only."
    )
    private_names: bool = Field(
        default=False,
        description="Accept host names such as erp.lan or a single label; their addresses are still judged.",
    )
    nat64_prefixes: tuple[str, ...] = Field(
        default=(), description="NAT64 prefixes of this network; the embedded address is judged."
    )
    ca_file: str | None = Field(default=None, description="Certificate authorities to trust; without it the system's.")
    connect_timeout_s: float = Field(default=10.0, gt=0, le=30, description="Seconds to connect, TLS included.")
    body_timeout_s: float = Field(
        default=5.0, gt=0, le=30, description="Seconds for the response's body after its head."
    )
    per_address: int = Field(
        default=16, ge=1, le=1_000, description="Attempts in flight to one address, over all webhooks."
    )


class LimitSettings(_Part):
    webhooks_per_owner: int = Field(
        default=100, ge=1, le=100_000, description="Regular webhooks that one goods owner may have."
    )
    tests_per_minute: int = Field(
        default=10, ge=1, le=10_000, description="Test events that one user or key may send in a minute, on each node."
    )
    events_per_second: int = Field(
        default=10_000,
        ge=0,
        le=1_000_000,
        description="Events that one key may publish in a second, on each node; 0: no limit.",
    )
    queued_deliveries: int = Field(
        default=100_000,
        ge=1_000,
        le=1_000_000_000,
        description="Deliveries that may wait for one goods owner before no more of its events are taken.",
    )
    queued_mebibytes: int = Field(
        default=1_024,
        ge=1,
        le=1_000_000,
        description="The same, as data of the events that wait, in MiB.",
    )
    disable_after_days: float = Field(
        default=5.0,
        ge=0,
        le=365,
        description="Days of nothing but failed attempts after which a webhook is disabled; 0: never.",
    )


class SmtpSettings(_Part):
    host: str | None = Field(
        default=None, description="Mail server for mails about webhooks that fail; without it none are sent."
    )
    port: int = Field(default=587, ge=1, le=65535, description="Its port: mostly 587, or 465 with tls, or 25.")
    security: Literal["none", "starttls", "tls"] = Field(
        default="starttls", description="starttls, tls from the first byte, or none."
    )
    sender: str | None = Field(default=None, description="Address that mails come from; needed with smtp.host.")
    username: str | None = Field(default=None, description="User to sign in to the mail server as, if it asks for one.")
    password: SecretStr | None = Field(default=None, description="That user's password.")
    password_file: Path | None = Field(default=None, description="A file that holds smtp.password, instead of it.")
    ca_file: str | None = Field(
        default=None, description="Certificate authorities to trust the mail server by; without it the system's."
    )

    def secret(self) -> str | None:
        return _told("smtp.password", self.password, self.password_file)


class RetentionSettings(_Part):
    days: int = Field(
        default=30,
        ge=0,
        le=36_500,
        description="Days after which ended deliveries go, with their events and attempts, and bulk runs; 0 keeps everything.",
    )
    payload_days: int | None = Field(
        default=None,
        ge=1,
        le=36_500,
        description="Days after which payloads, requests and responses of ended deliveries are erased, if sooner.",
    )


class DiskSettings(_Part):
    floor_mib: int = Field(
        default=128, ge=0, description="SQLite: with less free space than this, no more events are accepted."
    )
    release_mib: int = Field(
        default=32, ge=0, description="SQLite: with less than this, the ballast is given up so that work can end."
    )
    ballast_mib: int = Field(
        default=64, ge=0, le=65_536, description="SQLite: size of the ballast file beside the database; 0 for none."
    )


class WarehouseSettings(_Part):
    enabled: bool = Field(
        default=False, description="Run the reference warehouse and its fetch-back API in the same process."
    )


class OutboxSettings(_Part):
    dsn: SecretStr | None = Field(
        default=None,
        description="PostgreSQL of a warehouse system whose outbox is drained: postgresql://user:password@host/name.",
    )
    dsn_file: Path | None = Field(default=None, description="A file that holds outbox.dsn, instead of it.")

    def address(self) -> str | None:
        """What is said, from wherever; None if there is no outbox."""
        return _told("outbox.dsn", self.dsn, self.dsn_file)


def _told(name: str, secret: SecretStr | None, file: Path | None) -> str | None:
    """A secret that is set, or stands in a file."""
    if file is None:
        return None if secret is None else secret.get_secret_value()
    if secret is not None:
        raise ConfigError(f"Both {name} and {name}_file are set; leave one of them out.")
    try:
        return file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name}_file cannot be read: {error}") from error


class Settings(BaseSettings):
    """One frozen tree; `settings.worker.slots` is DOCKBELL_WORKER__SLOTS."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", toml_file=FILE, extra="forbid", frozen=True
    )

    database: str = Field(default="dockbell.sqlite", description="A SQLite file, or postgresql://user@host/name.")
    key_file: Path | None = Field(
        default=None, description="Key ring that seals secrets; beside the SQLite file unless said."
    )
    secret_keys: SecretStr | None = Field(
        default=None,
        description="The key ring itself, instead of key_file: base64 keys with blanks between, newest first.",
    )
    system: str = Field(
        default="dockbell", min_length=1, max_length=100, description="Name of this warehouse system in each payload."
    )
    migrate_on_start: bool = Field(
        default=True, description="Bring the database to this program's schema when starting."
    )
    server: ServerSettings = ServerSettings()
    worker: WorkerSettings = WorkerSettings()
    egress: EgressSettings = EgressSettings()
    limits: LimitSettings = LimitSettings()
    retention: RetentionSettings = RetentionSettings()
    disk: DiskSettings = DiskSettings()
    smtp: SmtpSettings = SmtpSettings()
    warehouse: WarehouseSettings = WarehouseSettings()
    outbox: OutboxSettings = OutboxSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    def database_file(self) -> Path | None:
        """SQLite's file; None for PostgreSQL."""
        return file_in(self.database)

    def given_keys(self) -> str | None:
        """The key ring, where it is said itself."""
        return None if self.secret_keys is None else self.secret_keys.get_secret_value()

    def key_path(self) -> Path:
        if self.key_file is not None:
            return self.key_file
        file = self.database_file()
        return Path("dockbell.key") if file is None else file.with_suffix(".key")


def read_settings(**overrides: Any) -> Settings:
    """The effective settings; raises ConfigError that names every wrong one."""
    _need_sound_file()
    lines = [*_unknown_variables(), *_lists_not_in_json()]
    try:
        settings = Settings(**overrides)
    except ValidationError as error:
        lines += map(_told_wrong, error.errors(include_url=False))
        raise ConfigError("\n".join(lines)) from error
    except SettingsError as error:  # a list that is no JSON: everything else is read after it
        raise ConfigError("\n".join(lines) or str(error)) from error
    if lines:
        raise ConfigError("\n".join(lines))
    file_in(settings.database)
    return settings


def names() -> dict[str, tuple[Any, str]]:
    """Every setting by dotted name: default and sentence. The reference page is made of this."""
    found: dict[str, tuple[Any, str]] = {}
    for name, field in Settings.model_fields.items():
        if isinstance(field.default, BaseModel):
            for inner, below in type(field.default).model_fields.items():
                found[f"{name}.{inner}"] = (below.default, below.description or "")
        else:
            found[name] = (field.default, field.description or "")
    return found


def variable_of(name: str) -> str:
    return PREFIX + name.replace(".", "__").upper()


def _need_sound_file() -> None:
    """What pydantic would pass over (a folder), or fail on without naming the file."""
    try:
        tomllib.loads(Path(FILE).read_text("utf-8"))
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigError(
            f"{Path(FILE).absolute()} cannot be read: {error.strerror}.",
            hint="It must be a file that the user Dockbell runs as may read; without one, defaults and variables hold.",
        ) from error
    except ValueError as error:  # also UnicodeDecodeError
        raise ConfigError(
            f"{Path(FILE).absolute()} is not TOML in UTF-8: {error}.",
            hint='Write such as: database = "dockbell.sqlite"; and under [server]: port = 8420.',
        ) from error


def _told_wrong(complaint: ErrorDetails) -> str:
    """A sentence on one wrong setting. What was set is shown only where it cannot hold a password."""
    name = ".".join(map(str, complaint["loc"]))
    if complaint["type"] == "extra_forbidden":
        return f"{name} is set but there is no such setting.{_meant(name, (*names(), *Settings.model_fields))}"
    given = complaint["input"]
    is_plain = name in names() and not isinstance(given, dict | list)  # else a section, or one written as such
    shown = repr(given) if is_plain and not name.startswith(("outbox", "secret", "smtp")) else "***"
    return f"{name} ({variable_of(name)}) is {shown}: {complaint['msg']}"


def _lists_not_in_json() -> list[str]:
    """A sentence for each variable of a list that is written in another way."""
    found = []
    for name, (default, _) in names().items():
        given = os.environ.get(variable_of(name))
        if isinstance(default, tuple) and given is not None and not _is_json_list(given):
            found.append(f'{name} ({variable_of(name)}) is {given!r}: write a list as JSON, such as ["one", "two"].')
    return found


def _is_json_list(text: str) -> bool:
    try:
        return isinstance(json.loads(text), list)
    except ValueError:
        return False


def _unknown_variables() -> list[str]:
    """A sentence for each DOCKBELL_ variable that is no setting: most are misspelt ones."""
    known = {variable_of(name) for name in names()}
    return [
        f"{variable} is set but there is no such setting.{_meant(variable, known)}"
        for variable in sorted(os.environ)
        if variable.startswith(PREFIX) and variable not in known and variable not in OTHER_VARIABLES
    ]


def _meant(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f" Did you mean {close[0]}?" if close else ""


OTHER_VARIABLES = frozenset({"DOCKBELL_KEY", "DOCKBELL_URL", "DOCKBELL_REQUIRE_POSTGRES"})
"""Read by the command line's clients and the tests, not by the server."""
