"""The examples of the how-to pages that tests run: `<!-- run: name -->` stands before the block."""

import re
from pathlib import Path

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"
MARKED = re.compile(r"^<!-- run: (\w+) -->\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def examples() -> dict[str, str]:
    """Their text by name."""
    return {
        name: code for file in sorted(HOW_TO.glob("*.md")) for name, code in MARKED.findall(file.read_text("utf-8"))
    }
