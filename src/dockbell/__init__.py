"""Dockbell: the webhook system of a warehouse management system."""

__version__ = "0.1.0"
