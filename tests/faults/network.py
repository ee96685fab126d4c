"""What happens on the way between Dockbell and receivers: late, slow, in pieces, cut off, lost, gone."""

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator

from dockbell.domain.breaker import LONGEST_OPEN_S
from tests.faults.load import DRAINS_WITHIN_S, Load, under_load
from tests.faults.processes import Unable, pause
from tests.faults.proxy import Proxy, Weather
from tests.faults.scenario import Run, need, need_root, scenario

FIRST = 0
"""The place of the receiver that the proxy stands before; the others are reached as ever."""


@scenario(
    "T21",
    "network between Dockbell and a receiver: late, slow, in pieces, reset, silent, SQLite",
    holds="the other receivers get theirs meanwhile; everything is there soon after",
    short=True,
)
def bad_weather(run: Run) -> None:
    proxy = Proxy(0)
    try:
        # In the full set a network is away for longer than the retry policy has steps, and the breaker may wait for its next
        # probe for as long as it ever does.
        drains_within_s = DRAINS_WITHIN_S + run.pick(0.0, LONGEST_OPEN_S)
        with under_load(
            run, "sqlite", rate=60, before={FIRST: proxy}, may_end={"failed"}, drains_within_s=drains_within_s
        ) as load:
            for name, weather in WEATHERS.items():
                _endure(run, load, name, lambda weather=weather: setattr(proxy, "weather", weather))  # type: ignore[misc]
                proxy.weather = Weather()
                proxy.reset()
                run.survived += 1
            for _ in range(run.pick(20, 200)):
                proxy.reset()
                pause(0.2)
            run.survived += 1
        run.figure("connections through the proxy", f"{proxy.connections:,}")
    finally:
        proxy.close()


WEATHERS = {
    "300 ms late each way": Weather(latency_s=0.3),
    "256 kbit/s": Weather(bytes_per_s=32_000),
    "in pieces of 7 bytes": Weather(slice_bytes=7),
    "reset within the answer": Weather(limit_bytes=20),
    "reset on connecting": Weather(is_refusing=True),
    "silence": Weather(is_black_hole=True),
}


def _endure(run: Run, load: Load, name: str, begin: Callable[[], None]) -> None:
    before = len(load.receipts())
    others = {webhook: sum(one.webhook == webhook for one in load.receipts()) for webhook in load.ids[1:]}
    begin()
    seconds = run.pick(5.0, 60.0)
    pause(seconds)
    came = load.receipts()
    here = sum(one.webhook == load.ids[FIRST] for one in came[before:])
    run.figure(
        name, f"{here / seconds:.0f} requests a second came through, {(len(came) - before) / seconds:.0f} in all"
    )
    for webhook, count in others.items():
        more = sum(one.webhook == webhook for one in came) - count
        run.must(more > 0, f"{name}: webhook {webhook}, whose network is well, got nothing meanwhile")


@scenario(
    "T21b",
    "packets lost, and blackouts, in a network namespace, SQLite",
    holds="everything is there one retry step after a blackout",
    needs=("nft",),
)
def lost_packets(run: Run) -> None:
    need_root("packet rules in a network namespace of its own")
    nft = need("nft")
    with under_load(run, "sqlite", rate=60) as load:
        ports = ", ".join(map(str, load.ports))
        with _rules(nft, f"tcp dport {{ {ports} }} numgen random mod 100 < 5 drop"):
            since, before = time.monotonic(), len(load.receipts())
            pause(run.pick(10.0, 120.0))
            rate = (len(load.receipts()) - before) / (time.monotonic() - since)
            run.figure("5 % of packets lost", f"{rate:.0f} requests a second")
            run.must(rate > 0, "with 5 % loss requests still come through")
            run.survived += 1
        for _ in range(run.pick(1, 5)):
            with _rules(nft, f"tcp dport {{ {ports} }} drop"):
                pause(10.0)
            took_s = load.wait_for_receipts(20, within_s=30.0)
            run.figure("requests again after 10 s of blackout", f"{took_s:.1f} s")
            run.survived += 1
            pause(run.pick(2.0, 50.0))


@contextlib.contextmanager
def _rules(nft: str, rule: str) -> Iterator[None]:
    table = "add table inet faults; add chain inet faults out { type filter hook output priority 0; }"
    done = subprocess.run(
        [nft, f"{table}; add rule inet faults out {rule}"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Unable(f"nft refused the rule: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run([nft, "delete table inet faults"], check=True)
