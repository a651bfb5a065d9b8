"""Diagrams of an evaluation as SVG: no script, no picture, no address of anything.

Every series has a dash pattern and a marker of its own and every bar its number, so they can be
read without colour. Colours are classes, `s0` to `s3` and on again; the page defines them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from dgsforensics import templates
from dgsforensics.evaluation.bootstrap import Estimate

_SIDE, _LEFT, _TOP, _BOTTOM = 320, 48, 12, 44
_BARS, _LENGTH, _STEP = 220, 300, 18
"""Of bars: where they begin, how long 1 is, and from one to the next."""
_LOOKS = 4
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


@dataclass(frozen=True, slots=True)
class _Tick:
    share: str
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class _DrawnLine:
    name: str
    look: int
    path: str
    marks: Sequence[tuple[float, float, str]]


@dataclass(frozen=True, slots=True)
class _DrawnBar:
    y: int
    look: int
    heading: str | None
    """The group, above its first bar."""
    told: str
    words: str | None
    """None without a value, and then the numbers below say nothing."""
    value: float = 0.0
    start: float = 0.0
    end: float = 0.0


def square(identity: str, title: str, across: str, up: str, lines: Sequence[ChartLine]) -> str:
    """Return a diagram over the unit square with its diagonal; `identity` is unique within the
    page.
    """
    shares = [step / 5 for step in range(6)]
    drawn = []
    for number, line in enumerate(lines):
        noted = zip(line.points, line.notes, strict=False)
        marks = [(*_place(*point), note) for point, note in noted]
        drawn.append(_DrawnLine(line.name, number % _LOOKS, _path(line.points), marks))
    return templates.page(
        "evaluation/square.svg",
        identity=identity,
        title=title,
        across=across,
        up=up,
        width=_LEFT + _SIDE + 12,
        height=_TOP + _SIDE + _BOTTOM,
        left=_LEFT,
        right=_LEFT + _SIDE,
        top=_TOP,
        bottom=_TOP + _SIDE,
        ticks=[_Tick(f"{s:g}", _place(s, 0)[0], _place(0, s)[1]) for s in shares],
        diagonal=_path([(0, 0), (1, 1)]),
        lines=drawn,
    )


def legend(names: Sequence[str]) -> str:
    """Return what each look stands for, as a list; of one series, nothing."""
    if len(names) < 2:
        return ""
    return templates.page("evaluation/legend.html", names=names, looks=_LOOKS)


def bars(identity: str, title: str, up: str, all_bars: Sequence[ChartBar]) -> str:
    """Return horizontal bars with their intervals, in groups as they come."""
    drawn: list[_DrawnBar] = []
    y, group = 4, None
    for bar in all_bars:
        heading = None
        if bar.group != group:
            y += 6 if group is not None else 0
            heading = bar.group if len(bar.group) <= _NAME else bar.group[: _NAME - 1] + "…"
            group = bar.group
        drawn.append(_bar(bar, y, heading))
        y += _STEP
    return templates.page(
        "evaluation/bars.svg",
        identity=identity,
        title=title,
        up=up,
        left=_BARS,
        length=_LENGTH,
        height=y + 20,
        bars=drawn,
    )


def _bar(bar: ChartBar, y: int, heading: str | None) -> _DrawnBar:
    look, told = bar.series % _LOOKS, f"{bar.group}, {bar.series_name}: "
    if bar.value is None:
        return _DrawnBar(y, look, heading, told, None)
    value, low, high = bar.value.value, bar.value.low, bar.value.high
    assert low is not None and high is not None  # what bars show has an interval
    words = f"{value:.3f} ({low:.2f} to {high:.2f})"
    ends = _BARS + _LENGTH * low, _BARS + _LENGTH * high
    return _DrawnBar(y, look, heading, told, words, value, *ends)


def _place(x: float, y: float) -> tuple[float, float]:
    return round(_LEFT + _SIDE * x, 1), round(_TOP + _SIDE * (1 - y), 1)


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join("{:g} {:g}".format(*_place(*point)) for point in points)
