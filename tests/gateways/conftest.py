"""A running service, and the core beside it on the same store."""

from tests.gateways.running import backend, http, service, world
from tests.stores import store

__all__ = ["backend", "http", "service", "store", "world"]
