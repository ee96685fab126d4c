"""The guard and the bounds of the way out, with names that resolve as a case says and receivers on loopback."""

import asyncio
import datetime as dt
import ipaddress
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Sequence

import pytest
import trustme

from dockbell.domain.addresses import AddressPolicy, parse_allow_rules
from dockbell.domain.delivery import Outcome, code_of
from dockbell.domain.request import OutgoingRequest
from dockbell.domain.target_url import parse_target_url
from dockbell.egress.sender import Sender
from dockbell.testing.receiver import Receiver, Visit
from tests.contract.test_receiver_faults import HANGS_AFTER_S, HERE, Door, named
from tests.support.bad_inputs import Case, cases
from tests.support.bad_receivers import NAME, self_signed, tls_of

DNS = cases("dns")
DENIED = "egress_denied_address"


class StandIns:
    """The real policy, told the public or private address that a loopback address stands for.

    So a test can see connections to 8.8.8.8 arrive without leaving this machine. Loopback addresses that stand for
    nothing are judged as what they are.
    """

    def __init__(self, stands_for: dict[str, str], policy: AddressPolicy | None = None) -> None:
        self.stands_for = stands_for
        self.policy = policy or AddressPolicy()
        self.asked: Counter[str] = Counter()

    def judge(self, address: str, port: int, goods_owners: frozenset[int] | None) -> str | None:
        self.asked[address] += 1
        return self.policy.judge(self.stands_for.get(address, address), port, goods_owners)


class Names:
    """A resolver that counts; `answer` gets the number of the lookup, from 0."""

    def __init__(self, answer: Callable[[int], list[str]]) -> None:
        self.answer = answer
        self.lookups = 0

    def __call__(self, host: str, port: int) -> list[str]:
        self.lookups += 1
        return self.answer(self.lookups - 1)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    return str(file)


PUBLIC = "127.8.8.8"  # where a receiver that stands for the public 8.8.8.8 listens


def stand_in(address: str) -> str:
    """Where an address of a case is played: public ones on loopback, all others as they are."""
    return {"8.8.8.8": PUBLIC, "2001:4860:4860::8888": "::1"}.get(address, address)


@pytest.mark.parametrize("case", [case for case in DNS if isinstance(case.input["answers"], list)], ids=str)
def test_every_answer_about_a_name_is_judged(case: Case, authority: trustme.CA, ca_file: str):
    answers: list[str] = case.input["answers"]
    public = {stand_in(answer): answer for answer in answers if stand_in(answer) != answer}
    policy = StandIns(public)
    names = Names(lambda _: [stand_in(answer) for answer in answers])
    host = case.input["url"].split("/")[2]
    tls = tls_of(authority, host)
    with (
        Receiver("200", tls=tls, address=PUBLIC) as receiver,
        Receiver("200", tls=tls, port=receiver.port) as loopback,
        Receiver("200", tls=tls, address="::1", port=receiver.port) as loopback_6,
        Door(policy, resolver=names, ca_file=ca_file) as door,
    ):
        outcome = door.send(named(receiver, host))
        assert code_of(outcome) == (case.code if case.verdict == "refused" else "delivered"), outcome
        assert receiver.connections + loopback_6.connections + loopback.connections == case.more["connections"]
    assert names.lookups == 1


