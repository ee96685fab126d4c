"""Redirects are never followed: the attempt fails, shows where it was pointed, and nobody there hears of it."""

import re

import pytest

from dockbell.domain.addresses import AddressPolicy
from dockbell.domain.delivery import Answered, code_of
from dockbell.testing.receiver import Receiver, answering
from tests.contract.test_receiver_faults import HERE, Door
from tests.support.bad_inputs import Case, cases

REDIRECTS = cases("redirect")


class Listening:
    """The policy of this machine, which remembers every address that somebody wanted to connect to."""

    def __init__(self, policy: AddressPolicy) -> None:
        self.policy = policy
        self.asked: set[tuple[str, int]] = set()

    def judge(self, address: str, port: int, goods_owners: frozenset[int] | None) -> str | None:
        self.asked.add((address, port))
        return self.policy.judge(address, port, goods_owners)


@pytest.mark.parametrize("case", REDIRECTS, ids=str)
def test_a_redirect_is_never_followed(case: Case):
    policy = Listening(HERE)
    asked_about: list[str] = []

    def resolver(host: str, port: int) -> list[str]:
        asked_about.append(host)
        return ["127.0.0.1"]

    with Receiver("200") as target, Receiver("200", address="::1", port=target.port) as target_6:
        # The list's addresses on this machine, with a port where somebody does listen.
        local = re.compile(r"(//127\.0\.0\.1|//\[::1\])(:\d+)?")
        location = local.sub(rf"\1:{target.port}", case.input["location"])
        behaviour = answering(case.input["status"], f"Location: {location}")
        with Receiver(behaviour) as receiver, Door(policy, resolver=resolver) as door:
            outcome = door.send(receiver.url)
            assert case.verdict == "fail"
            assert code_of(outcome) == case.code
            assert isinstance(outcome, Answered)
            assert f"Location: {location}".encode() in outcome.headers
            assert len(receiver.requests) == 1
            # Not even looked up or judged, so wherever it pointed nobody was called.
            assert policy.asked == {("127.0.0.1", receiver.port)}
            assert asked_about == []
        assert target.connections + target_6.connections == case.more["requests_at_target"]


def test_all_redirects_of_the_list_are_tried():
    assert len(REDIRECTS) == 13
