"""A running service, and the core beside it on the same store."""

from tests.gateways.running import backend, service, world
from tests.stores import store

__all__ = ["backend", "service", "store", "world"]
