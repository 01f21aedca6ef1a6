"""The benchmark: what `use` costs, beside a handler that does nothing and one that asks Redis per request.

What helped stands as a comment where it is done, with its figures.  What did not help, so that nobody tries it again
without a new reason (2 shared cores, interleaved rounds):

- More calls under way (3 and 4 instead of 2), or smaller ones (16, 20, 24 questions worth one instead of 32): the same.
- Shorter passes of the sweep, while a mark took twice what it takes now; since then they do (`expirer.py`).
- Passes of the sweep of 10, 30 or 40 tokens at least instead of 20: no more uses beside a burst.  One costs the store
  70 us and each token 5; longer ones cost less and let uses wait.
- Smaller calls (16, 20 or 24 questions worth one) beside a burst: uses keep more of their rate, because it is lower
  without one; as many are made during it.
- A PTTL less for each token of an owner that is revoked, where all are known to live: nothing, it is read just before.
- A generator without an event loop, `epoll` and blocking sockets: the same, its time is the kernel's.
- The generator under SCHED_BATCH, so that it takes no turn from the server: the ratio gains 10 %, but because the bare
  handler loses 12.  To keep generator and store off one core (`measure.apart`) takes nothing from any.
- Longer turns: the machine changes its speed within seconds, so the two that are compared had different machines.
- One process of the service for all its contenders: the requests of four are more than it remembers by their bytes, so
  each turn began with taking apart what the others had made it forget.  A gateway use was 35 us of its processor time,
  on its own it is 23 to 29.
"""
