"""Receivers that misbehave, each a real one on loopback: the sender names what happened, in time and in bounds.

`Door`, the sender with its outcomes at hand, is also used by the other tests of the way out.
"""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import pytest
import trustme
import uvloop

from dockbell.domain.addresses import AddressPolicy
from dockbell.domain.delivery import Answered, Outcome, code_of
from dockbell.domain.request import OutgoingRequest
from dockbell.domain.target_url import parse_target_url
from dockbell.egress.guard import Judge
from dockbell.egress.sender import Sender
from dockbell.testing.receiver import MISBEHAVIOURS, Misbehaviour, Receiver, Visit, answering
from tests.support.bad_inputs import Case, cases
from tests.support.bad_receivers import DEEP_NAME, NAME, black_hole, closed_port, receiver_for, tls_of

T = TypeVar("T")
HANGS_AFTER_S = 30.0
CONNECT_TIMEOUT_S = 0.5
BODY_TIMEOUT_S = 0.3
HERE = AddressPolicy(allow_loopback=True)

NOT_DONE: dict[str, str] = {}
"""Cases that loopback cannot show, with the reason. Empty, and the last test of this file sees that it is true."""
# A case is one misbehaviour, but for these, whose fault lies in the certificate or in what listens.
OTHERWISE = {
    "refuse", "blackhole", "tls_not_yet", "tls_self_signed", "tls_untrusted_ca", "tls_wildcard_deep", "tls10", "tls11",
    "tls_sni_mismatch",
}  # fmt: skip


