"""The table of defences is whole: each line names tests that exist, or says why there is none."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
IDS = [
    *(f"E{n}" for n in range(1, 12)),
    *(f"H{n}" for n in range(1, 9)),
    *(f"S{n}" for n in range(1, 8)),
    *(f"U-{n}" for n in range(1, 16)),
    *(f"R{n}" for n in range(1, 16)),
]
ROW = re.compile(r"\| ((?:[EHSR]|U-)[0-9]+) \| ([^|]+) \| ([^|]+) \|")


def rows() -> dict[str, tuple[str, str]]:
    text = (ROOT / "docs" / "explanation" / "defences.md").read_text("utf-8")
    found = [match.groups() for match in map(ROW.fullmatch, text.splitlines()) if match]
    assert [row[0] for row in found] == IDS
    return {row[0]: (row[1], row[2]) for row in found}


def tests() -> set[str]:
    found = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                found.add(node.name)
    return found


def test_each_defence_names_tests_that_exist_or_says_why_it_is_not_built():
    known = tests()
    for number, (what, shown) in rows().items():
        named = set(re.findall(r"`(test_[a-z0-9_]+)`", shown))
        assert what.strip() and not named - known, (number, named - known)
        assert named or "`make " in shown or re.match(r"not built: \w+ \w+", shown), f"{number} has no test"


def test_a_test_that_is_called_after_a_defence_stands_in_its_line():
    table = rows()
    for name in tests():
        match = re.match(r"test_([ehsru])_?([0-9]+)_", name)
        number = f"{match[1].upper()}{'-' if match[1] == 'u' else ''}{match[2]}" if match else ""
        assert number not in table or f"`{name}`" in table[number][1], f"{name} is missing in the line of {number}"
