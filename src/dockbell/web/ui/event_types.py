"""The catalog as documentation."""

from dockbell.web.ui.visit import Routes

routes = Routes()
