"""What a program wrote to its files, recorded by strace, and the files as a power cut would have left them.

A write is certain once a sync of its file, begun after the write, has returned. Until then it may be there, be missing, or be
there in part. What the operating system does to the order of names in folders is not played: the files exist throughout.
"""

import random
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

CALLS = "pwrite64,fdatasync,fsync,ftruncate,write,writev,sendto,sendmsg"
SECTOR = 512
_LINE = re.compile(r"(\d+) +(?:<\.\.\. (\w+) resumed>|(\w+)\(\d+<([^>]*)>)(.*)")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_NUMBER = re.compile(r"\d+")
_ACCEPTED = re.compile(rb'"eventId": ?"?(\d+)')


def recorder(strace: str, into: Path) -> list[str]:
    """The words that go before a command to record it."""
    return [strace, "-f", "-qq", "-y", "-xx", "-s", "100000000", "--seccomp-bpf", "-e", "signal=none",
            "-e", f"trace={CALLS}", "-o", str(into)]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Write:
    file: str
    at: int
    data: bytes | None
    """None cuts the file off at `at`."""


@dataclass(frozen=True, slots=True)
class SyncBegan:
    file: str
    thread: str


@dataclass(frozen=True, slots=True)
class SyncEnded:
    file: str
    thread: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The program began to tell somebody that these events are accepted."""

    events: frozenset[int]


Step = Write | SyncBegan | SyncEnded | Answer


def read(trace: Path, files: Sequence[str]) -> list[Step]:
    """The steps of a recording that matter to these files, named by the ends of their paths."""
    steps: list[Step] = []
    syncing: dict[str, str] = {}
    with trace.open(encoding="ascii", errors="replace") as lines:
        for line in lines:
            found = _LINE.match(line)
            if found is None:
                continue
            thread, resumed, call, path, rest = found.groups()
            if resumed:
                if resumed in ("fdatasync", "fsync") and thread in syncing and rest.rstrip().endswith("= 0"):
                    steps.append(SyncEnded(syncing.pop(thread), thread))
                continue
            file = next((name for name in files if _plain(path).endswith(name)), None)
            steps += _steps(thread, call, file, rest, syncing)
    return steps


def _steps(thread: str, call: str, file: str | None, rest: str, syncing: dict[str, str]) -> Iterator[Step]:
    if file is None:
        if call in ("write", "writev", "sendto", "sendmsg"):
            told = b"".join(_bytes(text) for text in _TEXT.findall(rest))
            if told.startswith(b"HTTP/1.1 202"):
                yield Answer(frozenset(map(int, _ACCEPTED.findall(told))))
    elif call == "pwrite64":
        data = _bytes(_TEXT.findall(rest)[0])
        _, at, *_ = _NUMBER.findall(rest.rsplit('"', 1)[1])  # how many bytes, and where
        yield Write(file, int(at), data)
    elif call == "ftruncate":
        yield Write(file, int(_NUMBER.findall(rest)[0]), None)
    elif call in ("fdatasync", "fsync"):
        yield SyncBegan(file, thread)
        if "unfinished" in rest:
            syncing[thread] = file
        elif rest.rstrip().endswith("= 0"):
            yield SyncEnded(file, thread)


def _plain(path: str) -> str:
    return _bytes(path).decode("utf-8", "replace") if path.startswith("\\x") else path


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


@dataclass(slots=True)
class Disk:
    """The files while the steps are played: what is certain of each, and what was written since."""

    certain: dict[str, bytearray]
    since: dict[str, list[Write]] = field(default_factory=lambda: defaultdict(list))
    _at_sync: dict[str, tuple[str, int]] = field(default_factory=dict)
    """By thread, the file and how many of its writes had been made when its sync began."""

    def play(self, step: Step) -> None:
        match step:
            case Write():
                self.since[step.file].append(step)
            case SyncBegan():
                self._at_sync[step.thread] = step.file, len(self.since[step.file])
            case SyncEnded():
                _, count = self._at_sync.pop(step.thread)
                for write in self.since[step.file][:count]:
                    _apply(self.certain.setdefault(step.file, bytearray()), write)
                del self.since[step.file][:count]
                # Another sync of the file may be under way in another thread: it began with as many writes fewer now.
                for thread, (file, before) in self._at_sync.items():
                    if file == step.file:
                        self._at_sync[thread] = file, max(0, before - count)
            case Answer():
                pass

    def after_a_power_cut(self, how: str, choose: random.Random) -> Mapping[str, bytes]:
        """`dropped`: nothing uncertain is there. `half`: each such write or not. `torn`: all, the last one in part."""
        files = {}
        for name in self.certain.keys() | self.since.keys():
            content = bytearray(self.certain.get(name, b""))
            writes = list(self.since.get(name, ()))
            if how == "dropped":
                writes = []
            elif how == "half":
                writes = [write for write in writes if choose.random() < 0.5]
            elif writes and writes[-1].data:
                last = writes.pop()
                assert last.data is not None
                kept = SECTOR * choose.randrange(0, len(last.data) // SECTOR + 1)
                writes.append(Write(last.file, last.at, last.data[:kept]))
            for write in writes:
                _apply(content, write)
            files[name] = bytes(content)
        return files


def _apply(content: bytearray, write: Write) -> None:
    if write.data is None:
        del content[write.at :]
        content.extend(bytes(write.at - len(content)))
        return
    if len(content) < write.at:
        content.extend(bytes(write.at - len(content)))
    content[write.at : write.at + len(write.data)] = write.data
