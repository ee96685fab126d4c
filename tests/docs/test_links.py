"""What the documents point to is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
MODULE = re.compile(r"\b((?:web|actions|domain|store|delivery|egress|warehouse)/[\w/]*(?:\.py)?|\w+\.py)")


def anchors(file: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", file.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(file: Path):
    broken = []
    for link in LINK.findall(FENCE.sub("", file.read_text(encoding="utf-8"))):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (file.parent / path).resolve() if path else file
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert not broken, f"{file.relative_to(ROOT)} points to what is not there: {', '.join(broken)}"


def test_every_module_named_in_the_readme_exists():
    named = set(MODULE.findall((ROOT / "README.md").read_text(encoding="utf-8")))
    assert "actions/journal.py" in named
    missing = sorted(name for name in named if not (ROOT / "src" / "dockbell" / name).exists())
    assert not missing, f"README.md names modules that are not there: {', '.join(missing)}"


def test_every_page_is_in_the_index():
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / link.partition("#")[0]).resolve() for link in LINK.findall(index.read_text("utf-8"))}
    pages = {file for file in FILES if file.is_relative_to(ROOT / "docs") and file.parent.name != "reference"}
    assert pages - {index} <= linked
