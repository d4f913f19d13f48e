"""How did it go over time? A panel for each thing measured, one below the other, as an SVG written by hand."""

from collections.abc import Sequence
from xml.sax.saxutils import escape

from tests.soak.report import ROWS, Row
from tests.soak.samples import Sample

WIDTH = 900
PANEL = 110
LEFT = 70
RIGHT = 20
HEAD = 40
INK, GRID = "#1f4e79", "#d0d0d0"
MAX_POINTS = 1_000
"""In one line: a day of samples is thinned out."""


def plot(samples: Sequence[Sample], title: str) -> str:
    """The whole picture."""
    height = HEAD + PANEL * len(ROWS) + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif" font-size="11">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<text x="{LEFT}" y="24" font-size="15">{escape(title)}</text>',
    ]
    every = -(-len(samples) // MAX_POINTS) or 1
    for number, row in enumerate(ROWS):
        parts += _panel(row, samples[::every], HEAD + number * PANEL)
    minutes = samples[-1].at_secs / 60 if samples else 0
    parts.append(f'<text x="{LEFT}" y="{height - 6}">0</text>')
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{height - 6}" text-anchor="end">{minutes:.0f} minutes</text>')
    return "\n".join([*parts, "</svg>\n"])


def _panel(row: Row, samples: Sequence[Sample], top: int) -> list[str]:
    base, high = top + PANEL - 12, top + 20
    largest = row.largest(samples) or 1.0
    span = (samples[-1].at_secs if samples else 0) or 1.0
    points = [
        f"{LEFT + (WIDTH - LEFT - RIGHT) * it.at_secs / span:.1f},{base - (base - high) * value / largest:.1f}"
        for it in samples
        if (value := row.of(it)) is not None
    ]
    quarters = [LEFT + (WIDTH - LEFT - RIGHT) * part / 4 for part in range(5)]
    return [
        *(f'<line x1="{x:.0f}" y1="{high}" x2="{x:.0f}" y2="{base}" stroke="{GRID}"/>' for x in quarters),
        f'<line x1="{LEFT}" y1="{base}" x2="{WIDTH - RIGHT}" y2="{base}" stroke="{GRID}"/>',
        f'<text x="{LEFT}" y="{high - 6}">{escape(row.name)}</text>',
        f'<text x="{LEFT - 6}" y="{high + 4}" text-anchor="end">{largest:,.{row.digits}f}</text>',
        f'<text x="{LEFT - 6}" y="{base}" text-anchor="end">0</text>',
        f'<polyline fill="none" stroke="{INK}" stroke-width="1.2" points="{" ".join(points)}"/>',
    ]
