"""The lists of bad inputs in tests/bad_inputs, one case after the other with long values built out.

@pytest.mark.parametrize("case", cases("url"), ids=str)
def test_...(case): ...
"""

import base64
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent.parent / "bad_inputs"


@dataclass(frozen=True)
class Case:
    """`more` holds what only some lists have, such as the `field` a value is entered in."""

    id: str
    input: Any
    verdict: Any
    code: str
    why: str
    more: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.id

    @property
    def is_accepted(self) -> bool:
        assert self.verdict in ("accept", "refuse"), f"{self.id} is not a matter of accepting or refusing"
        return bool(self.verdict == "accept")


def cases(name: str) -> list[Case]:
    """Every case of the list `name`; an unknown list or an empty one is an error, never silence."""
    document = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    found = [
        Case(
            id=entry["id"],
            input=built(entry["input"]),
            verdict=entry["verdict"],
            code=entry.get("code", ""),
            why=entry["why"],
            more={key: value for key, value in entry.items() if key not in ("id", "input", "verdict", "code", "why")},
        )
        for entry in document["cases"]
    ]
    assert found, f"{name}.json has no cases"
    return found


def built(value: Any) -> Any:
    """The value meant: `{"repeat", "times"}` with what stands around it becomes text, base64 becomes bytes."""
    match value:
        case {"repeat": unit, "times": times, **around}:
            assert set(around) <= {"before", "middle", "closing", "after"}, f"unknown keys in {value}"
            inner = unit * times + around.get("middle", "") + around.get("closing", "") * times
            return around.get("before", "") + inner + around.get("after", "")
        case {"repeat_base64": unit, "times": times}:
            return base64.b64decode(unit) * times
        case {"base64": text}:
            return base64.b64decode(text)
        case dict():
            return {key: built(part) for key, part in value.items()}
        case list():
            return [built(part) for part in value]
        case _:
            return value