def test_a_name_that_flips_never_reaches_loopback():
    (case,) = (case for case in DNS if case.code == "pinned")
    flipping = case.input["answers"]["each_query_one_of"]
    attempts = case.input["answers"]["attempts"]
    names = Names(lambda number: [stand_in(flipping[number % len(flipping)])])
    with (
        Receiver("200", address=PUBLIC) as receiver,
        Receiver("200", port=receiver.port) as loopback,
        Door(StandIns({PUBLIC: "8.8.8.8"}), resolver=names, dns_cache_s=0) as door,
    ):
        codes = Counter(code_of(door.send(f"http://flap.example.com:{receiver.port}/hook")) for _ in range(attempts))
        assert codes == {"delivered": attempts // 2, DENIED: attempts // 2}
        assert loopback.connections == case.more["connections_to"]["127.0.0.1"]
        assert len(receiver.requests) == attempts // 2
    assert names.lookups == attempts, "one lookup for each attempt, so that what was judged is what is connected to"


def no_such_name(_number: int) -> list[str]:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def three_bytes(_number: int) -> list[str]:
    return [socket.inet_ntoa(bytes(3))]


@pytest.mark.parametrize(("case_id", "answer"), [("dns-018", no_such_name), ("dns-023", three_bytes)])
def test_no_usable_answer_is_a_dns_error(case_id: str, answer: Callable[[int], list[str]]):
    (case,) = (case for case in DNS if case.id == case_id)
    with Receiver("200") as receiver, Door(HERE, resolver=Names(answer)) as door:
        host = case.input["url"].split("/")[2]
        assert code_of(door.send(f"http://{host}:{receiver.port}/")) == case.code
        assert receiver.connections == case.more["connections"]


@pytest.mark.parametrize("answers", [[], ["not an address"], ["127.0.0.1\x00"], ["\N{SNOWMAN}"], ["fe80::1%lo"]])
def test_a_nonsense_answer_is_never_connected_to(answers: list[str]):
    with Receiver("200") as receiver, Door(HERE, resolver=Names(lambda _: answers)) as door:
        outcome = door.send(f"http://{NAME}:{receiver.port}/")
        assert code_of(outcome) in ("dns_error", DENIED), outcome
        assert receiver.connections == 0


def many(count: int) -> list[str]:
    return [str(ipaddress.IPv4Address("127.9.0.1") + number) for number in range(count)]


def test_of_many_answers_all_are_judged_and_one_is_connected_to():
    (case,) = (case for case in DNS if case.id == "dns-020")
    answers = many(case.input["answers"]["a_records"])
    policy = StandIns(dict.fromkeys(answers, "8.8.8.8"))
    with Receiver("200", address=answers[0]) as receiver, Door(policy, resolver=Names(lambda _: answers)) as door:
        assert code_of(door.send(f"http://many.example.com:{receiver.port}/")) == "delivered"
        assert receiver.connections == case.more["connections"]
    assert policy.asked.keys() == set(answers)


def test_one_refused_answer_at_the_end_of_many_refuses_all():
    answers = many(500)
    policy = StandIns(dict.fromkeys(answers[:-1], "8.8.8.8"))
    with Receiver("200", address=answers[0]) as receiver, Door(policy, resolver=Names(lambda _: answers)) as door:
        assert code_of(door.send(f"http://many.example.com:{receiver.port}/")) == DENIED
        assert receiver.connections == 0


@pytest.mark.parametrize(("place", "code"), [(15, "delivered"), (16, "connect_refused")])
def test_sixteen_answers_are_tried_and_no_more(place: int, code: str):
    answers = many(20)
    policy = StandIns(dict.fromkeys(answers, "8.8.8.8"))
    with (
        Receiver("200", address=answers[place]) as receiver,
        Door(policy, resolver=Names(lambda _: answers), connect_timeout_s=5.0) as door,
    ):
        assert code_of(door.send(f"http://many.example.com:{receiver.port}/")) == code


def test_a_name_that_moves_inside_is_refused_even_on_a_connection_that_is_open():
    names = Names(lambda number: [PUBLIC] if number == 0 else ["10.0.0.5"])
    with (
        Receiver("200", address=PUBLIC) as receiver,
        Door(StandIns({PUBLIC: "8.8.8.8"}), resolver=names, dns_cache_s=0) as door,
    ):
        url = f"http://rebind.example.com:{receiver.port}/"
        assert [code_of(door.send(url)) for _ in range(2)] == ["delivered", DENIED]
        assert (names.lookups, receiver.connections, len(receiver.requests)) == (2, 1, 1)


def test_an_answer_is_kept_for_the_goods_owner_it_was_judged_for_only():
    rules = parse_allow_rules(["1 10.1.0.0/16"])
    policy = StandIns({"127.10.1.5": "10.1.0.5"}, AddressPolicy(rules))
    names = Names(lambda _: ["127.10.1.5"])
    with Receiver("200", address="127.10.1.5") as receiver, Door(policy, resolver=names, dns_cache_s=60) as door:
        url = f"http://wms.example.com:{receiver.port}/"
        owners = [frozenset({1}), frozenset({2}), frozenset({1, 2}), frozenset[int](), frozenset({1})]
        codes = [code_of(door.send(url, goods_owners=owner, pool=(1, sum(owner)))) for owner in owners]
        assert codes == ["delivered", DENIED, DENIED, DENIED, "delivered"]
        assert receiver.connections == 1
    assert names.lookups == 4, "the first and the last share a lookup"


def test_a_rule_opens_the_ports_it_names_and_no_others():
    with Receiver("200", address="127.10.1.5") as opened, Receiver("200", address="127.10.1.5") as other:
        rules = parse_allow_rules([f"1 10.1.0.0/16:{opened.port}"])
        policy = StandIns({"127.10.1.5": "10.1.0.5"}, AddressPolicy(rules))
        with Door(policy, resolver=Names(lambda _: ["127.10.1.5"])) as door:
            assert code_of(door.send(f"http://{NAME}:{opened.port}/")) == "delivered"
            assert code_of(door.send(f"http://{NAME}:{other.port}/")) == DENIED
        assert other.connections == 0


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "fe80::1", "fd00:ec2::254", "::ffff:169.254.169.254", "0.0.0.0"]
)
def test_the_setting_for_tests_opens_loopback_and_nothing_else(address: str):
    with Door(HERE, resolver=Names(lambda _: [address])) as door:
        assert code_of(door.send(f"http://{NAME}:8080/")) == DENIED


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]"])
def test_a_literal_address_is_judged_without_a_lookup(host: str):
    names = Names(lambda _: ["127.0.0.1"])
    with Receiver("200") as receiver, Door(AddressPolicy(), resolver=names) as door:
        assert code_of(door.send(f"http://{host}:{receiver.port}/")) == DENIED
        assert receiver.connections == 0
    assert names.lookups == 0


