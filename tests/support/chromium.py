"""A real Chromium for the browser's tests: an installed one, or else one that is brought here.

Looked for in TEST_CHROMIUM (a program) and on PATH, by the names distributions give it. Where there is none, Debian and
Ubuntu bring it: root, or who may use sudo without a password, installs the package; anybody else downloads it with what it
needs and unpacks it in build/chromium, where nothing else of the machine is touched. Nothing is ever skipped for want of
it: without one, tests that need it fail and say what to install.
"""

import fcntl
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BUILD = Path(__file__).parents[2] / "build"
UNPACKED = "chromium"
PROGRAM = "usr/lib/chromium/chromium"
LONGEST_S = 300.0
ADVICE = (
    "Install it (Debian: apt-get install chromium; Fedora: dnf install chromium), or name its program in TEST_CHROMIUM."
)


class NoChromium(Exception):
    """Chromium cannot be had; the message says why and what to do."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """A running Chromium, without a window; raises NoChromium."""
    options = launch_options()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**options)
        try:
            yield browser
        finally:
            browser.close()


def launch_options() -> dict[str, Any]:
    """What Playwright needs to start it. Its own sandbox is on unless we are root, whom Chromium refuses it."""
    program = find()
    options: dict[str, Any] = {"executable_path": str(program), "chromium_sandbox": os.geteuid() != 0}
    if (libraries := _libraries_beside(program)) is not None:
        options["env"] = {**os.environ, "LD_LIBRARY_PATH": libraries}
    return options


def find(build: Path = BUILD) -> Path:
    """The program; brought here when this machine has none. Several processes may ask at once."""
    if chosen := os.environ.get("TEST_CHROMIUM"):
        if not os.access(chosen, os.X_OK):
            raise NoChromium(f"TEST_CHROMIUM={chosen} is no program that can be run. {ADVICE}")
        return Path(chosen)
    if (found := _installed() or _unpacked(build)) is not None:
        return found
    build.mkdir(parents=True, exist_ok=True)
    with (build / "chromium-being-brought").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _installed() or _unpacked(build) or bring(build)


def bring(build: Path) -> Path:
    """Install it, or unpack it in `build`."""
    if shutil.which("apt-get") is None:
        raise NoChromium(f"There is no Chromium on this machine, and no apt-get that could bring it. {ADVICE}")
    why = []
    for command in ([] if os.geteuid() == 0 else ["sudo", "-n"],):
        if command and shutil.which("sudo") is None:
            why.append("there is no sudo")
            continue
        try:
            _run([*command, "env", "DEBIAN_FRONTEND=noninteractive", *_INSTALL])
        except NoChromium as error:
            why.append(str(error))
        if (found := _installed()) is not None:
            return found
    try:
        return unpack(build)
    except NoChromium as error:
        why.append(str(error))
    raise NoChromium(f"There is no Chromium on this machine, and it could not be brought. {ADVICE}\n" + "\n".join(why))


def unpack(build: Path) -> Path:
    """Without being root: the packages are downloaded and unpacked in `build`; nothing is installed."""
    wanted = _missing_packages()
    folder = build / UNPACKED
    packages = folder / "packages"
    shutil.rmtree(folder, ignore_errors=True)
    packages.mkdir(parents=True)
    _run(["apt-get", "download", *wanted], cwd=packages)
    for file in sorted(packages.glob("*.deb")):
        _run(["dpkg", "-x", str(file), str(folder)])
    shutil.rmtree(packages)
    program = folder / PROGRAM
    if not os.access(program, os.X_OK):
        raise NoChromium(f"{', '.join(wanted)} were unpacked in {folder}, but no program is where it was expected.")
    _run([str(program), "--version"], env={**os.environ, "LD_LIBRARY_PATH": _libraries(folder)})
    # Written last: it says that everything is there, and that it runs.
    (folder / "whole").touch()
    return program


_INSTALL = ("apt-get", "install", "-y", "--no-install-recommends", "chromium")


def _installed() -> Path | None:
    return next((Path(path) for name in NAMES if (path := shutil.which(name))), None)


def _unpacked(build: Path) -> Path | None:
    folder = build / UNPACKED
    return folder / PROGRAM if (folder / "whole").exists() and os.access(folder / PROGRAM, os.X_OK) else None


def _libraries_beside(program: Path) -> str | None:
    """Where an unpacked Chromium finds the libraries that came with it; None for an installed one."""
    folder = program.parents[3] if len(program.parents) > 3 else program.parent
    return _libraries(folder) if (folder / "whole").exists() else None


def _libraries(folder: Path) -> str:
    """Where libraries lie, and below that the folders of those that some packages keep for themselves (PulseAudio's does)."""
    machine = f"{platform.machine()}-linux-gnu"
    places = [folder / place / machine for place in ("usr/lib", "lib")]
    private = {file.parent for place in places for file in place.glob("*/lib*.so*")}
    return ":".join(map(str, [*places, *sorted(private)]))


def _missing_packages() -> list[str]:
    """Chromium and what it needs that is not installed, by the package lists that are on this machine."""
    answer = _run(["apt-get", "--simulate", "install", "--no-install-recommends", "chromium"])
    names = re.findall(r"^Inst (\S+)", answer, re.MULTILINE)
    if not names:
        raise NoChromium(f"apt-get would install nothing for 'chromium':\n{answer[-400:]}")
    return names


def _run(command: list[str], *, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    try:
        done = subprocess.run(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LONGEST_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoChromium(f"{' '.join(command)[:200]} could not be run: {error}") from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()[-800:]
        raise NoChromium(f"{' '.join(command)[:200]} ended with {done.returncode}:\n{said}")
    return done.stdout
