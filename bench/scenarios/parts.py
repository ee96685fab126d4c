"""What each of the main ideas is worth: Dockbell with one of them switched off at a time."""

from collections.abc import Iterator
from dataclasses import replace

from bench.lab import Lab
from bench.scenario import COSTS, RATES, scenario, turned
from bench.targets import Run

WHOLE = "as it is"
WITHOUT = {
    "each-request-alone": "without shared commits: each request in one of its own",
    "nothing-handed-over": "without the hand-over: nothing born leased, all claimed from the store",
    "plain-sender": "without libcurl: http.client in 64 threads",
    "each-outcome-alone": "without closing together: one outcome in each commit",
}


@scenario(
    "ideas",
    "What the main ideas are worth",
    tables=((*RATES, "of the rate as it is", "product us"), COSTS),
    rounds=2,
)
def ideas(lab: Lab, turn: int) -> Iterator[Run]:
    """(a) with one of the ideas switched off at a time, by a program of the bench's own that exchanges that part. The
    sender it exchanges libcurl for judges no addresses, so it does less.
    """
    for system in turned(lab.databases, turn):
        whole = lab.run(system, lab.load(), case=WHOLE)
        yield whole
        for part, case in WITHOUT.items():
            run = lab.run(system, lab.load(), case=case, words=("bench.switched", part, "serve"))
            share = run.figures["delivered and logged/s"] / whole.figures["delivered and logged/s"]
            yield replace(run, figures={**run.figures, "of the rate as it is": share})
