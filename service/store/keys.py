"""Every key the service writes.  No other Python file spells a key; `lua/prelude.lua` spells the same ones.

`{07}` is the partition in two hexadecimal digits and the cluster's hash tag.  An `<id>` is the handle without its
dashes; its first two digits are the partition, so an id alone says where its keys are, and in a sorted set of the
partition its rest stands for it: the thirty digits behind them.

tl:{07}:l:<id>                       string  THE LIFE: exists = active, its TTL is the remaining life
tl:{07}:t:<id>                       string  the record (`record.py`); outlives the life by the retention
tl:{07}:due                          zset    rest of an active token -> ms at which its life may end, never later
tl:{07}:gone                         list    `<ms><id><id>...`: when these ended; their records go after the retention
tl:{07}:relist                       list    `<id><id>...`: these ended, and still stand in the lists of active tokens
tl:{07}:i:<tenant>:<type>:<state>    zset    rest -> sequence: what a tenant's lists are made from
tl:{07}:o:<tenant>:<type>:<state>    zset    the same by owner: `<owner>` and sequence on a line each; no scores, no ids
tl:{07}:ev                           stream  an entry: what happened, then rest and record of each token; trimmed
tl:{07}:n                            hash    `sequence`, and how many tokens are in each state
tl:{07}:n:<tenant>                   hash    `<type>:<state>` -> how many
tl:{07}:a:<tenant>:<username>        string  the argon2 hash of an account's password
tl:{07}:k:<digest>                   string  the answer to an idempotent request; has a TTL
tl:{07}:p:<digest>                   string  when the next of those that may come so often has its turn; has a TTL
tl:partitions                        string  how many partitions there are, fixed at first start
tl:leases                            hash    partition -> the instance that sweeps it; `@<instance>` -> until when (ms)
"""

from functools import cache, lru_cache

from service.core.text import dashed

PARTITIONS = "tl:partitions"
LEASES = "tl:leases"

ID = 32  # bytes of an <id>


def tag(partition: int) -> str:
    return f"tl:{{{partition:02x}}}:"


@cache  # asked for all partitions ten times a second
def due(partition: int) -> str:
    return tag(partition) + "due"


def relist(partition: int) -> str:
    return tag(partition) + "relist"


def events(partition: int) -> str:
    return tag(partition) + "ev"


def counts(partition: int) -> str:
    return tag(partition) + "n"


def account(partition: int, tenant: str, username: str) -> str:
    return f"{tag(partition)}a:{tenant}:{username}"


def replay(partition: int, digest: str) -> str:
    return f"{tag(partition)}k:{digest}"


def pace(partition: int, digest: str) -> str:
    return f"{tag(partition)}p:{digest}"


@lru_cache(65_536)  # asked for each token of each request
def short(handle: str) -> str:
    """A handle as the store spells it: without its dashes."""
    return handle.replace("-", "")


def rest(handle: str) -> str:
    return short(handle)[2:]


def handle(partition: int, rest: str) -> str:
    return dashed(f"{partition:02x}{rest}")


def partition(handle: str) -> int:
    return int(handle[:2], 16)
