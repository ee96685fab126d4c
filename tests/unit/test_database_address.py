"""An address of a database: a file, PostgreSQL, or a mistake that must not become a file."""

from pathlib import Path

import pytest

from dockbell.database_address import file_in, shown
from dockbell.errors import ConfigError


@pytest.mark.parametrize(
    ("address", "file"),
    [
        ("dockbell.sqlite", "dockbell.sqlite"),
        ("postgres.sqlite", "postgres.sqlite"),
        ("sqlite:///data/x.sqlite", "data/x.sqlite"),
        ("sqlite:////data/x.sqlite", "/data/x.sqlite"),
        ("/data//x.sqlite", "/data/x.sqlite"),
        ("./a:b", "a:b"),
    ],
)
def test_a_file_is_found(address: str, file: str):
    assert file_in(address) == Path(file)


@pytest.mark.parametrize("address", ["postgresql://u@h/x", "postgres://h/x", "host=h dbname=x", "dbname=x user=host"])
def test_an_address_of_postgresql_is_no_file(address: str):
    assert file_in(address) is None


@pytest.mark.parametrize(
    "address",
    ["postgres//u:secret@h/x", "postgresql:/u:secret@h/x", "mysql://u:secret@h/x", "sqlite://u:secret@x", "C:secret"],
)
def test_a_mistyped_address_is_refused_without_its_password(address: str):
    with pytest.raises(ConfigError, match="no known kind") as refused:
        file_in(address)
    assert "secret" not in refused.value.message + refused.value.hint


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://u:p@ss@h:5432/x",
        "host=h password='p@ss' user=u",
        "postgresql://u@h/x?password=p@ss&sslmode=require",
    ],
)
def test_a_password_is_never_shown(address: str):
    assert "ss" not in shown(address).replace("sslmode", "").replace("password", "")
    assert "***" in shown(address)
