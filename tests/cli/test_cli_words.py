"""Durations, bars and columns."""

import pytest

from service.cli.words import bar, columns, duration_ms, fit, human, plain


@pytest.mark.parametrize(
    ("text", "ms"),
    [("30m", 1_800_000), ("1h30m", 5_400_000), ("45s", 45_000), ("250ms", 250), ("1800000", 1_800_000), ("1.5s", 1_500),
     ("2d", 172_800_000), (" 1H ", 3_600_000), ("1m500ms", 60_500), ("0", 0)],
)  # fmt: skip
def test_a_duration_is_read(text: str, ms: int) -> None:
    assert duration_ms(text) == ms


@pytest.mark.parametrize("text", ["", "m", "30", "-5s", "5 s", "1h 30m", "5x", "1h-5m", "1.2.3s", "5sm", "1.5"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    if text.isdecimal():
        assert duration_ms(text) == int(text)
    else:
        with pytest.raises(ValueError, match="is not a duration such as 30m"):
            duration_ms(text)


@pytest.mark.parametrize(
    ("ms", "text"),
    [(None, "for ever"), (0, "0ms"), (999, "999ms"), (9_940, "9.9s"), (5_000, "5s"), (59_999, "59s"),
     (1_799_000, "29m 59s"), (1_800_000, "30m"), (3_600_000, "1h"), (90_061_000, "1d 1h"), (86_400_000 * 90, "90d")],
)  # fmt: skip
def test_a_duration_is_written(ms: int | None, text: str) -> None:
    assert human(ms) == text


@pytest.mark.parametrize(
    ("share", "shown"),
    [(1.0, "████"), (0.5, "██░░"), (0.0, "░░░░"), (0.0001, "▏░░░"), (0.53125, "██▏░"), (7.0, "████"), (-1.0, "░░░░")],
)
def test_a_bar_is_as_full_as_the_life(share: float, shown: str) -> None:
    assert bar(share, 4) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ann", "ann  "),
        ("annabel", "anna…"),
        ("日本語", "日本…"),
        ("日本語x", "日本…"),
        ("日本", "日本 "),
        ("", "     "),
    ],
)
def test_a_text_takes_exactly_its_columns(text: str, shown: str) -> None:
    assert fit(text, 5) == shown


def test_columns_are_as_wide_as_their_widest_word() -> None:
    assert list(columns([("a", "bcd", "e"), ("日本", "f", "g")])) == ["a     bcd  e", "日本  f    g"]


def test_what_a_terminal_would_obey_is_not_shown() -> None:
    assert plain("a\x1b[2Jb\u202e\u0085c\ud7ff").startswith("a\ufffd[2Jb\ufffd\ufffdc")
