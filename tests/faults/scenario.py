"""What a scenario is, and what comes of it.

A scenario is a function of a `Run`. It makes its fault under a load, and tells what must hold besides the accounting, which
the load does by itself (tests/faults/load.py). Beside it stands a control where there can be one: the same fault, with a
defence taken out, must be seen to do harm. What could not be tried on this machine says so; nothing passes in silence.
"""

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.accounting import FAULTS, Account

SHOWN = 5
PACKAGES = {
    "strace": "strace",
    "faketime": "faketime",
    "ip": "iproute2",
    "nft": "nftables",
}


class NotRun(Exception):
    """This machine cannot show it; the message says what it lacks."""


@dataclass(slots=True)
class Run:
    """One scenario under way, and what was found so far."""

    folder: Path
    seed: int
    is_full: bool = False
    minutes: float | None = None
    survived: int = 0
    """Faults that were made and lived through."""
    events: int = 0
    received: int = 0
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(FAULTS, 0))
    explained_dups: int = 0
    explained_overlaps: int = 0
    recovery_s: float | None = None
    """The longest time from a fault's end until nothing was due any more."""
    figures: dict[str, Any] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)
    controls: list[str] = field(default_factory=list)
    spoken: str = "  "
    """What each line begins with."""
    choose: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.choose = random.Random(self.seed)

    def pick(self, short: Any, full: Any) -> Any:
        """The size of something in the short and in the full set."""
        return full if self.is_full else short

    def below(self, name: str) -> Path:
        """A new folder for a part of the run."""
        folder = self.folder / f"{len(list(self.folder.iterdir()))}-{name}"
        folder.mkdir()
        return folder

    def as_control(self, name: str) -> "Run":
        """A run of its own, whose faults are wanted."""
        return Run(self.below(name), self.seed, is_full=self.is_full, spoken=f"  control, {name}: ")

    def say(self, text: str) -> None:
        print(self.spoken + text, flush=True)

    def must(self, holds: bool, what: str) -> None:
        if not holds:
            self.complaints.append(what)
            self.say(f"NOT SO: {what}")

    def figure(self, name: str, value: Any) -> None:
        self.figures[name] = value

    def control(self, what: str, *, did_harm: bool, harm: str) -> None:
        """`what` was taken out, and `harm` was seen. If nothing was, the scenario proves nothing."""
        self.controls.append(f"{what}: {harm}")
        self.must(did_harm, f"the control did no harm ({what}: {harm}), so this scenario shows nothing")

    def add(self, found: Account, *, recovery_s: float) -> None:
        """What the accounting of one load found."""
        self.events += found.accepted
        self.received += found.received
        self.explained_dups += found.explained_dups
        self.explained_overlaps += found.explained_overlaps
        self.recovery_s = max(recovery_s, self.recovery_s or 0.0)
        for name in FAULTS:
            self.counts[name] += len(found.faults[name])
            for text in found.faults[name][:SHOWN]:
                self.say(f"{name}: {text}")

    @property
    def held(self) -> bool:
        return not self.complaints and not any(self.counts.values())


@dataclass(frozen=True, slots=True)
class Scenario:
    id: str
    title: str
    holds: str
    """What must hold besides the accounting, in words for the results page."""
    in_short: bool
    needs: tuple[str, ...]
    """Programs of the system."""
    play: Callable[[Run], None]


SCENARIOS: dict[str, Scenario] = {}


def scenario(
    name: str, title: str, *, holds: str = "", short: bool = False, needs: tuple[str, ...] = ()
) -> Callable[[Callable[[Run], None]], Callable[[Run], None]]:
    def add(play: Callable[[Run], None]) -> Callable[[Run], None]:
        assert name not in SCENARIOS, f"there are two scenarios {name}"
        SCENARIOS[name] = Scenario(name, title, holds, short, needs, play)
        return play

    return add


def need(program: str) -> str:
    """The path of a program of the system, or NotRun."""
    found = _find(program)
    if found is None:
        raise NotRun(f"needs {program} (Debian, Ubuntu: apt-get install {PACKAGES[program]})")
    return found


def bring(programs: Iterable[str]) -> None:
    """Those that are missing, from Debian's packages, if we may install them."""
    missing = {PACKAGES[program] for program in programs if _find(program) is None}
    if not missing or os.geteuid() != 0 or not shutil.which("apt-get"):
        return
    print(f"Installing {', '.join(sorted(missing))}, which scenarios need ...", file=sys.stderr)
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for words in (["update"], ["install", "-y", "--no-install-recommends", *sorted(missing)]):
        subprocess.run(["apt-get", "-qq", *words], env=quiet, check=False, stdout=subprocess.DEVNULL)


def _find(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin{os.pathsep}/sbin")


def need_root(what: str) -> None:
    if os.geteuid() != 0:
        raise NotRun(f"needs root, for {what}")
