"""Rules of the house that no linter knows."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
LONGEST_ALLOWED = 400
STANDARD_FOLDERS = {"/", "/bin", "/etc", "/home", "/mnt", "/opt", "/root", "/srv", "/tmp", "/usr", "/usr/src", "/var"}


def lines(file: Path) -> int:
    return len(file.read_text(encoding="utf-8").splitlines())


def name(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def tracked_files() -> list[Path]:
    """What belongs to the repository; where there is no git (an unpacked archive), what is not left over by commands."""
    if (ROOT / ".git").exists() and shutil.which("git"):
        listed = subprocess.run(
            ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        files = [ROOT / line for line in listed.split("\0") if line]
    else:
        skipped = {".git", ".venv", ".hypothesis", "build", "dist", "__pycache__"}
        files = []
        for folder, folders, names in os.walk(ROOT):
            folders[:] = [each for each in folders if each not in skipped and not each.endswith("_cache")]
            files += [Path(folder, each) for each in names]
    return [file for file in files if file.is_file() and not file.is_symlink()]


def found_in_text(files: list[Path], pattern: re.Pattern[str]) -> list[str]:
    found = []
    for file in files:
        data = file.read_bytes()
        if b"\0" in data:
            continue
        for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), start=1):
            if match := pattern.search(line):
                found.append(f"{name(file)}:{number}: {match[0]}")
    return found


def test_no_source_file_is_longer_than_one_can_hold_in_the_head(record_property: Callable[[str, object], None]):
    longest = sorted(((lines(file), name(file)) for file in SOURCES), reverse=True)[:10]
    table = "Ten longest source files:\n" + "\n".join(f"  {count:4} {file}" for count, file in longest)
    record_property("print", table)
    assert longest[0][0] <= LONGEST_ALLOWED, f"{table}\nAllowed are {LONGEST_ALLOWED} lines: part what does two things."


def test_every_module_says_what_it_is_for():
    silent = []
    for file in SOURCES:
        module = ast.parse(file.read_text(encoding="utf-8"))
        if module.body and not ast.get_docstring(module):
            silent.append(name(file))
    assert not silent, f"these begin without a docstring (what for, and what is promised): {silent}"


SKIPS = {"skip", "skipif", "xfail", "importorskip"}


def unexplained_skips(tree: ast.AST) -> Iterator[int]:
    """Lines where a test is taken out without a word why."""
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in SKIPS and id(node) not in called:
            if ast.unparse(node.value) == "pytest.mark":
                yield node.lineno
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in SKIPS:
            if ast.unparse(node.func.value) not in {"pytest", "pytest.mark"}:
                continue
            reasons = [keyword.value for keyword in node.keywords if keyword.arg == "reason"]
            if node.func.attr == "skip":
                reasons += node.args
            if not any(not isinstance(reason, ast.Constant) or str(reason.value).strip() for reason in reasons):
                yield node.lineno


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("@pytest.mark.skip\ndef test(): ...", [1]),
        ("@pytest.mark.skip()\ndef test(): ...", [1]),
        ("pytest.skip('')", [1]),
        ("@pytest.mark.skipif(x, reason=' ')\ndef test(): ...", [1]),
        ("pytest.importorskip('chromium')", [1]),
        ("pytest.skip('no IPv6 on this machine')", []),
        ("@pytest.mark.skipif(x, reason='no IPv6')\ndef test(): ...", []),
    ],
)
def test_an_unexplained_skip_is_recognised(code: str, expected: list[int]):
    assert list(unexplained_skips(ast.parse(code))) == expected


def test_no_test_is_skipped_without_a_reason():
    found = [f"{name(file)}:{line}" for file in TESTS for line in unexplained_skips(ast.parse(file.read_bytes()))]
    assert not found, f"say why (reason=...): {found}"


def test_notes_to_ourselves_carry_an_issue_number():
    note = re.compile(r"#.*\b(TODO|FIXME|XXX|HACK)\b(?!.*#\d)")
    here = Path(__file__)
    found = found_in_text([file for file in SOURCES + TESTS if file != here], note)
    assert not found, f"name the issue (TODO #12: ...), or do it now: {found}"


def test_no_tracked_file_knows_this_machine():
    folders = {str(ROOT), sys.prefix, str(ROOT.parent), str(Path.home())} - STANDARD_FOLDERS
    here = "|".join(re.escape(folder) for folder in sorted(folders, key=len, reverse=True))
    path = re.compile(rf"(?<![\w.*~-])(?:(?:{here})/|/(?:home|Users)/[a-z][\w.-]*/)")
    assert path.search(f"cd {ROOT}/src")
    found = found_in_text(tracked_files(), path)
    assert not found, f"paths of somebody's machine: {found}"


def locked(file: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==([^\s;]+)", (ROOT / file).read_text(), flags=re.MULTILINE))


def plain(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0].lower().replace("_", "-")


@pytest.mark.parametrize("file", ["requirements.lock", "requirements-dev.lock"])
def test_a_lock_names_versions_and_hashes_and_no_address(file: str):
    entries = (ROOT / file).read_text().replace("\\\n", " ").splitlines()
    entries = [entry for entry in entries if entry.strip() and not entry.lstrip().startswith("#")]
    bad = [entry[:80] for entry in entries if not re.match(r"[a-z0-9-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", entry)]
    assert entries
    assert not bad, f"made by hand? `make lock` writes name==version --hash=...: {bad}"
    assert "://" not in "".join(entries)


def test_development_uses_the_versions_that_run_in_production():
    run, development = locked("requirements.lock"), locked("requirements-dev.lock")
    differing = [
        f"{package}: {version} and {development.get(package)}"
        for package, version in run.items()
        if development.get(package) != version
    ]
    assert not differing, f"run `make lock`: {differing}"


def test_every_dependency_is_locked_and_has_a_reason_and_a_licence():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    reasons = (ROOT / "docs" / "decisions" / "dependencies.md").read_text()
    rows = {
        row[0].strip("` "): row[1:]
        for row in re.findall(r"^\| *([^|]+)\|([^|]+)\|([^|]+)\|", reasons, flags=re.MULTILINE)
    }
    needed = {plain(each) for each in project["dependencies"]}
    assert needed <= locked("requirements.lock").keys(), "run `make lock`"
    for extra in project["optional-dependencies"].values():
        needed |= {plain(each) for each in extra}
    assert needed <= locked("requirements-dev.lock").keys(), "run `make lock`"
    unexplained = sorted(each for each in needed if not all(cell.strip() for cell in rows.get(each, [""])))
    assert not unexplained, f"docs/decisions/dependencies.md has no row with reason and licence for {unexplained}"
