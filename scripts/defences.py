"""`make defences`: run the tests of every line of docs/explanation/defences.md and tell the result of each line.

Prints a table: the id, how many tests (with their variants) passed and failed, which ones failed. The exit code is 1 if a
line failed or had nothing to run but a sentence of its own.
"""

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter, defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "explanation" / "defences.md"
REPORT = ROOT / "build" / "defences.xml"
LINE = re.compile(r"\| ((?:[EHSR]|U-)[0-9]+) \| ([^|]+) \| ([^|]+) \|")
TESTS = re.compile(r"`(test_[a-z0-9_]+)`")


def main() -> int:
    lines = {found[1]: found[3] for found in map(LINE.fullmatch, PAGE.read_text().splitlines()) if found}
    wanted = {name for shown in lines.values() for name in TESTS.findall(shown)}
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.unlink(missing_ok=True)
    subprocess.run(
        [
            sys.executable, "-m", "pytest", "-q", "-n", "4", "--dist", "loadfile", f"--junitxml={REPORT}", "-p",
            "no:cacheprovider", *_files(wanted), "-k", " or ".join(sorted(wanted)), *sys.argv[1:],
        ],
        cwd=ROOT, check=False, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    results = _results()
    print("| Id | Tests | Passed | Failed |\n|---|---|---|---|")
    bad = 0
    for number, shown in lines.items():
        names = TESTS.findall(shown)
        passed = sum(results[name]["passed"] for name in names)
        failed = [name for name in names if results[name]["failed"] or not results[name].total()]
        bad += bool(failed) or not (passed or "`make " in shown or "not built" in shown)
        print(f"| {number} | {len(names)} | {passed} | {', '.join(failed) or (shown if not names else '')} |")
    print(f"\n{len(lines)} lines, {bad} of them with something that failed or was not run.")
    return int(bool(bad))


def _files(names: set[str]) -> list[str]:
    """Those that hold one of the tests: the others need not be read."""
    holds = re.compile(r"def (test_[a-z0-9_]+)\(")
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    return [str(file.relative_to(ROOT)) for file in files if names & set(holds.findall(file.read_text()))]


def _results() -> dict[str, Counter[str]]:
    """By a test's name, over its variants."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for case in ET.parse(REPORT).getroot().iter("testcase"):
        name = case.attrib["name"].partition("[")[0]
        if case.find("failure") is not None or case.find("error") is not None:
            found[name]["failed"] += 1
        elif case.find("skipped") is None:
            found[name]["passed"] += 1
    return found


if __name__ == "__main__":
    sys.exit(main())
