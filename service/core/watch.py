"""What the rooms tell of their work.  Nobody has to listen; the metrics do."""


class Watch:
    """Every method may be called at any rate, and none may fail or wait."""

    def batch(self, size: int) -> None:
        """One call to the store carries `size` distinct presentations."""

    def call(self, verb: str, seconds: float) -> None:
        """A script answered."""

    def store_error(self, kind: str) -> None:
        """The store could not answer: a class name, never a message."""

    def verdict(self, verb: str, outcome: str) -> None:
        """A token was used, peeked at ...: 'ok' or the word that refused it."""

    def swept(self, marked: int, rescored: int, purged: int, evicted: int, lags_ms: list[int]) -> None:
        """One sweep pass is over."""


SILENT = Watch()
