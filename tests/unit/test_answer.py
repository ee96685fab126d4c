"""Reading answers: the same whatever pieces they come in, and never two readings of one connection."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockbell.egress.answer import HEAD_BYTES, Answer, NotHttp

LIMIT = 64
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def read(raw: bytes, cuts: list[int] | None = None) -> tuple[bool, Answer]:
    """Whether the answer was complete, fed in pieces cut at these places."""
    answer = Answer(LIMIT)
    places = [0, *sorted({cut % (len(raw) + 1) for cut in cuts or []}), len(raw)]
    for start, end in itertools.pairwise(places):
        if end > start and answer.feed(raw[start:end]):
            if end < len(raw):
                answer.is_last = True  # a connection is closed by what comes unasked
            return True, answer
    return False, answer


ANSWERS = [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok", False),
    (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", b"ok", False),
    (b"HTTP/1.1 204 No Content\r\n\r\n", b"", False),
    (b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", b"", False),
    (b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n", b"", True),
    (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", b"", False),
    (b"HTTP/1.1 103 Early\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n.", b".", False),
    (CHUNKED + b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX-Trailer: 1\r\n\r\n", b"abcde", False),
    (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok", True),
    (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nok", b"ok", False),
    (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", b"ok", True),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", b"ok", False),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 500 No\r\n\r\n", b"ok", True),
    (CHUNKED + b"2\r\nok\r\n0\r\n\r\nmore", b"ok", True),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", b"ok", True),
    (b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\nContent-Length: 0\r\n\r\n", b"", True),
    (b"HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 0\r\n\r\n", b"", True),
]


@pytest.mark.parametrize(("raw", "body", "is_last"), ANSWERS)
@given(cuts=st.lists(st.integers(0, 400), max_size=8))
def test_an_answer_is_the_same_in_whatever_pieces_it_comes(raw: bytes, body: bytes, is_last: bool, cuts: list[int]):
    complete, answer = read(raw, cuts)
    assert complete
    assert not answer.cut
    assert (bytes(answer.body), answer.is_last) == (body, is_last)


@pytest.mark.parametrize(
    "raw",
    [
        b"<html>",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 000 No\r\n\r\n",
        b"HTTP/1.1 1000 No\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: \xb2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length:\r\n 2\r\n\r\n",
    ],
)
@given(cuts=st.lists(st.integers(0, 200), max_size=4))
def test_what_is_no_answer_is_refused_before_there_is_a_head(raw: bytes, cuts: list[int]):
    with pytest.raises(NotHttp):
        read(raw, cuts)


@pytest.mark.parametrize(
    "body",
    [b"zz\r\n", b"-1\r\n", b"2\r\nabc\r\n", b"2\r\nok0\r\n\r\n", b"1" * 9000, b"0\r\n" + b"X: y\r\n" * HEAD_BYTES],
)
def test_a_body_of_broken_chunks_is_cut_and_ends_its_connection(body: bytes):
    complete, answer = read(CHUNKED + body)
    assert complete
    assert answer.cut
    assert answer.is_last


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nContent-Length: 65\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_more_than_the_limit_is_not_kept(head: bytes):
    complete, answer = read(head + b"." * 65)
    assert complete
    assert answer.cut
    assert answer.is_last
    assert bytes(answer.body) == b"." * LIMIT


def test_a_body_without_a_length_ends_with_its_connection():
    complete, answer = read(b"HTTP/1.1 200 OK\r\n\r\nok")
    assert not complete
    assert answer.ends_with_connection()
    complete, answer = read(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok")
    assert not complete
    assert not answer.ends_with_connection()


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=4))
def test_no_bytes_are_a_mistake_of_ours(raw: bytes, cuts: list[int]):
    try:
        _, answer = read(b"HTTP/1.1 " + raw, cuts)
    except NotHttp:
        return
    assert len(answer.body) <= LIMIT


def test_an_answer_in_thousands_of_tiny_chunks_is_broken_off():
    answer = Answer(1 << 20)
    assert not answer.feed(CHUNKED + b"1\r\na\r\n" * 4_000)
    assert answer.feed(b"1\r\na\r\n" * 1_000)
    assert (answer.cut, answer.is_last, len(answer.body)) == (True, True, 4_000)
