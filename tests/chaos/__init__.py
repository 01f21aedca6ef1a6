"""Faults.  `make chaos` runs the scenarios in `fault_*.py` and prints a table; `make test` runs the `test_*.py`.

A scenario is a test with the fixture `chaos`: clients of all kinds are at work, something is broken, and then

    async def test_connections_that_are_killed(chaos: Chaos) -> None:
        async with chaos("CLIENT KILL storm") as run:  # a store, a service, its clients; the name of a row
            await run.busy()                           # every verb has succeeded since
            with run.fault():                          # marked in the history
                ...                                    # break something; `run.store`, `run.service`, `run.proxy`
            await run.busy()                           # it went on by itself
                                                       # at the end: the checker, the row, and the violations raised

`chaos(...)` takes a store of the scenario's own (`store=Server(appendonly="yes")`), `proxied=True` for a proxy between
service and store, `mix=` for what the clients do, `rules=` for what else may be (see `Rules`), and settings of the
service by name.  All that was asked is in `history.jsonl` in the test's directory, with what the store held in the end.
"""
