"""What keeps a node's memory and machine apart from others: its own settings, and the unit that ships with it."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockbell.domain.addresses import judge_address
from tests.support.program import PROGRAM, Node, run

UNIT = Path(__file__).parents[2] / "packaging" / "dockbell.service"
WORST_EXPOSURE = 14
"""Tenths, of 100; it is 12."""


NOBODY = 65534


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """One that any user of this machine may use."""
    folder = Path(tempfile.mkdtemp(prefix="dockbell-"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has PR_SET_DUMPABLE")
def test_s3_a_nodes_memory_is_not_dumped(open_folder: Path) -> None:
    """The files in /proc of a process that cannot be dumped are root's: not even its own user reads its memory."""
    # Root's are root's anyway, so a node of root's shows nothing.
    other = ("setpriv", f"--reuid={NOBODY}", "--clear-groups") if os.geteuid() == 0 else ()
    with Node(open_folder, str(open_folder / "data.sqlite"), program=(*other, *PROGRAM)) as node:
        assert "Uid:\t0" not in Path(f"/proc/{node.process.pid}/status").read_text()
        assert Path(f"/proc/{node.process.pid}/mem").stat().st_uid == 0


def directives(name: str) -> list[str]:
    values = re.findall(rf"^{name}=(.*)$", UNIT.read_text(), flags=re.MULTILINE)
    return [word for value in values for word in value.split()]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_the_unit_is_sound_and_lets_little_through(tmp_path: Path) -> None:
    program = tmp_path / "dockbell"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / "dockbell.service"
    unit.write_text(UNIT.read_text().replace("/opt/dockbell/bin/dockbell", str(program)))
    checked = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True)
    complaints = [line for line in checked.stderr.splitlines() if "dockbell" in line]
    assert not complaints
    rated = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", f"--threshold={WORST_EXPOSURE}", str(unit)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert rated.returncode == 0, rated.stdout[-2_000:]


@pytest.mark.parametrize("network", directives("IPAddressDeny"))
def test_e11_the_kernels_second_line_denies_nothing_that_the_first_allows(network: str) -> None:
    first = network.partition("/")[0]
    assert judge_address(first) is not None, f"{network} is denied by the unit, and allowed by Dockbell"


def test_e11_the_second_line_covers_private_networks_and_metadata() -> None:
    assert {
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "100.64.0.0/10",
        "fc00::/7",
        "fe80::/10",
    } <= set(directives("IPAddressDeny"))


def test_the_container_installs_what_is_locked_and_runs_as_nobody_else() -> None:
    text = (UNIT.parent / "Containerfile").read_text()
    assert "--require-hashes -r /source/requirements.lock" in text
    assert re.search(r"^USER 8420$", text, flags=re.MULTILINE)
    assert run(UNIT.parent, "version").returncode == 0
