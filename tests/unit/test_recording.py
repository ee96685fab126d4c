"""What a power cut leaves: synced writes for certain, later ones as chance wants it."""

import random
from pathlib import Path

from tests.faults.recording import Answer, Disk, SyncBegan, SyncEnded, Write, read

FILE = "data.sqlite-wal"
CHOOSE = random.Random(1)


def hexed(text: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in text)


PATH = hexed(b"/tmp/x/data.sqlite-wal")
ANSWER = hexed(b'HTTP/1.1 202 Accepted\r\n\r\n{"eventId":42}')
TRACE = "\n".join(
    [
        f'7 pwrite64(9<{PATH}>, "{hexed(b"abcd")}", 4, 0) = 4',
        f"7 fdatasync(9<{PATH}> <unfinished ...>",
        f'8 pwrite64(9<{PATH}>, "{hexed(b"XY")}", 2, 2) = 2',
        "7 <... fdatasync resumed>) = 0",
        f'8 write(12<{hexed(b"socket:[5]")}>, "{ANSWER}", 35) = 35',
        f"8 ftruncate(9<{PATH}>, 3) = 0",
        f'8 pwrite64(10<{hexed(b"/tmp/other")}>, "{hexed(b"zz")}", 2, 0) = 2',
        f"8 fdatasync(9<{PATH}>) = -1 EIO (Input/output error) (INJECTED)",
    ]
)


def test_a_recording_is_read_into_the_steps_that_matter(tmp_path: Path):
    (tmp_path / "trace").write_text(TRACE)
    assert read(tmp_path / "trace", [FILE]) == [
        Write(FILE, 0, b"abcd"),
        SyncBegan(FILE, "7"),
        Write(FILE, 2, b"XY"),
        SyncEnded(FILE, "7"),
        Answer(frozenset({42})),
        Write(FILE, 3, None),
        SyncBegan(FILE, "8"),
    ]


def played(*steps: object) -> Disk:
    disk = Disk({FILE: bytearray(b"....")})
    for step in steps:
        disk.play(step)  # type: ignore[arg-type]
    return disk


def test_what_was_written_while_a_sync_was_under_way_is_not_certain():
    disk = played(Write(FILE, 0, b"abcd"), SyncBegan(FILE, "7"), Write(FILE, 2, b"XY"), SyncEnded(FILE, "7"))
    assert disk.after_a_power_cut("dropped", CHOOSE) == {FILE: b"abcd"}
    halves = {disk.after_a_power_cut("half", CHOOSE)[FILE] for _ in range(50)}
    assert halves == {b"abcd", b"abXY"}


def test_a_sync_that_did_not_return_makes_nothing_certain():
    disk = played(Write(FILE, 0, b"abcd"), SyncBegan(FILE, "7"))
    assert disk.after_a_power_cut("dropped", CHOOSE) == {FILE: b"...."}


def test_a_torn_write_ends_at_a_sector_and_the_ones_before_are_whole():
    disk = played(Write(FILE, 0, b"a" * 512), Write(FILE, 512, b"b" * 2048))
    lengths = {len(disk.after_a_power_cut("torn", CHOOSE)[FILE]) for _ in range(200)}
    assert lengths == {512, 1024, 1536, 2048, 2560}


def test_a_file_that_was_cut_off_is_longer_until_that_is_certain():
    disk = played(Write(FILE, 2, None))
    assert disk.after_a_power_cut("dropped", CHOOSE) == {FILE: b"...."}
    assert played(Write(FILE, 2, None), SyncBegan(FILE, "7"), SyncEnded(FILE, "7")).after_a_power_cut(
        "dropped", CHOOSE
    ) == {FILE: b".."}


def test_two_syncs_of_one_file_make_certain_what_was_there_when_each_began():
    first = [Write(FILE, 0, b"ab"), SyncBegan(FILE, "1"), Write(FILE, 2, b"cd"), SyncBegan(FILE, "2")]
    disk = played(*first, SyncEnded(FILE, "1"))
    assert disk.after_a_power_cut("dropped", CHOOSE) == {FILE: b"ab.."}
    disk.play(Write(FILE, 4, b"ef"))
    disk.play(SyncEnded(FILE, "2"))
    assert disk.after_a_power_cut("dropped", CHOOSE) == {FILE: b"abcd"}


def test_the_sync_of_another_file_takes_nothing_away():
    other = [Write("data.sqlite", at, b"x") for at in range(5)]
    syncs = [SyncBegan("data.sqlite", "checkpoint"), SyncBegan(FILE, "commit"), SyncEnded("data.sqlite", "checkpoint")]
    disk = played(Write(FILE, 0, b"ab"), *other, *syncs, SyncEnded(FILE, "commit"))
    assert disk.after_a_power_cut("dropped", CHOOSE) == {FILE: b"ab..", "data.sqlite": b"xxxxx"}