def test_a_proxy_in_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch):
    with Receiver("200") as proxy, Receiver("200") as receiver:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        with Door(HERE) as door:
            assert code_of(door.send(f"http://{NAME}:{receiver.port}/")) == "delivered"
        assert (proxy.connections, receiver.connections) == (0, 1)


@pytest.mark.parametrize(
    ("names", "owners"), [(range(20), [1] * 20), ([0] * 20, range(3, 23))], ids=["of one goods owner", "one, of many"]
)
def test_a_silent_name_server_is_a_dns_timeout_and_costs_nobody_else(names: Sequence[int], owners: Sequence[int]):
    released = threading.Event()

    def resolver(host: str, port: int) -> list[str]:
        if host.startswith("silent"):
            released.wait(HANGS_AFTER_S)
        return ["127.0.0.1"]

    with Receiver("200") as receiver, Door(HERE, resolver=resolver, connect_timeout_s=0.5) as door:
        for place, (name, owner) in enumerate(zip(names, owners, strict=True)):
            url = f"http://silent-{name}.example.com:{receiver.port}/"
            door.submit(place, url, goods_owners=frozenset({owner}), pool=(owner, owner))
        door.submit("other", f"http://{NAME}:{receiver.port}/", goods_owners=frozenset({2}), pool=(2, 2))
        outcomes = [door.next() for _ in range(21)]
        released.set()
        assert outcomes[0][0] == "other", "the other goods owner does not wait"
        assert Counter(code_of(outcome) for _, outcome in outcomes) == {"delivered": 1, "dns_timeout": 20}
        assert receiver.connections == 1


