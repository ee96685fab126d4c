"""The addresses of this machine's own network interfaces, as the kernel lists them."""

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import structlog

from dockbell.clock import Clock
from dockbell.domain.addresses import AddressPolicy

log = structlog.get_logger()
READ_EVERY_S = 300.0
Address = IPv4Address | IPv6Address
PROC = Path("/proc/self/net")  # also where only processes are to be seen in /proc


def own_addresses(proc: Path = PROC) -> frozenset[Address]:
    """Of every interface that is up; where the kernel has no such list (not Linux), what this machine's name means."""
    try:
        found = _of_ipv4((proc / "fib_trie").read_text("ascii"))
    except FileNotFoundError:
        return _of_name()
    try:
        return found | _of_ipv6((proc / "if_inet6").read_text("ascii"))
    except FileNotFoundError:  # IPv6 is switched off
        return found


async def keep_own_addresses(policy: AddressPolicy, clock: Clock, proc: Path = PROC) -> None:
    """Read them anew every five minutes: interfaces come and go. Where that fails, the last ones stay refused."""
    while True:
        await clock.sleep(READ_EVERY_S)
        try:
            policy.own_addresses = own_addresses(proc)
        except OSError as error:  # no file may be opened just now
            log.warning("egress.addresses_not_read", error=str(error))


def _of_ipv4(fib_trie: str) -> frozenset[Address]:
    """Each address is followed by what it is; those of an interface are `/32 host LOCAL`."""
    found: set[Address] = set()
    address = ""
    for line in fib_trie.splitlines():
        words = line.split()
        if words[:1] == ["|--"]:
            address = words[1]
        elif words == ["/32", "host", "LOCAL"]:
            found.add(ip_address(address))
    return frozenset(found)


def _of_ipv6(if_inet6: str) -> frozenset[Address]:
    return frozenset(IPv6Address(int(line.split()[0], 16)) for line in if_inet6.splitlines() if line.strip())


def _of_name() -> frozenset[Address]:
    try:
        return frozenset(ip_address(info[4][0]) for info in socket.getaddrinfo(socket.gethostname(), None))
    except (OSError, ValueError):
        return frozenset()
