"""Which part of a live token takes how much of the store; the keys are those of `service/store/keys.py`."""

from collections.abc import Sequence
from statistics import mean

from service.store import keys
from tests.bench.servers import Store

SAMPLE = 200  # tokens looked at


def parts(store: Store, handles: Sequence[str], whole: float) -> dict[str, float]:
    """Bytes a token, as MEMORY USAGE tells; the rest of the whole is tables of keys and of their times."""
    some = handles[:SAMPLE]
    found = {
        "its life": mean(_bytes(store, _key(handle, f"l:{keys.short(handle)}")) for handle in some),
        "its record": mean(_bytes(store, _key(handle, f"t:{keys.short(handle)}")) for handle in some),
        "a place in the tenant's list": _shared(store, handles, f"i:{_KIND}"),
        "a place in the list by owner": _shared(store, handles, f"o:{_KIND}"),
        "a place among what is due": _shared(store, handles, "due"),
    }
    return found | {"tables of keys and of their times": whole - sum(found.values())}


_KIND = "default:session:active"


def _key(handle: str, rest: str) -> str:
    return keys.tag(keys.partition(handle)) + rest


def _shared(store: Store, handles: Sequence[str], rest: str) -> float:
    """Of what all tokens of a partition have together."""
    return sum(_bytes(store, key) for key in {_key(handle, rest) for handle in handles}) / len(handles)


def _bytes(store: Store, key: str) -> int:
    return int(store.client.memory_usage(key, samples=0) or 0)
