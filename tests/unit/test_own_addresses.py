"""This machine is no receiver: its own addresses and ports are refused."""

import asyncio
import contextlib
import ipaddress
from pathlib import Path

import pytest

from dockbell.clock import SECOND
from dockbell.domain.addresses import AddressPolicy, parse_allow_rules
from dockbell.egress.own_addresses import READ_EVERY_S, keep_own_addresses, own_addresses
from dockbell.testing.clock import ManualClock

FIB_TRIE = """\
Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 127.0.0.0/8 2 0 2
           |-- 127.0.0.1
              /32 host LOCAL
     +-- 93.184.216.0/24 2 0 2
        |-- 93.184.216.0
           /24 link UNICAST
        |-- 93.184.216.34
           /32 host LOCAL
        |-- 93.184.216.255
           /32 link BROADCAST
     |-- 10.1.0.5
        /32 host LOCAL
"""
IF_INET6 = """\
00000000000000000000000000000001 01 80 10 80       lo
26062800022000010248189325c81946 02 40 00 80     eth0
"""
PUBLIC, PUBLIC_V6, PRIVATE = "93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "10.1.0.5"
TEA = frozenset({114})


@pytest.fixture
def own(tmp_path: Path) -> frozenset[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    (tmp_path / "fib_trie").write_text(FIB_TRIE)
    (tmp_path / "if_inet6").write_text(IF_INET6)
    return own_addresses(tmp_path)


def test_e5_the_kernels_list_is_read_without_networks_and_broadcast_addresses(own):
    assert {str(each) for each in own} == {"127.0.0.1", PUBLIC, PRIVATE, "::1", PUBLIC_V6}


def test_e5_a_kernel_without_ipv6_has_addresses_all_the_same(tmp_path: Path):
    """It has no such file, and that was taken for a kernel without any list: `ipv6.disable=1` opened this machine."""
    (tmp_path / "fib_trie").write_text(FIB_TRIE)
    assert {str(each) for each in own_addresses(tmp_path)} == {"127.0.0.1", PUBLIC, PRIVATE}


def test_e5_this_machines_list_has_loopback():
    assert ipaddress.ip_address("127.0.0.1") in own_addresses()


def test_e5_a_public_address_of_this_machine_is_refused_on_every_port_and_its_neighbour_is_not(own):
    policy = AddressPolicy(own_ports=[8420])
    assert policy.judge(PUBLIC, 443, TEA) is None
    policy.own_addresses = own
    for address in (PUBLIC, PUBLIC_V6, f"::ffff:{PUBLIC}"):
        for port in (80, 443, 8420):
            assert policy.judge(address, port, TEA) is not None
    assert policy.judge("93.184.216.33", 443, TEA) is None


async def test_e5_where_they_cannot_be_read_anew_the_last_ones_stay_refused(own, tmp_path: Path):
    """A node out of files can open none for a moment."""
    clock, policy = ManualClock(), AddressPolicy(own_ports=[8420])
    policy.own_addresses = own
    keeping = asyncio.ensure_future(keep_own_addresses(policy, clock, tmp_path))

    async def a_reading() -> None:
        await until_asleep(clock, keeping)
        clock.advance(int(READ_EVERY_S) * SECOND)
        await until_asleep(clock, keeping)

    (tmp_path / "fib_trie").rename(tmp_path / "kept")
    (tmp_path / "fib_trie").mkdir()  # no file that can be read
    await a_reading()
    assert policy.own_addresses == own
    (tmp_path / "fib_trie").rmdir()
    (tmp_path / "fib_trie").write_text(FIB_TRIE.replace(PUBLIC, "93.184.216.35"))
    await a_reading()
    assert policy.judge("93.184.216.35", 443, TEA) is not None
    keeping.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await keeping


async def until_asleep(clock: ManualClock, task: asyncio.Future[None]) -> None:
    while not clock.sleepers():
        assert not task.done(), task
        await asyncio.sleep(0)  # noqa: TID251 - lets the task go on


def test_e5_a_rule_opens_a_private_address_of_this_machine_but_never_dockbells_own_port(own):
    policy = AddressPolicy(parse_allow_rules(["* 10.1.0.0/24"]), own_ports=[8420])
    policy.own_addresses = own
    assert policy.judge(PRIVATE, 8443, TEA) is None
    assert policy.judge(PRIVATE, 8420, TEA) is not None
    assert policy.judge("10.1.0.6", 8420, TEA) is None


def test_e5_also_under_the_setting_for_tests_dockbell_does_not_call_itself():
    policy = AddressPolicy(allow_loopback=True, own_ports=[8420])
    for address in ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"):
        assert policy.judge(address, 8421, TEA) is None
        assert policy.judge(address, 8420, TEA) is not None
