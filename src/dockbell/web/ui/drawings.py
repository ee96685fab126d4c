"""Numbers as places and lengths for the drawings of the webhooks' pages; the templates make SVG of them."""

from typing import Any

from dockbell.actions.statistics import HOURS, Statistics

BAR, GAP, TALL = 4, 1, 24
WIDE = 600
PARTS = ("dns", "connect", "tls", "firstByte")


def sparkline(figures: Statistics) -> list[dict[str, int]]:
    """A bar for each hour: its place, and how tall the delivered and the failed part are."""
    most = max(1, *(good + bad for good, bad in zip(figures.delivered, figures.failed, strict=True)))
    bars = []
    for hour in range(HOURS):
        good, bad = figures.delivered[hour], figures.failed[hour]
        # What happened at all is seen: at least two units tall.
        up = max(2, round(good / most * TALL)) if good else 0
        down = max(2, round(bad / most * TALL)) if bad else 0
        up = min(up, TALL - down)
        bars.append({"x": hour * (BAR + GAP), "good": up, "bad": down, "good_y": TALL - up, "bad_y": TALL - up - down})
    return bars


def percent(figures: Statistics) -> str:
    """The success share; never 100 % while something failed."""
    share = figures.success_share
    if share is None:
        return "\N{EN DASH}"
    return "100 %" if share == 1 else f"{min(99.9, share * 100):.1f} %"


def timing_bars(durations: dict[str, float]) -> list[dict[str, Any]]:
    """The parts of an attempt one after the other: name, milliseconds, place and width on a line 0 to 600."""
    total = max(durations["total"], sum(durations[name] for name in PARTS), 0.001)
    times = [(name, durations[name]) for name in PARTS]
    times.append(("rest", max(0.0, durations["total"] - sum(time for _, time in times))))
    bars, at = [], 0.0
    for name, time in times:
        if time > 0:
            bars.append(
                {"name": name, "ms": time, "x": round(at / total * WIDE), "width": max(2, round(time / total * WIDE))}
            )
        at += time
    return bars