class Door:
    """The real sender with short deadlines on an event loop of its own; `send` waits for the outcome of one request."""

    def __init__(
        self, policy: Judge = HERE, *, resolver: Callable[[str, int], list[str]] | None = None, **settings: Any
    ) -> None:
        self.outcomes: queue.Queue[tuple[object, Outcome]] = queue.Queue()
        chosen = {"connect_timeout_s": CONNECT_TIMEOUT_S, "body_timeout_s": BODY_TIMEOUT_S, **settings}
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="door", daemon=True)
        self._thread.start()

        async def opened() -> Sender:
            sender = Sender(policy, deliver=self._deliver, resolver=resolver or to_loopback, **chosen)
            sender.start()
            return sender

        self.sender = self._on_loop(opened())

    def _on_loop(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(HANGS_AFTER_S)

    def send(self, url: str, **settings: Any) -> Outcome:
        self.submit("this one", url, **settings)
        token, outcome = self.next()
        assert token == "this one"
        return outcome

    def submit(
        self,
        token: object,
        url: str,
        *,
        pool: tuple[int, int] = (1, 1),
        goods_owners: frozenset[int] = frozenset({1}),
        timeout_s: float = 5.0,
        body: bytes = b'{"id":1}',
    ) -> None:
        target = parse_target_url(url, AddressPolicy(allow_loopback=True), goods_owners)
        headers = ("content-type: application/json", "webhook-id: 1-1")
        request = OutgoingRequest(pool, goods_owners, target, headers, body, timeout_s)

        async def submit() -> None:
            self.sender.submit(token, request)

        self._on_loop(submit())

    def stand_still(self, seconds: float) -> None:
        """The loop turns for nobody, as when the machine is paused."""
        self._loop.call_soon_threadsafe(threading.Event().wait, seconds)

    def close_pool(self, pool: tuple[int, int]) -> None:
        self._loop.call_soon_threadsafe(self.sender.close_pool, pool)

    def close(self, timeout_s: float = 0.0) -> None:
        self._on_loop(self.sender.close(timeout_s))

    def next(self) -> tuple[object, Outcome]:
        return self.outcomes.get(timeout=HANGS_AFTER_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(HANGS_AFTER_S)
        self._loop.close()
        assert self.outcomes.empty(), "a request got a second outcome"

    def _deliver(self, batch: list[tuple[object, Outcome]]) -> None:
        for one in batch:
            self.outcomes.put(one)


def to_loopback(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]


def named(receiver: Receiver, name: str = NAME) -> str:
    """The receiver's URL with a name in it."""
    return f"https://{name}:{receiver.port}/hook"


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    return str(file)


@pytest.fixture
def door(ca_file: str) -> Iterator[Door]:
    with Door(ca_file=ca_file) as door:
        yield door


LISTED = cases("receiver")


@pytest.mark.parametrize(
    "case", [case for case in LISTED if case.input["name"] not in ("refuse", "blackhole", "flap")], ids=str
)
def test_a_receiver_that_misbehaves_gets_the_code_of_its_fault(case: Case, door: Door, authority: trustme.CA):
    name = case.input["name"]
    with receiver_for(name, authority) as receiver:
        is_tls = name.startswith("tls")
        host = DEEP_NAME if name == "tls_wildcard_deep" else NAME
        url = named(receiver, host) if is_tls else receiver.url
        outcome = door.send(url)
        assert code_of(outcome) in case.verdict, outcome
        if is_tls and case.verdict != ["delivered"]:
            assert receiver.requests == []
        assert outcome.timings.total < HANGS_AFTER_S * 1_000_000
        if case.more.get("connection") == "closed":
            door.send(url)
            assert receiver.connections == 2
        if case.verdict[0].startswith("http_4"):
            assert len(receiver.requests) == 1, "no second try of its own"
        assert receiver.errors == []


@pytest.mark.parametrize(("name", "place"), [("refuse", closed_port), ("blackhole", black_hole)])
def test_nobody_there_is_told_from_no_answer_to_connecting(
    name: str, place: Callable[[], contextlib.AbstractContextManager[str]], door: Door
):
    case = next(case for case in LISTED if case.input["name"] == name)
    with place() as url:
        outcome = door.send(url)
    assert [code_of(outcome)] == case.verdict, outcome


def test_connecting_and_shaking_hands_have_a_deadline_of_their_own(door: Door):
    with black_hole() as url, Receiver("tls_hang") as silent:
        for where, code in [(url, "connect_timeout"), (named(silent), "tls_timeout")]:
            outcome = door.send(where, timeout_s=20.0)
            assert code_of(outcome) == code
            assert outcome.timings.total < 10_000_000, "half a second was set, and the attempt had twenty"


def test_flapping_receivers_are_listed_as_they_answer(door: Door):
    with Receiver("flap") as receiver:
        assert [code_of(door.send(receiver.url)) for _ in range(4)] == [
            "delivered",
            "http_500",
            "delivered",
            "http_500",
        ]


@pytest.mark.parametrize(
    ("name", "code"), [("silent", "timeout"), ("trickle_head", "timeout"), ("interim_flood", "protocol_error")]
)
def test_an_answer_that_never_begins_ends_with_the_deadline_of_the_attempt(name: str, code: str, door: Door):
    with Receiver(name) as receiver:
        outcome = door.send(receiver.url, timeout_s=1.0)
        assert code_of(outcome) == code, outcome


def test_a_slow_body_is_cut_at_its_own_deadline_and_the_status_counts(door: Door):
    with Receiver("trickle_body_500") as receiver:
        outcome = door.send(receiver.url, timeout_s=HANGS_AFTER_S)
        assert isinstance(outcome, Answered)
        assert outcome.status == 500
        assert outcome.body_cut
        assert 0 < len(outcome.body) < 100_000
        # Whole ticks of the sender after the deadline, and far from the deadline of the attempt.
        assert outcome.timings.total < HANGS_AFTER_S * 1_000_000 / 2


def test_an_endless_body_is_cut_at_the_limit_and_the_connection_closed(door: Door):
    with Receiver("endless_body") as receiver:
        outcome = door.send(receiver.url)
        assert isinstance(outcome, Answered)
        assert outcome.body_cut
        assert len(outcome.body) == 64 * 1024
        assert code_of(door.send(receiver.url)) == "delivered"
        assert receiver.connections == 2
    # What the kernel holds on the way, and no more: the receiver was stopped from sending.
    assert receiver.bytes_sent < 64 * 1024 * 1024


@pytest.mark.parametrize("name", ["br_bomb", "gzip_bomb", "lying_gzip"])
def test_a_body_is_never_unpacked(name: str, door: Door):
    with Receiver(name) as receiver:
        before = resident_bytes()
        outcome = door.send(receiver.url)
        assert isinstance(outcome, Answered)
        assert len(outcome.body) <= 16 * 1024, "as it was sent"
        assert b"Content-Encoding" in outcome.headers
        assert resident_bytes() - before < 5 * 1024 * 1024
        asked = receiver.requests[0].header("accept-encoding")
        assert asked in (None, "identity")


def test_a_hundred_thousand_trailers_are_not_kept(door: Door):
    with Receiver("trailers") as receiver:
        door.send(receiver.url)  # what one attempt needs once: buffers, modules
        before = resident_bytes()
        outcome = door.send(receiver.url)
        assert isinstance(outcome, Answered)
        assert b"X-Trailer" not in outcome.headers
        assert b"X-Trailer" not in outcome.body
        assert resident_bytes() - before < 5 * 1024 * 1024


@pytest.mark.parametrize("name", ["huge_header", "many_headers"])
def test_a_head_that_is_too_much_is_not_read_to_its_end_and_its_connection_not_used_again(name: str, door: Door):
    with Receiver(name) as receiver:
        before = resident_bytes()
        for _ in range(2):
            assert code_of(door.send(receiver.url)) == "protocol_error"
        assert receiver.connections == 2
        assert resident_bytes() - before < 5 * 1024 * 1024


def line_of(length: int) -> str:
    """A header line of so many bytes with its line end."""
    return "X-Long: " + "a" * (length - len("X-Long: \r\n"))


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ([line_of(8192)], "delivered"),
        ([line_of(8193)], "protocol_error"),
        (["X-A: a"] * 127, "delivered"),  # and Content-Length
        (["X-A: a"] * 128, "protocol_error"),
        ([line_of(8000)] * 8, "delivered"),
        ([line_of(8000)] * 9, "protocol_error"),
    ],
    ids=["longest line", "longer line", "most lines", "more lines", "largest head", "larger head"],
)
def test_a_head_has_bounds(lines: list[str], code: str, door: Door):
    with Receiver(answering(200, *lines)) as receiver:
        assert code_of(door.send(receiver.url)) == code


