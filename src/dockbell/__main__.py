"""`python -m dockbell` is the command line."""

from dockbell.cli import main

main()
