"""How webhooks did: delivered and failed by the hour, how long attempts took, since when one only fails."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from dockbell.clock import HOUR, MINUTE, SECOND, Moment
from dockbell.store import webhook_hours
from dockbell.store.database import Database, Transaction
from dockbell.store.webhook_hours import BOUNDS_US, Count, Health

HOURS = 24
LAG = 10 * SECOND
"""Attempts are counted when they ended this long ago: by then nearly all are on disk, so hardly any comes late."""
A_PORTION = 2 * SECOND
"""So short that the one writer of SQLite keeps nobody waiting."""
MOST_PORTIONS = 500
FRESH_ENOUGH = 5 * SECOND
FAR_AHEAD = HOUR
"""Nodes' clocks may differ; what ended a little after our now is shown too."""


@dataclass(slots=True)
class Statistics:
    """One webhook's last 24 hours."""

    delivered: list[int] = field(default_factory=lambda: [0] * HOURS)
    """By hour, the current one last."""
    failed: list[int] = field(default_factory=lambda: [0] * HOURS)
    buckets: dict[int, int] = field(default_factory=dict)
    health: Health | None = None

    @property
    def attempts(self) -> int:
        return sum(self.delivered) + sum(self.failed)

    @property
    def success_share(self) -> float | None:
        """From 0 to 1; None without attempts."""
        return sum(self.delivered) / self.attempts if self.attempts else None

    def time_us(self, share: float) -> int | None:
        """The time that this share of the attempts stayed under, to a fifth."""
        wanted = share * sum(self.buckets.values())
        seen = 0
        for bucket in sorted(self.buckets):
            seen += self.buckets[bucket]
            if seen >= wanted:
                return BOUNDS_US[min(bucket, len(BOUNDS_US) - 1)]
        return None


async def roll_up(database: Database, *, now: Moment, portions: int = MOST_PORTIONS) -> None:
    """Count what is old enough, in portions that keep nobody waiting; does nothing if that was done a moment ago."""
    until = now - LAG
    if await database.read(webhook_hours.counted_to) > until - FRESH_ENOUGH:
        return
    for _ in range(portions):
        if not await database.write(lambda tx: webhook_hours.roll_up(tx, until=until, longest=A_PORTION)):
            return


def of_webhooks(tx: Transaction, webhook_ids: Iterable[int], *, now: Moment) -> dict[int, Statistics]:
    """Of those webhooks, up to this moment: what was rolled up, and the newest part counted live."""
    wanted = set(webhook_ids)
    health = health_of(tx, wanted, now=now)
    found = _arranged(_counts_of(tx, wanted, now=now), _first_hour(now))
    return {
        webhook_id: _with_health(found.get(webhook_id) or Statistics(), health.get(webhook_id)) for webhook_id in wanted
    }


def health_of(tx: Transaction, webhook_ids: Collection[int], *, now: Moment) -> dict[int, Health]:
    """How those webhooks did until now; seeing an attempt twice, in what is stored and live, changes no health."""
    mark, health = webhook_hours.health(tx, webhook_ids)
    for webhook_id, newer in webhook_hours.health_between(tx, max(mark, _first_hour(now)), now + MINUTE).items():
        health[webhook_id] = webhook_hours.merged(health.get(webhook_id), newer)
    return health


def _counts_of(tx: Transaction, webhook_ids: Collection[int], *, now: Moment) -> list[Count]:
    first_hour = _first_hour(now)
    mark, counts = webhook_hours.stored(tx, webhook_ids, since=first_hour)
    return counts + webhook_hours.counts_between(tx, max(mark, first_hour), now + FAR_AHEAD)


def _first_hour(now: Moment) -> Moment:
    return now - now % HOUR - (HOURS - 1) * HOUR


def _arranged(counts: Sequence[Count], first_hour: Moment) -> dict[int, Statistics]:
    found: dict[int, Statistics] = defaultdict(Statistics)
    for count in counts:
        one = found[count.webhook_id]
        hour = min(HOURS - 1, (count.hour_at - first_hour) // HOUR)
        one.delivered[hour] += count.delivered
        one.failed[hour] += count.failed
        one.buckets[count.bucket] = one.buckets.get(count.bucket, 0) + count.delivered + count.failed
    return found


def _with_health(statistics: Statistics, health: Health | None) -> Statistics:
    statistics.health = health
    return statistics
