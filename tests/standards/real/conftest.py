"""A running service, and the core beside it on the same store."""

from tests.gateways.running import backend, service, store, world

__all__ = ["backend", "service", "store", "world"]