def test_when_no_thread_can_be_had_for_a_while_names_are_looked_up_again_afterwards(monkeypatch: pytest.MonkeyPatch):
    """Each that could not be started counted as one that runs, so after sixteen no name was found until a restart."""
    start = threading.Thread.start

    def none_left(thread: threading.Thread) -> None:
        if thread.name.startswith("dockbell-lookup"):
            raise RuntimeError("can't start new thread")
        start(thread)

    with Receiver("200") as receiver, Door(connect_timeout_s=0.2) as door:
        monkeypatch.setattr(threading.Thread, "start", none_left)
        for number in range(20):
            door.submit(number, f"http://{number}.example.com:{receiver.port}/", pool=(number, 1))
        assert Counter(code_of(door.next()[1]) for _ in range(20)) == {"dns_timeout": 20}
        monkeypatch.undo()
        assert code_of(door.send(f"http://{NAME}:{receiver.port}/", pool=(20, 1))) == "delivered"


def test_who_asks_while_a_name_is_looked_up_shares_the_lookup_and_is_judged_alone():
    asked, released = threading.Event(), threading.Event()

    def answer(number: int) -> list[str]:
        asked.set()
        released.wait(HANGS_AFTER_S)
        return ["127.10.1.5"]

    names = Names(answer)
    policy = StandIns({"127.10.1.5": "10.1.0.5"}, AddressPolicy(parse_allow_rules(["1 10.1.0.0/16"])))
    with Receiver("200", address="127.10.1.5") as receiver, Door(policy, resolver=names) as door:
        for owner in (1, 2, 3):
            url = f"http://wms.example.com:{receiver.port}/"
            door.submit(owner, url, goods_owners=frozenset({owner}), pool=(owner, owner))
            assert asked.wait(HANGS_AFTER_S)
        released.set()
        codes = {token: code_of(outcome) for token, outcome in (door.next() for _ in range(3))}
        assert codes == {1: "delivered", 2: DENIED, 3: DENIED}
        assert (names.lookups, receiver.connections) == (1, 1)


def test_connections_are_shared_within_a_webhook_and_goods_owner_and_no_wider():
    with Receiver("200") as receiver, Door() as door:
        for pool in [(1, 1), (1, 1), (2, 1), (1, 2), (1, 1), (2, 1)]:
            assert code_of(door.send(receiver.url, pool=pool)) == "delivered"
        assert [request.connection for request in receiver.requests] == [1, 1, 2, 3, 1, 2]


def test_tls_connections_are_no_wider_shared(authority: trustme.CA, ca_file: str):
    with Receiver("200", tls=tls_of(authority, NAME)) as receiver, Door(ca_file=ca_file) as door:
        for pool in [(1, 1), (1, 1), (1, 2)]:
            assert code_of(door.send(named(receiver), pool=pool)) == "delivered"
        assert [request.connection for request in receiver.requests] == [1, 1, 2]


def test_a_closed_pool_leaves_its_connections_behind_and_no_others():
    with Receiver("200") as receiver, Door() as door:
        door.send(receiver.url, pool=(1, 1))
        door.send(receiver.url, pool=(2, 2))
        door.close_pool((1, 1))
        door.send(receiver.url, pool=(1, 1))
        door.send(receiver.url, pool=(2, 2))
        assert [request.connection for request in receiver.requests] == [1, 2, 3, 2]


def test_a_receiver_that_does_not_answer_holds_its_own_address_only():
    limit = 2
    with (
        Receiver("silent") as bad,
        Receiver("200", address="127.0.0.2") as good,
        Door(per_address_limit=limit) as door,
    ):
        for number in range(10):
            door.submit(number, bad.url, pool=(number, number), timeout_s=HANGS_AFTER_S)
        assert bad.wait_for_requests(limit)
        for _ in range(3):
            door.submit("good", good.url, pool=(99, 99))
            token, outcome = door.next()
            assert (token, code_of(outcome)) == ("good", "delivered")
        assert bad.connections == limit, "whoever the webhooks belong to"
        door.close()
        ended = [door.next() for _ in range(10)]
        assert {token for token, _ in ended} == set(range(10))
        assert {code_of(outcome) for _, outcome in ended} == {"interrupted"}
        assert bad.connections == limit


