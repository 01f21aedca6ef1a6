"""The token lifecycle.  Knows no HTTP and no Redis."""
