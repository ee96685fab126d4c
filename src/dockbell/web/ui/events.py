"""Events by object, and why each webhook fired or did not."""

from dockbell.web.ui.visit import Routes

routes = Routes()