def test_what_waits_for_an_address_goes_on_when_a_place_is_free():
    seen: list[int] = []
    lock = threading.Lock()
    under_way = [0]

    def busy(visit: Visit) -> None:
        while visit.request():
            with lock:
                under_way[0] += 1
                seen.append(under_way[0])
            visit.pause()
            with lock:
                under_way[0] -= 1
            visit.answer(200)

    with Receiver(busy) as receiver, Door(per_address_limit=3) as door:
        for number in range(12):
            door.submit(number, receiver.url, pool=(number, 1))
        assert {code_of(door.next()[1]) for _ in range(12)} == {"delivered"}
    assert max(seen) == 3


@pytest.mark.parametrize(
    "hosts",
    [["127.0.0.1"], ["127.0.0.1", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0::ffff:7f00:0001]", NAME]],
    ids=["one", "spelt in several ways"],
)
def test_e10_two_hundred_webhooks_that_point_at_one_address_make_sixteen_requests_at_once(hosts: list[str]):
    """By whatever names, of whatever goods owner: nobody is flooded through us."""
    most, under_way, lock = [0], [0], threading.Lock()

    def busy(visit: Visit) -> None:
        while visit.request():
            with lock:
                under_way[0] += 1
                most[0] = max(most[0], under_way[0])
            visit.pause()
            with lock:
                under_way[0] -= 1
            visit.answer(200)

    with Receiver(busy) as receiver, Door() as door:
        for number in range(200):
            owner = number % 7
            url = f"http://{hosts[number % len(hosts)]}:{receiver.port}/"
            owners = frozenset({owner})
            door.submit(number, url, goods_owners=owners, pool=(number, owner), timeout_s=HANGS_AFTER_S)
        assert {code_of(door.next()[1]) for _ in range(200)} == {"delivered"}
    assert most[0] == 16


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("sound", "delivered"),
        ("wrong name", "tls_hostname"),
        ("expired", "tls_cert_expired"),
        ("self", "tls_untrusted"),
    ],
)
def test_a_receiver_is_who_its_certificate_says_or_gets_nothing(
    name: str, code: str, authority: trustme.CA, ca_file: str
):
    now = dt.datetime.now(dt.UTC)  # noqa: TID251 - certificates are judged by the real clock
    tls: ssl.SSLContext
    match name:
        case "sound":
            tls = tls_of(authority, NAME)
        case "wrong name":
            tls = tls_of(authority, "other.example.com")
        case "expired":
            tls = tls_of(authority, NAME, not_before=now - dt.timedelta(days=9), not_after=now - dt.timedelta(days=1))
        case _:
            tls = self_signed()
    with Receiver("200", tls=tls) as receiver, Door(ca_file=ca_file) as door:
        outcome = door.send(named(receiver))
        assert code_of(outcome) == code, outcome
        assert len(receiver.requests) == (code == "delivered")


def test_a_certificate_for_another_name_of_a_literal_address_is_refused(authority: trustme.CA, ca_file: str):
    for names, code in [(["127.0.0.1"], "delivered"), ([NAME], "tls_hostname")]:
        with Receiver("200", tls=tls_of(authority, *names)) as receiver, Door(ca_file=ca_file) as door:
            assert code_of(door.send(receiver.url)) == code


