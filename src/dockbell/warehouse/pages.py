"""Pages of the reference warehouse: orders with buttons, so that a newcomer can cause events by hand."""

from dockbell.web.ui.visit import Routes

routes = Routes()
