"""Logs: deliveries and their attempts, resend and cancel, one or many, export."""

from dockbell.web.ui.visit import Routes

routes = Routes()
