"""All scenarios, in the order of the page. A new one needs no more than a function with `@scenario(...)`."""

from bench.scenario import SCENARIOS
from bench.scenarios import churn, cluster, full, latency, parts, throughput

__all__ = ["SCENARIOS", "churn", "cluster", "full", "latency", "parts", "throughput"]
