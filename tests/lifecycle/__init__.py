"""The life of a token, told in tests: read the files in the order of their numbers, each from top to bottom.

One idea a test, and its happy path first.  Races, outages and odd inputs are elsewhere: `tests/races`, `tests/store`,
`tests/core`.
"""
