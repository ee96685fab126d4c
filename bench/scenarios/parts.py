"""What each of the main ideas is worth: Dockbell with one of them switched off at a time."""

from collections.abc import Iterator
from dataclasses import replace

from bench.lab import Lab
from bench.scenario import COSTS, RATES, scenario, turned
from bench.targets import Run

WHOLE = "as it is"
WITHOUT = {
    "without shared commits": ("bench.switched", "shared-commits", "serve"),
    "without the hand-over: nothing born leased": ("bench.switched", "born-leased", "serve"),
    "without closing together": ("bench.switched", "closing-together", "serve"),
    "without its sender: http.client in 64 threads": ("bench.plain_sender", "serve"),
    "its sender in a thread of its own": ("bench.switched", "sender-on-the-loop", "serve"),
}


@scenario(
    "ideas",
    "What the main ideas are worth",
    tables=((*RATES, "of the rate as it is", "product us"), COSTS),
    rounds=2,
)
def ideas(lab: Lab, turn: int) -> Iterator[Run]:
    """(a) with one of the ideas switched off at a time, by programs of the bench's own that exchange that part:
    each request's events and each outcome in a commit of its own; every delivery claimed from the store; a commit for each
    outcome, while events share theirs; another sender, which judges no addresses and so does less.
    """
    for system in turned(lab.databases, turn):
        whole = lab.run(system, lab.load(), case=WHOLE)
        yield whole
        for case, words in WITHOUT.items():
            run = lab.run(system, lab.load(), case=case, words=words)
            share = run.figures["delivered and logged/s"] / whole.figures["delivered and logged/s"]
            yield replace(run, figures={**run.figures, "of the rate as it is": share})
