"""Users: invite, change, deactivate, their sessions."""

from dockbell.web.ui.visit import Routes

routes = Routes()