@pytest.mark.parametrize(("count", "code"), [(16, "delivered"), (17, "protocol_error")])
def test_interim_answers_are_counted(count: int, code: str, door: Door):
    def hinting(visit: Visit) -> None:
        visit.request()
        visit.send(b"HTTP/1.1 103 Early Hints\r\n\r\n" * count)
        visit.answer(200)

    with Receiver(hinting) as receiver:
        assert code_of(door.send(receiver.url)) == code


def test_a_second_answer_never_serves_the_next_request(door: Door):
    with Receiver("pipelined_extra") as receiver:
        bodies = [outcome.body for _ in range(3) if isinstance(outcome := door.send(receiver.url), Answered)]
        assert bodies == [b"first"] * 3
        assert [request.connection for request in receiver.requests] == [1, 2, 3]


def test_a_cookie_is_not_sent_back(door: Door):
    with Receiver("set_cookie") as receiver:
        for pool in [(1, 1), (1, 1), (2, 1)]:
            door.send(receiver.url, pool=pool)
        assert [request.header("cookie") for request in receiver.requests] == [None] * 3


def test_strict_transport_security_does_not_change_the_scheme(door: Door):
    with Receiver("hsts") as receiver:
        url = f"http://{NAME}:{receiver.port}/"
        assert [code_of(door.send(url)) for _ in range(2)] == ["delivered"] * 2


def test_r4_a_request_on_a_kept_connection_that_just_closed_is_not_repeated_where_the_log_does_not_see_it(door: Door):
    with Receiver("close_idle") as receiver:
        codes = [code_of(door.send(receiver.url)) for _ in range(3)]
        assert codes == ["delivered", "connection_ended", "delivered"]
        assert [request.connection for request in receiver.requests] == [1, 1, 2]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_silence_on_a_connection_that_was_kept_open_is_a_timeout(scheme: str, door: Door, authority: trustme.CA):
    def answer_once(visit: Visit) -> None:
        if visit.request() is not None:
            visit.answer(200)
        visit.wait_for_hang_up()

    tls = tls_of(authority, NAME) if scheme == "https" else None
    with Receiver(answer_once, tls=tls) as receiver:
        url = f"{scheme}://{NAME}:{receiver.port}/hook"
        assert code_of(door.send(url)) == "delivered"
        assert code_of(door.send(url, timeout_s=0.5)) == "timeout"
        assert receiver.connections == 1


def test_a_first_request_on_a_new_connection_is_never_repeated(door: Door):
    with Receiver("half_close") as receiver:
        assert code_of(door.send(receiver.url)) == "protocol_error"
        assert (receiver.connections, len(receiver.requests)) == (1, 1)


def test_every_case_of_the_list_is_tried(record_property: Callable[[str, object], None]):
    names = {case.input["name"] for case in LISTED}
    assert len(LISTED) == 39
    assert names - NOT_DONE.keys() <= MISBEHAVIOURS.keys() | OTHERWISE
    assert NOT_DONE.keys() <= names
    missing = "".join(f"; not done: {name}: {why}" for name, why in NOT_DONE.items())
    record_property("print", f"receiver faults: {len(names) - len(NOT_DONE)} of {len(names)} cases tried{missing}")


def test_a_misbehaving_receiver_never_faces_a_network():
    with pytest.raises(ValueError, match="loopback"):
        Receiver("200", address="0.0.0.0")


def test_an_unknown_misbehaviour_names_those_there_are():
    with pytest.raises(ValueError, match="reset_mid_headers"):
        Receiver("polite")


def test_a_mistake_in_a_misbehaviour_of_ones_own_is_kept(door: Door):
    def mistaken(_visit: object) -> None:
        raise LookupError

    behave: Misbehaviour = mistaken
    with Receiver(behave) as receiver:
        assert code_of(door.send(receiver.url)) in ("protocol_error", "connection_reset")
    assert [type(error) for error in receiver.errors] == [LookupError]
