"""Signing in and out, one-time links, and one's own account."""

from dockbell.web.ui.visit import Routes

routes = Routes()
