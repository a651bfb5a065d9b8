"""Whether what the screen says can be read: 4.5 to 1, as WCAG 2 asks of text, in every theme.

Counted are the colours that are sent to the terminal, in full and as 256 colours leave them.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.color import Color, ColorSystem
from rich.segment import Segment

from dgsforensics.case.store import Case
from dgsforensics.choices import Theme
from dgsforensics.judgements import Judgement
from dgsforensics.review.session import Review
from dgsforensics.tui.graphics import BLOCKS, TEXT
from tui_case import Seat, build, segments, sit

LEAST = 4.5
DRAWN = set("░▒▓●▘▝▖▗▚▀▄▁▂▃▅▆▇▔▏▎▍▌▋▊▉▐█│─╭╮╰╯━╸╺┃")
"""Pictures, lines, bars."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("built"))


def luminance(channels: tuple[int, int, int]) -> float:
    shares = [value / 255 for value in channels]
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: Color, other: Color) -> float:
    light = sorted(luminance(tuple(colour.get_truecolor())) for colour in (one, other))
    return (light[1] + 0.05) / (light[0] + 0.05)


def unreadable(found: list[Segment]) -> Iterator[str]:
    """What cannot be read, and why."""
    for text, style, _ in found:
        if not text.strip() or not set(text) - DRAWN - {" "}:
            continue
        if style is None or (style.color is None and style.bgcolor is None):
            continue  # the terminal's own colours, which go together
        if style.color is None or style.bgcolor is None:
            yield f"{text!r}: one colour of ours on one of the terminal's ({style})"
            continue
        if style.dim:
            yield f"{text!r}: dim, which each terminal does as it likes"
        for system in (ColorSystem.TRUECOLOR, ColorSystem.EIGHT_BIT):
            front, back = (c.downgrade(system) for c in (style.color, style.bgcolor))
            if (ratio := contrast(front, back)) < LEAST:
                yield f"{text!r}: {ratio:.2f} in {system.name} ({style})"


def test_what_cannot_be_read_is_found() -> None:
    from rich.style import Style

    said = [Segment("a", Style.parse(s)) for s in ("#777777 on #888888", "on #000000", "dim", "")]
    assert len(list(unreadable(said))) == 3
    assert not list(unreadable([Segment("a", Style.parse("white on black"))]))
    assert contrast(Color.parse("#ffffff"), Color.parse("#000000")) == pytest.approx(21)


@pytest.mark.parametrize("theme", list(Theme))
@pytest.mark.parametrize("coloured", [True, False])
def test_every_text_can_be_read(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, theme: Theme, coloured: bool
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    if not coloured:
        monkeypatch.setenv("NO_COLOR", "1")
    case = Path(shutil.copy(built, tmp_path / "case.sqlite3"))
    with Case.open(case) as opened:
        other = Review(opened, "bob")
        other.label(other.items[:2], Judgement.REAL)
        other.note(other.items[0], "seen before")
    wrong: dict[str, None] = {}

    async def steps(seat: Seat) -> None:
        def look(view: str) -> None:
            wrong.update(
                dict.fromkeys(f"{view}: {what}" for what in unreadable(segments(seat.app)))
            )

        await seat.press("1", "2", "home")
        await seat.settled()
        look("board")
        item = seat.item("lake.png")
        seat.board.viewer.heat(item, [((0, 0, 0.5, 1), 1.0), ((0.5, 0, 1, 1), -1.0)])
        await seat.pilot.pause()
        look("map")
        await seat.go("broken.png")
        await seat.settled()
        look("error")
        await seat.press("tab")
        look("picture with the focus")
        await seat.press("shift+tab")
        for view, keys in {
            "help": ("question_mark",),
            "palette": ("ctrl+p", *"sort"),
            "filter": ("slash", *"score", "colon", "x", "enter"),
            "note": ("t",),
            "question": ("home", "R"),
        }.items():
            await seat.press(*keys)
            look(view)
            await seat.press("escape")

    sit(case, steps, size=(160, 40), theme=theme, renderer=BLOCKS if coloured else TEXT)
    assert not wrong, "\n".join(wrong)
