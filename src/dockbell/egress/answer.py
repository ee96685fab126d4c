"""Reading the answer to one request: where its head ends, how long its body is, and when it is more than we take.

It is fed what a connection brings and says when all is there. After an answer that could be read in two ways no other
request follows on its connection (RFC 9112, section 11.2).
"""

import re
from functools import lru_cache

import msgspec

HEADER_LINES = 128
HEADER_LINE_BYTES = 8 * 1024
HEAD_BYTES = 64 * 1024
INTERIM_HEADS = 16
_LONGEST_REMEMBERED = 1024
_LONGEST_CHUNK_LINE = 8 * 1024
_BEGINNING = b"HTTP/1."
# RFC 9112, section 4; other first digits belong to no class of answers (RFC 9110, section 15).
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])[ \r\n]")
_FRAMING = re.compile(
    rb"^(content-length|transfer-encoding|connection|retry-after):[ \t]*([^\r\n]*)", re.IGNORECASE | re.MULTILINE
)
_PLAIN_LINES = re.compile(rb"HTTP/[^\n]*\n(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\n]*\n)*")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r?\n")
_LINE_ENDS = (b"\r\n", b"\n")
_UNTIL_CLOSE = -1
_IN_CHUNKS = -2


class NotHttp(Exception):
    """What came is no answer of HTTP/1.1, or a head beyond our bounds; the text says why."""


class Head(msgspec.Struct, frozen=True, gc=False):
    status: int
    raw: bytes
    """Status line and header lines as received."""
    body_bytes: int
    """How long the body is, or one of the two marks."""
    is_last: bool
    """No other request may follow on this connection."""
    retry_after: str | None


class Answer:
    """One answer while it comes in."""

    __slots__ = ("_chunks", "_head_bytes", "_interim", "_left", "_limit", "_unread", "body", "cut", "head", "is_last")

    def __init__(self, body_limit: int) -> None:
        self.head: Head | None = None
        """None until a complete head has come that is not an interim one."""
        self.body = bytearray()
        self.cut = False
        """The body is longer than our limit, or was not whole."""
        self.is_last = False
        self._limit = body_limit
        self._left = 0
        self._chunks: _Chunks | None = None
        self._unread = b""
        self._head_bytes = 0
        self._interim = 0

    @property
    def has_begun(self) -> bool:
        return self.head is not None or bool(self._unread) or self._head_bytes > 0

    def feed(self, data: bytes) -> bool:
        """Whether all is there. Raises NotHttp, but only before there is a head: then nothing was answered."""
        if self.head is None:
            rest = self._feed_head(data)
            if rest is None:
                return False
            data = rest
        if self._chunks is not None:
            return self._feed_chunks(self._chunks, data)
        if self._left == _UNTIL_CLOSE:
            return self._keep(data)
        here = data[: self._left] if len(data) > self._left else data
        self._left -= len(here)
        if len(here) < len(data):  # nobody asked for more, and it must not answer the next request
            self.is_last = True
        return self._keep(here) or not self._left

    def ends_with_connection(self) -> bool:
        """Whether all is there once the other side has closed in order; if not, the body is cut."""
        return self.head is not None and self._left == _UNTIL_CLOSE

    def _feed_head(self, data: bytes) -> bytes | None:
        """What follows the head; None while that is not complete."""
        unread = self._unread
        data, seen = (unread + data, max(0, len(unread) - 3)) if unread else (data, 0)
        while True:
            end, after = _end_of_head(data, seen)
            if end < 0:
                _need_beginning(data, self._head_bytes)
                self._unread = data
                return None
            raw = data[:end]
            head = _remembered(raw) if end <= _LONGEST_REMEMBERED else read_head(raw)
            self._head_bytes += end
            if self._head_bytes > HEAD_BYTES:
                raise NotHttp(f"A head of more than {HEAD_BYTES:,} bytes.")
            if head.status >= 200 or head.status == 101:
                break
            self._interim += 1
            if self._interim > INTERIM_HEADS:
                raise NotHttp(f"More than {INTERIM_HEADS} interim heads.")
            data, seen = data[after:], 0
        self.head, self.is_last, self._left, self._unread = head, head.is_last, head.body_bytes, b""
        if self._left == _IN_CHUNKS:
            self._chunks = _Chunks()
        return data[after:]

    def _feed_chunks(self, chunks: "_Chunks", data: bytes) -> bool:
        try:
            is_full = self._keep(chunks.feed(data))
        except ValueError:
            self.cut = self.is_last = True
            return True
        if chunks.has_more:
            self.is_last = True
        return is_full or chunks.ended

    def _keep(self, part: bytes) -> bool:
        """Keep what there is room for; True if there was more, which ends the answer."""
        if not part:
            return False
        room = self._limit - len(self.body)
        self.body += part[:room]
        if len(part) > room:
            self.cut = self.is_last = True
        return self.cut


MOST_CHUNKS = 4_096


