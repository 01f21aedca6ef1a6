"""The last run as a picture: requests per second of each contender, a bar to its median, a line from least to most."""

from html import escape

from tests.bench.contenders import BATCH, GATEWAY, UNSEEN, USE
from tests.bench.measure import middle
from tests.bench.report import Report

OURS = {USE, GATEWAY, UNSEEN, "peek"}
WIDTH, LEFT, RIGHT, TOP, STEP, BAR = 860, 190, 170, 84, 34, 20  # px
FILL = {True: "#1f6feb", False: "#b6c2cf"}


def svg(report: Report) -> str:
    ranked = sorted(report.rounds, key=lambda name: -middle(report.rounds[name], "rate"))
    names = [name for name in ranked if name != BATCH]
    most = max(sample.rate for name in names for sample in report.rounds[name])
    rows = [_row(report, name, TOP + place * STEP, (WIDTH - LEFT - RIGHT) / most) for place, name in enumerate(names)]
    height = TOP + len(names) * STEP + 16
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" '
        f'font-size="13" fill="#1f2328">\n<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>\n'
        + _text(16, 28, "Look up and renew one of 10,000 sessions: requests per second, one process each", "18")
        + _text(16, 50, _conditions(report), "12", "#59636e")
        + _text(16, 66, "bar: median; line: least to most; then ratio to the bare handler, and p99", "12", "#59636e")
        + "".join(rows)
        + "</svg>\n"
    )


def _conditions(report: Report) -> str:
    rounds, at = len(report.rounds[report.bare]), report.machine
    return (
        f"{at.date}, {at.cores} cores (load {at.load:.1f}), {report.store}, "
        f"{report.lanes} connections, {rounds} rounds of {report.seconds:g} s"
    )


def _row(report: Report, name: str, top: int, scale: float) -> str:
    samples, against = report.rounds[name], report.ratios[name]["requests/s x bare"]
    rates = [sample.rate * scale for sample in samples]
    wide, line = middle(samples, "rate") * scale, top + BAR // 2
    said = f"{middle(samples, 'rate'):,.0f}   {against.mid:.2f} x   {middle(samples, 'p99_ms'):.1f} ms"
    return (
        _text(LEFT - 10, top + 15, name, anchor="end")
        + f'<rect x="{LEFT}" y="{top}" width="{wide:.0f}" height="{BAR}" fill="{FILL[name in OURS]}"/>\n'
        + f'<path d="M{LEFT + min(rates):.0f} {line}H{LEFT + max(rates):.0f}" stroke="#1f2328" stroke-width="1.5"/>\n'
        + _text(LEFT + int(max(wide, *rates)) + 8, top + 15, said)
    )


def _text(x: int, y: int, words: str, size: str = "13", fill: str = "#1f2328", anchor: str = "start") -> str:
    look = f'font-size="{size}" fill="{fill}" text-anchor="{anchor}" xml:space="preserve"'
    return f'<text x="{x}" y="{y}" {look}>{escape(words)}</text>\n'