def test_r9_an_answer_that_came_while_the_process_stood_still_is_no_timeout():
    with Receiver("200") as receiver, Receiver("silent") as silent, Door() as door:
        door.submit("silent", silent.url, timeout_s=0.5)
        assert silent.wait_for_requests(1)
        door.submit("answered", receiver.url, timeout_s=0.5)
        door.stand_still(2.0)
        assert {token: code_of(outcome) for token, outcome in (door.next(), door.next())} == {
            "answered": "delivered",
            "silent": "timeout",
        }


def test_closing_interrupts_what_is_under_way_and_takes_nothing_more():
    with Receiver("silent") as receiver, Door() as door:
        door.submit("under way", receiver.url, timeout_s=HANGS_AFTER_S)
        assert receiver.wait_for_requests(1)
        door.close()
        token, outcome = door.next()
        assert (token, code_of(outcome)) == ("under way", "interrupted")
        with pytest.raises(RuntimeError, match="closed"):
            door.submit("late", receiver.url)


def test_closing_with_time_lets_what_is_under_way_end_and_interrupts_what_has_not_begun():
    release = threading.Event()

    def late(visit: Visit) -> None:
        visit.request()
        release.wait(HANGS_AFTER_S)
        visit.answer(200)

    with Receiver(late) as receiver, Door(per_address_limit=1) as door:
        door.submit("under way", receiver.url, timeout_s=HANGS_AFTER_S)
        assert receiver.wait_for_requests(1)
        door.submit("waiting", receiver.url, timeout_s=HANGS_AFTER_S)
        closing = threading.Thread(target=door.close, args=(HANGS_AFTER_S,))
        closing.start()
        token, outcome = door.next()
        assert (token, code_of(outcome)) == ("waiting", "interrupted")
        release.set()
        token, outcome = door.next()
        assert (token, code_of(outcome)) == ("under way", "delivered")
        closing.join(HANGS_AFTER_S)
        assert not closing.is_alive()
        assert len(receiver.requests) == 1


async def test_closing_interrupts_what_has_just_got_its_turn():
    """It was among neither those under way nor those that wait, and was sent after the sender was closed."""
    outcomes: list[tuple[object, Outcome]] = []
    with Receiver("silent") as receiver:
        sender = Sender(
            HERE, deliver=outcomes.extend, resolver=lambda *_: ["127.0.0.1", "127.0.0.2"], per_address_limit=1
        )
        sender.start()
        sender.submit("first", request_to(f"http://{NAME}:{receiver.port}/"))
        async with asyncio.timeout(20):
            while not sender._under_way:
                await asyncio.sleep(0)  # noqa: TID251 - lets the lookup end; closing must come in the very next turn
            sender.submit("next", request_to(f"http://127.0.0.2:{receiver.port}/"))
            [first] = sender._under_way
            while first.connecting is not None:
                await asyncio.sleep(0)  # noqa: TID251 - lets it connect, which gives the other address back
        await sender.close()
        assert {token: code_of(outcome) for token, outcome in outcomes} == {
            "first": "interrupted",
            "next": "interrupted",
        }
        assert not sender._under_way


def request_to(url: str) -> OutgoingRequest:
    target = parse_target_url(url, HERE, frozenset({1}))
    return OutgoingRequest((1, 1), frozenset({1}), target, (), b"{}", HANGS_AFTER_S)


def test_closing_interrupts_a_lookup():
    released = threading.Event()

    def resolver(host: str, port: int) -> list[str]:
        released.wait(HANGS_AFTER_S)
        return ["127.0.0.1"]

    with Door(HERE, resolver=resolver, connect_timeout_s=HANGS_AFTER_S) as door:
        door.submit("asking", f"http://{NAME}:8080/", timeout_s=HANGS_AFTER_S)
        door.close()
        released.set()
        token, outcome = door.next()
        assert (token, code_of(outcome)) == ("asking", "interrupted")


def test_every_case_of_the_list_is_tried():
    assert len(DNS) == 9
    apart = {"dns-016", "dns-018", "dns-020", "dns-023"}
    assert {case.id for case in DNS if not isinstance(case.input["answers"], list)} == apart
