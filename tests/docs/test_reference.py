"""The reference is what the code says, and nothing is missing from it."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
import typer.main

from dockbell import log, settings
from dockbell.cli import app
from dockbell.domain.catalog import load_catalog

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "reference"


def the_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "scripts" / "reference.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


REFERENCE = the_script()


def page(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(REFERENCE.written()))
def test_a_written_page_is_what_the_code_says(name: str):
    file = FOLDER / name
    same = file.exists() and page(name) == REFERENCE.written()[name]
    assert same, f"docs/reference/{name} differs from the code; run `make reference` and commit what it writes"


def test_there_is_no_page_that_nobody_writes():
    assert {file.name for file in FOLDER.iterdir()} == set(REFERENCE.written())


def test_the_same_code_gives_the_same_pages():
    assert REFERENCE.written() == the_script().written()


def test_every_event_type_has_its_section_with_each_field():
    text = page("event-types.md")
    catalog = load_catalog()
    assert len(catalog) == 38
    for each in catalog:
        assert f"\n### {each.key}\n" in text
        assert all(f"| `{field.path}` |" in text for field in each.fields)


def test_every_setting_is_described():
    text = page("settings.md")
    for name, (_, sentence) in settings.names().items():
        assert f"| `{name}` | `{settings.variable_of(name)}` |" in text
        assert sentence


def test_every_command_is_described():
    text = page("cli.md")
    names = [name for name, _ in REFERENCE.commands(typer.main.get_command(app))]
    assert "keys create" in names
    assert all(f"\n## dockbell {name}\n" in text for name in names)


def test_every_route_is_described():
    text = page("api.md")
    paths = REFERENCE.openapi()["paths"]
    routes = [f"{method.upper()} {path}" for path, methods in paths.items() for method in methods]
    assert "POST /api/v1/events" in routes
    assert all(f"\n## {route}\n" in text for route in routes)


def test_every_code_of_a_refused_request_is_explained():
    text = page("errors.md")
    codes = REFERENCE.request_codes()
    assert {"event_type", "event_id_reused", "storage_full", "url_scheme"} <= set(codes)
    assert [code for code, said in codes.items() if not said] == []
    assert all(f"\n| `{code}` |" in text for code in codes)


def test_every_name_in_the_log_is_explained():
    text = page("log.md")
    written = re.compile(r'\b(?:_?log\.(?:info|warning|error|exception)|say)\(\s*"([a-z_]+\.[a-z_]+)"')
    sources = [file.read_text(encoding="utf-8") for file in (ROOT / "src").rglob("*.py")]
    names = {name for source in sources for name in written.findall(source)}
    assert "server.started" in names
    assert names - set(log.NAMES) == set()
    assert all(f"\n| `{name}` | {sentence} |" in text for name, sentence in log.NAMES.items())


def test_every_code_of_an_attempt_is_explained():
    assert REFERENCE.attempt_codes() == set(REFERENCE.ATTEMPT_CODES)
