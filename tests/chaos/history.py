"""What was asked and what came back, and what the store held in the end: a line of JSON each.

Handles only, never the text of a token.  Moments are seconds of this process' monotonic clock; those that end in `_ms`
are the store's.
"""

from pathlib import Path
from typing import Any, Literal

import msgspec

FINAL = ("expired", "revoked", "consumed")
UNREACHABLE = "unreachable"  # the request was not even sent


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="line", tag=str.lower):
    pass


class Operation(Line, frozen=True):
    """A request.  waited: without what this process itself was late.  status 0: no answer."""

    verb: str
    began: float
    ended: float
    waited: float = 0.0
    status: int = 0
    code: str = ""  # of a problem; 'caller ...' if it is about the token of the one who asked
    subject: str = ""  # the token that was presented
    owner: str = ""
    made: str = ""  # the token that was issued, or the successor
    told: str = ""  # the token that the answer says it is about, and its owner
    told_owner: str = ""
    state: str = ""  # as the answer shows it
    deadline_ms: int | None = None  # as the answer shows it: of `made`, else of the subject
    overlap_ms: int = 0
    most: int | None = None  # uses that were asked for
    key: str = ""  # of a request that is repeated until it is answered
    more: bool = False  # of revoke_owner: there is more to do
    via: str = ""  # the instance that was asked, where there are several

    @property
    def outcome(self) -> Literal["done", "refused", "perhaps"]:
        """Without an answer, and after a failure, it may have taken effect or not; or it may do so later."""
        if self.code == UNREACHABLE:
            return "refused"
        if 200 <= self.status < 300:
            return "done"
        return "perhaps" if self.status == 0 or self.status >= 500 else "refused"


class Sample(Line, frozen=True):
    """The store's clock stood at `store_ms` at some moment between two of ours."""

    before: float
    after: float
    store_ms: float


class Mark(Line, frozen=True):
    at: float
    what: str


class Kept(Line, frozen=True):
    """A record, in the end.  end_ms: of its life, if it has one."""

    id: str
    state: str
    owner: str
    deadline_ms: int
    uses: int
    ended_by: str
    end_ms: int | None = None


class Told(Line, frozen=True):
    """An event; a token's are in order."""

    id: str
    kind: str
    at_ms: int


class Disorder(Line, frozen=True):
    """What a full scan found wrong: counts, lists, lives."""

    text: str


AnyLine = Operation | Sample | Mark | Kept | Told | Disorder


class History:
    """All lines of a run; with a path they are also written there as they come."""

    def __init__(self, path: Path | None = None) -> None:
        self.operations: list[Operation] = []
        self.samples: list[Sample] = []
        self.marks: list[Mark] = []
        self.kept: list[Kept] = []
        self.told: list[Told] = []
        self.disorders: list[Disorder] = []
        self._lists: dict[type, list[Any]] = {
            Operation: self.operations, Sample: self.samples, Mark: self.marks, Kept: self.kept, Told: self.told,
            Disorder: self.disorders,
        }  # fmt: skip
        self._file = path.open("wb") if path else None

    def add(self, *lines: AnyLine) -> None:
        for line in lines:
            self._lists[type(line)].append(line)
            if self._file is not None:
                self._file.write(msgspec.json.encode(line) + b"\n")

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    @classmethod
    def read(cls, path: Path) -> "History":
        read = cls()
        decoder = msgspec.json.Decoder(AnyLine)
        read.add(*map(decoder.decode, path.read_bytes().splitlines()))
        return read
