"""Measures Dockbell: `make bench`. Each scenario is one function in `bench.scenarios`."""
