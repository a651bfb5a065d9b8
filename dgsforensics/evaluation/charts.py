"""Diagrams of an evaluation as SVG, written by hand: no script, no picture, no address of anything.

Every series has a dash pattern and a marker of its own and every bar its number, so they can be
read without colour. Colours are classes, `s0` to `s3` and on again; the page defines them.
"""

import html
from collections.abc import Sequence
from dataclasses import dataclass

from dgsforensics.evaluation.bootstrap import Estimate
from dgsforensics.wording import printable

_SIDE, _LEFT, _TOP, _BOTTOM = 320, 48, 12, 44
_SERIES = 4
"""Looks that there are; further series begin again."""
_NAME = 28
"""Characters of a name beside a bar; the whole one is its title."""


@dataclass(frozen=True, slots=True)
class ChartLine:
    """One series of a square diagram."""

    name: str
    points: Sequence[tuple[float, float]]
    """Both coordinates in [0, 1]."""
    notes: Sequence[str] = ()
    """Of each point, for its title; then the points get markers."""


@dataclass(frozen=True, slots=True)
class ChartBar:
    """One bar, from 0 to 1."""

    group: str
    series: int
    series_name: str
    value: Estimate | None


def escaped(text: str) -> str:
    """Return text for HTML and XML alike: nothing in it is markup or a control character."""
    return html.escape(printable(text))


def square(identity: str, title: str, across: str, up: str, lines: Sequence[ChartLine]) -> str:
    """Return a diagram over the unit square with its diagonal; `identity` is unique within the
    page.
    """
    width, height = _LEFT + _SIDE + 12, _TOP + _SIDE + _BOTTOM
    parts = [_opening(identity, title, width, height, f"{up} against {across}")]
    for step in range(6):
        share = step / 5
        x, y = _place(share, 0)[0], _place(0, share)[1]
        bottom, right = _TOP + _SIDE, _LEFT + _SIDE
        parts.append(f'<path class="grid" d="M{x} {_TOP}V{bottom}M{_LEFT} {y}H{right}"/>')
        parts.append(f'<text x="{x}" y="{bottom + 16}" text-anchor="middle">{share:g}</text>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4}" text-anchor="end">{share:g}</text>')
    parts.append(f'<path class="chance" d="{_path([(0, 0), (1, 1)])}"/>')
    for number, line in enumerate(lines):
        look = f"s{number % _SERIES}"
        parts.append(f'<g class="{look}"><title>{escaped(line.name)}</title>')
        parts.append(f'<path class="line" d="{_path(line.points)}"/>')
        for point, note in zip(line.points, line.notes, strict=False):
            parts.append(_marker(number, *_place(*point), f"{line.name}: {note}"))
        parts.append("</g>")
    middle = _LEFT + _SIDE / 2
    parts.append(
        f'<text x="{middle:g}" y="{height - 8}" text-anchor="middle">{escaped(across)}</text>'
        f'<text transform="translate(14 {_TOP + _SIDE / 2:g}) rotate(-90)" '
        f'text-anchor="middle">{escaped(up)}</text></svg>'
    )
    return "".join(parts)


def legend(names: Sequence[str]) -> str:
    """Return what each look stands for, as a list; of one series, nothing."""
    if len(names) < 2:
        return ""
    items = (
        f'<li><svg width="44" height="12" aria-hidden="true" class="s{number % _SERIES}">'
        f'<path class="line" d="M2 6H42"/>{_marker(number, 22, 6)}</svg> {escaped(name)}</li>'
        for number, name in enumerate(names)
    )
    return f'<ul class="legend">{"".join(items)}</ul>'


def bars(identity: str, title: str, up: str, all_bars: Sequence[ChartBar]) -> str:
    """Return horizontal bars with their intervals, in groups as they come."""
    left, length, step = 220, 300, 18
    rows: list[str] = []
    y, group = 4, None
    for bar in all_bars:
        if bar.group != group:
            y += 6 if group is not None else 0
            name = bar.group if len(bar.group) <= _NAME else bar.group[: _NAME - 1] + "…"
            rows.append(
                f'<text x="{left - 8}" y="{y + 13}" text-anchor="end">{escaped(name)}</text>'
            )
            group = bar.group
        rows.append(_bar(bar, left, y, length))
        y += step
    height = y + 20
    axis = [
        f'<path class="grid" d="M{left + length * share / 4:g} 0V{y}"/>'
        f'<text x="{left + length * share / 4:g}" y="{height - 4}" '
        f'text-anchor="middle">{share / 4:g}</text>'
        for share in range(5)
    ]
    opening = _opening(identity, title, left + length + 150, height, f"{up} by group")
    return "".join([opening, *axis, *rows, "</svg>"])


def _bar(bar: ChartBar, left: int, y: int, length: int) -> str:
    told = f"{bar.group}, {bar.series_name}: "
    if bar.value is None:
        return (
            f"<g><title>{escaped(told)}needs both classes</title>"
            f'<text x="{left + 6}" y="{y + 13}">\N{EN DASH}</text></g>'
        )
    value, low, high = bar.value.value, bar.value.low, bar.value.high
    assert low is not None and high is not None  # what bars show has an interval
    words = f"{value:.3f} ({low:.2f} to {high:.2f})"
    start, end = left + length * low, left + length * high
    return (
        f'<g class="s{bar.series % _SERIES}"><title>{escaped(told)}{words}</title>'
        f'<rect class="bar" x="{left}" y="{y + 2}" width="{length * value:.1f}" height="14"/>'
        f'<path class="whisker" d="M{start:.1f} {y + 9}H{end:.1f}'
        f'M{start:.1f} {y + 5}v8M{end:.1f} {y + 5}v8"/>'
        f'<text x="{left + length + 8}" y="{y + 13}">{words}</text></g>'
    )


def _opening(identity: str, title: str, width: int, height: int, description: str) -> str:
    return (
        f'<svg role="img" aria-labelledby="{identity}-t {identity}-d" '
        f'viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
        f'<title id="{identity}-t">{escaped(title)}</title>'
        f'<desc id="{identity}-d">{escaped(description)}</desc>'
    )


def _marker(number: int, x: float, y: float, title: str | None = None) -> str:
    told = "" if title is None else f"<title>{escaped(title)}</title>"
    match number % _SERIES:
        case 0:
            return f'<circle class="mark" cx="{x:g}" cy="{y:g}" r="4">{told}</circle>'
        case 1:
            shape = f"M{x - 4:g} {y - 4:g}h8v8h-8z"
        case 2:
            shape = f"M{x:g} {y - 5:g}l5 9h-10z"
        case _:
            shape = f"M{x:g} {y - 5:g}l5 5l-5 5l-5 -5z"
    return f'<path class="mark" d="{shape}">{told}</path>'


def _place(x: float, y: float) -> tuple[float, float]:
    return round(_LEFT + _SIDE * x, 1), round(_TOP + _SIDE * (1 - y), 1)


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join("{:g} {:g}".format(*_place(*point)) for point in points)
