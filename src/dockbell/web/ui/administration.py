"""Goods owners, API keys, the audit trail and the system page."""

from dockbell.web.ui.visit import Routes

routes = Routes()