class _Chunks:
    """Takes a body of chunks apart. Raises ValueError when it is none."""

    __slots__ = ("_after_chunk", "_chunks", "_in_trailers", "_left", "_line", "_trailer_bytes", "ended", "has_more")

    def __init__(self) -> None:
        self.ended = False
        self.has_more = False
        """Something came after the end."""
        self._left = 0
        self._after_chunk = self._in_trailers = False
        self._trailer_bytes = self._chunks = 0
        self._line = b""

    def feed(self, data: bytes) -> bytes:
        parts = []
        at = 0
        while at < len(data) and not self.ended:
            if self._left:
                part = data[at : at + self._left]
                parts.append(part)
                at += len(part)
                self._left -= len(part)
                continue
            end = data.find(b"\n", at) + 1
            line = self._line + data[at : end or len(data)]
            if len(line) > _LONGEST_CHUNK_LINE:
                raise ValueError("a line of a chunk's head or of trailers is too long")
            at = end or len(data)
            if end:
                self._line = b""
                self._take(line)
            else:
                self._line = line
        self.has_more = at < len(data)
        return b"".join(parts)

    def _take(self, line: bytes) -> None:
        if self._in_trailers:  # read and forgotten
            self._trailer_bytes += len(line)
            if self._trailer_bytes > HEAD_BYTES:
                raise ValueError("too many trailers")
            self.ended = line in _LINE_ENDS
        elif self._after_chunk:
            if line not in _LINE_ENDS:
                raise ValueError("a chunk is longer than it said")
            self._after_chunk = False
        else:
            size = _CHUNK_SIZE.fullmatch(line)
            if size is None:
                raise ValueError("no size of a chunk")
            self._chunks += 1
            if self._chunks > MOST_CHUNKS:  # each costs as much as a long one
                raise ValueError("too many chunks")
            self._left = int(size[1], 16)
            self._after_chunk = self._left > 0
            self._in_trailers = not self._left


def read_head(raw: bytes) -> Head:
    """The head of an answer, with what it says about the body. Raises NotHttp."""
    status_line = _STATUS_LINE.match(raw)
    if status_line is None:
        raise NotHttp("The status line has no status from 100 to 599.")
    if b"\0" in raw:
        raise NotHttp("The head has a NUL byte.")
    if raw.count(b"\n") > HEADER_LINES + 1:
        raise NotHttp(f"More than {HEADER_LINES} header lines.")
    if len(raw) > HEADER_LINE_BYTES and max(map(len, raw.split(b"\n"))) >= HEADER_LINE_BYTES:
        raise NotHttp(f"A header line of more than {HEADER_LINE_BYTES:,} bytes.")
    said: dict[bytes, list[bytes]] = {}
    for name, value in _FRAMING.findall(raw):
        said.setdefault(name.lower(), []).append(value.strip())
    status = int(status_line[2])
    options = b",".join(said.get(b"connection", ())).lower()
    body_bytes, is_plain = _body_of(
        status, said.get(b"content-length", []), b",".join(said.get(b"transfer-encoding", ())).lower()
    )
    is_last = (
        not is_plain
        or status == 101
        or b"close" in options
        or (status_line[1] == b"0" and b"keep-alive" not in options)
        or _PLAIN_LINES.fullmatch(raw) is None
    )
    asked = said.get(b"retry-after")
    return Head(status, raw, body_bytes, is_last, asked[0][:256].decode("latin-1") if asked else None)


_remembered = lru_cache(maxsize=1024)(read_head)
"""The next answer of a receiver mostly has the head of the last."""


def _body_of(status: int, lengths: list[bytes], codings: bytes) -> tuple[int, bool]:
    """How long the body is (RFC 9112, section 6.3), and whether every reader would say so."""
    values = {value.strip() for given in lengths for value in given.split(b",")}
    if len(values) > 1 or not all(value.isdigit() and len(value) < 19 for value in values):
        raise NotHttp("The answer has several values of Content-Length, or one that is no number.")
    if status in (204, 304):
        return 0, not codings and values <= {b"0"}  # what a length announces may come all the same
    if codings:  # with a length besides it is an attempt at smuggling
        return (_IN_CHUNKS, not values) if codings == b"chunked" else (_UNTIL_CLOSE, False)
    return (int(values.pop()), True) if values else (_UNTIL_CLOSE, False)


def _end_of_head(data: bytes, start: int) -> tuple[int, int]:
    """Where the header lines end and where the body begins; -1 if not yet. A bare line feed ends a line, too."""
    end = data.find(b"\n\r\n", start)
    bare = data.find(b"\n\n", start, end if end >= 0 else len(data))
    if bare >= 0:
        return bare + 1, bare + 2
    return (end + 1, end + 3) if end >= 0 else (-1, -1)


def _need_beginning(data: bytes, before: int) -> None:
    """Refuse what cannot become a head within our bounds. `before` came with interim heads."""
    if not data.startswith(_BEGINNING[: len(data)]):
        raise NotHttp("What came does not begin as HTTP/1.")
    if data.count(b"\n") > HEADER_LINES + 1:
        raise NotHttp(f"More than {HEADER_LINES} header lines.")
    if len(data) + before > HEAD_BYTES or len(data) - data.rfind(b"\n") > HEADER_LINE_BYTES + 1:
        raise NotHttp("A head, or a line of it, that is too long.")
