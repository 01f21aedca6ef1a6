"""Log lines on standard error: JSON, one line a record; or for people.  Knows nothing of ours.

Whatever looks like a secret is cut out of every line, at every level, whoever wrote it.
"""

import logging
import re
import sys
import time
import traceback
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Literal, TextIO

import msgspec
from aiohttp.http_exceptions import HttpProcessingError

GONE = "[redacted]"

# Each begins where a word begins and gives no characters back: 64 KiB of anything cost linear time.
TEXT = r"(?<![\w-])[\w-]{28,}+\.[\w-]{40,}+"  # <dressing><28 characters>.<43 characters>
CUT_TEXT = r"\b(?:tl_|stg_|secret-token:)[\w-]{12,}+(?:\.[\w-]*+)?"  # left where somebody shortened it
JWT = r"(?<![\w-])(?:ey[\w-]{8,}+\.[\w-]{4,}+\.[\w-]*+|[\w-]{20,}+\.[\w-]{20,}+\.[\w-]{20,}+)"
BEARER = r"\b(?:Bearer|Basic)\s+[\w.~+/=:-]{8,}+"

# The value behind a telling name: of a header, a parameter, a member of JSON or of a repr.
NAME = r"(?:authorization|cookie|pass+word|passwd|secret|api[-_]?key|signing[-_]?keys?|(?<=[\w-])token)"
QUOTE = r"""\\{0,3}["']"""
VALUE = rf"""(?x: (?! {re.escape(GONE)} )
  (?: b? " (?: [^"\\] | \\. )*+ "                                    # quoted
    | b? ' (?: [^'\\] | \\. )*+ '
    | {QUOTE} [^"'\\]*+                                              # quoted in what is itself quoted
    | (?: (?: bearer | basic | digest ) \s+ )? [^\s"'&,;)<>\]}}]++   # bare
  ))"""

CUTS = [
    (re.compile(pattern, re.IGNORECASE | re.ASCII), rest)
    for pattern, rest in (
        (r"(cookie\s*:\s*)[^\r\n\"']++", rf"\1{GONE}"),
        (rf"({NAME}(?:{QUOTE}\s*[,:=]|\s*[:=])\s*){VALUE}", rf"\1{GONE}"),
        # "token: expired" is prose, and stays; these are not.
        (rf"(\btoken(?:{QUOTE}\s*[,:=]|\s*=)\s*){VALUE}", rf"\1{GONE}"),
        (r"(://[^\s/@:]{0,64}:)[^\s/@]++@", rf"\1{GONE}@"),
        (rf"{TEXT}|{CUT_TEXT}|{JWT}|{BEARER}", GONE),
    )
]
TELLING = re.compile(rf"(?:{NAME}|\btoken)\Z", re.IGNORECASE)
CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), 127)}  # a client must not write lines of its own
FIELDS = {"ts", "level", "logger", "message", "exception"}
STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}


def configure(form: Literal["json", "console", "auto"], level: str) -> None:
    """`auto` is for people on a terminal, else JSON.  May be called again."""
    people = form == "console" or (form == "auto" and sys.stderr.isatty())
    handler = StandardError()
    handler.setFormatter(ForPeople() if people else ForMachines())
    root = logging.getLogger()
    for old in [old for old in root.handlers if isinstance(old, StandardError)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    logging.captureWarnings(capture=True)
    logging.getLogger("aiohttp.access").disabled = True  # it writes query strings
    sys.excepthook = _log_uncaught


def for_people() -> bool:
    """Whether lines are for people, as it was configured."""
    return any(isinstance(handler.formatter, ForPeople) for handler in logging.getLogger().handlers)


def redacted(text: str) -> str:
    for pattern, rest in CUTS:
        text = pattern.sub(rest, text)
    return text.encode(errors="replace").decode()  # what a client sent need not be UTF-8


class StandardError(logging.StreamHandler[TextIO]):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        """Nothing: the usual report of a line that could not be written shows its arguments."""


class ForMachines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return msgspec.json.encode(parts(record)).decode()


class ForPeople(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        known = parts(record)
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        extras = "".join(f"  {name}={value}" for name, value in known.items() if name not in FIELDS)
        line = f"{clock}.{record.msecs:03.0f} {record.levelname:<7} {record.name}: {known['message']}{extras}"
        return "\n".join([line.translate(CONTROLS), *known.get("exception", "").splitlines()])


def parts(record: logging.LogRecord) -> dict[str, Any]:
    """What a line tells: its time in UTC, level, logger and message, the extras, the traceback."""
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    message, trace = _told(record)
    line: dict[str, Any] = {
        "ts": f"{moment}.{record.msecs:03.0f}Z",
        "level": record.levelname,
        "logger": record.name,
        "message": redacted(message),
    }
    if trace:
        line["exception"] = redacted(trace)
    extras = {name: _extra(name, value) for name, value in vars(record).items() if name not in STANDARD}
    return line | {name: value for name, value in extras.items() if name not in line}


def _told(record: logging.LogRecord) -> tuple[str, str]:
    """Message and traceback.  Of a malformed request only that there was one: its bytes may be a token's."""
    try:
        message = record.getMessage()
    except (TypeError, ValueError, KeyError):
        message = f"{record.msg} (with arguments that do not fit)"
    error = record.exc_info[1] if record.exc_info else None
    malformed = [type(cause).__name__ for cause in _causes(error) if isinstance(cause, HttpProcessingError)]
    if malformed:
        return f"{message.splitlines()[0]}: it was malformed ({malformed[0]}).", ""
    trace = "".join(traceback.format_exception(error)) if error else record.exc_text or ""
    return message, trace + (record.stack_info or "")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error, what it came from, and for a group all that is in it."""
    waiting, seen = [error], set[int]()
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [one.__cause__, one.__context__, *getattr(one, "exceptions", ())]


def _extra(name: str, value: object) -> object:
    if TELLING.search(name):
        return GONE
    return value if value is None or isinstance(value, bool | int | float) else redacted(str(value))


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        logging.getLogger("service").critical("The service ends by a fault.", exc_info=error)
