"""Pages of the reference warehouse: each noun as a list and a page of its own, with what can be done now as buttons.

`noun` says how a noun is described, the modules named for a part of the warehouse describe theirs, `show` makes pages of
all of them. Whatever is done goes through the actions that the API calls.
"""

from dockbell.warehouse.pages.show import NOUNS, routes

__all__ = ["NOUNS", "routes"]
