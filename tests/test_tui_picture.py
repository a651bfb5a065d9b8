import asyncio
import io
import math
import sys
import threading
from collections.abc import Awaitable, Callable
from types import ModuleType, SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rich.cells import cell_len
from textual.app import App, ComposeResult
from textual.geometry import Region
from textual.pilot import Pilot
from textual.strip import Strip

from conftest import photo
from dgsforensics.tui import graphics, viewport
from dgsforensics.tui.decoding import DecodedPicture, from_image
from dgsforensics.tui.graphics import BLOCKS, HALVES, SEXTANTS, TEXT, Protocol, Renderer, choose
from dgsforensics.tui.heat import matters, on_scale, signs, tinted
from dgsforensics.tui.overview import framed
from dgsforensics.tui.picture import PicturePane
from dgsforensics.tui.terminal import TerminalAnswer
from dgsforensics.tui.viewport import STEPS, View, cut, fitting, frame, panned, scaled, zoomed

LEFT_HALF = (0.0, 0.0, 0.5, 1.0)
RIGHT_HALF = (0.5, 0.0, 1.0, 1.0)
sides = st.integers(1, 20_000)
rooms = st.tuples(st.integers(1, 400), st.integers(1, 200))
places = st.floats(-1, 2)


class Host(App[None]):
    """An application with nothing but the pane."""

    def __init__(self, renderer: Renderer = HALVES) -> None:
        super().__init__()
        self.pane = PicturePane(renderer)

    def compose(self) -> ComposeResult:
        yield self.pane


def drive(
    steps: Callable[[PicturePane, Pilot[None]], Awaitable[None]],
    size: tuple[int, int] = (80, 24),
    renderer: Renderer = HALVES,
) -> None:
    async def run() -> None:
        host = Host(renderer)
        async with host.run_test(size=size) as pilot:
            await steps(host.pane, pilot)

    asyncio.run(run())


def lines(pane: PicturePane) -> list[Strip]:
    return pane.render_lines(Region(0, 0, *pane.size))


def words(line: Strip) -> str:
    """What a line says, without what is sent to the terminal after it."""
    return "".join(segment.text for segment in line if not segment.control).rstrip()


def text(pane: PicturePane) -> str:
    return "\n".join(map(words, lines(pane)))


def colours(pane: PicturePane) -> np.ndarray:
    """What half blocks show, (2 rows, columns, 3); -1 where there is no picture."""
    width, height = pane.size
    shown = np.full((2 * height, width, 3), -1)
    for y, line in enumerate(lines(pane)[: height - 1]):
        x = 0
        for segment in line:
            style = segment.style
            for character in segment.text:
                if character in "▀▄" and style is not None:
                    first = 2 * y + (character == "▄")
                    shown[first, x] = style.color.triplet
                    if character == "▀" and style.bgcolor not in (None, background(pane)):
                        shown[2 * y + 1, x] = style.bgcolor.triplet
                elif style is not None and style.bgcolor not in (None, background(pane)):
                    shown[2 * y : 2 * y + 2, x] = style.bgcolor.triplet
                x += 1
    return shown


def background(pane: PicturePane) -> object:
    return pane.background_colors[1].rich_color


def rounded(image: Image.Image) -> np.ndarray:
    """The colours that half blocks can show."""
    pixels = np.asarray(image).astype(int)
    return pixels & 0xFC | pixels >> 6


def shot(width: int, height: int, seed: int = 0) -> DecodedPicture:
    return from_image(photo(width, height, seed))


@pytest.fixture(autouse=True)
def _nothing_over_the_picture(monkeypatch, request):
    """Without the frame that says where one is, but where it is asked for."""
    if "overview" not in request.node.name:
        monkeypatch.setattr("dgsforensics.tui.overview.framed", lambda image, *_: image)


# Geometry


@given(sides, sides, rooms, st.one_of(st.none(), st.sampled_from(STEPS)), places, places)
def test_a_frame_lies_in_the_picture_and_in_the_room(width, height, room, scale, x, y):
    shown = frame(View(scale, x, y), (width, height), room)
    left, top, right, bottom = shown.box
    assert 0 <= left < right <= 1 + 1e-9
    assert 0 <= top < bottom <= 1 + 1e-9
    assert shown.width >= 1
    assert shown.height >= 1
    assert 0 <= shown.left <= room[0] - shown.width
    assert 0 <= shown.top <= room[1] - shown.height
    # One display pixel off at most, but where a line is too thin to be seen otherwise.
    assert shown.width == pytest.approx(max(1, (right - left) * width * shown.scale), abs=0.51)
    assert shown.height == pytest.approx(max(1, (bottom - top) * height * shown.scale), abs=0.51)
    if scale is None:
        assert shown.box == pytest.approx((0, 0, 1, 1))


@given(sides, sides, rooms)
def test_stepping_in_ends_at_eight_and_out_at_the_whole(width, height, room):
    size, view, seen = (width, height), View(), []
    for _ in range(30):
        view = zoomed(view, size, room, 1)
        seen.append(frame(view, size, room).scale)
    assert seen == sorted(seen)
    assert seen[-1] == 8
    assert 1.0 in seen or fitting(size, room) == 1.0
    for _ in range(30):
        view = zoomed(view, size, room, -1)
    assert view == View()
    assert zoomed(View(), size, room, 30) == zoomed(View(), size, room, 1000)


@given(sides, sides, rooms, st.lists(st.tuples(st.integers(-500, 500), st.integers(-500, 500))))
def test_panning_is_stopped_at_the_edges_and_comes_back_at_once(width, height, room, moves):
    size = (width, height)
    view = scaled(View(), size, room, 4.0)
    for dx, dy in moves:
        view = panned(view, size, room, dx, dy)
    far = panned(view, size, room, 1e9, 1e9)
    box = frame(far, size, room).box
    assert box[2:] == pytest.approx((1, 1))
    back = panned(far, size, room, -4, -4)  # one pixel of the picture
    moved = frame(back, size, room).box
    for side in (0, 1):
        if room[side] < 4 * size[side] - 8:
            assert moved[side] < box[side]


@given(st.integers(300, 5000), st.integers(300, 5000), st.floats(0.3, 0.7), st.floats(0.3, 0.7))
def test_what_is_under_the_pointer_stays_there(width, height, x, y):
    size, room = (width, height), (100, 100)
    at = (100 * x, 100 * y)

    def under(view):
        shown = frame(view, size, room)
        left, top, right, bottom = shown.box
        return (
            (left + (right - left) * (at[0] - shown.left) / shown.width) * width,
            (top + (bottom - top) * (at[1] - shown.top) / shown.height) * height,
        )

    view = zoomed(View(), size, room, 4)
    closer = zoomed(view, size, room, 1, at)
    assert under(closer) == pytest.approx(under(view), abs=1.5)


def test_a_reduced_picture_is_placed_by_its_own_size(monkeypatch):
    monkeypatch.setattr("dgsforensics.tui.decoding.MAX_PIXELS", 20_000)
    image = Image.new("RGB", (400, 200), "white")
    image.paste("black", (200, 0, 400, 200))
    shown = frame(View(1.0, 0.5, 0.5), (400, 200), (100, 100))
    part = np.asarray(cut(from_image(image), shown))
    assert part.shape == (100, 100, 3)
    assert (part[:, :45] == 255).all()
    assert (part[:, 55:] == 0).all()


def test_smaller_copies_show_the_same():
    image = photo(2400, 1800)
    whole = frame(View(), image.size, (160, 120))
    plain = np.asarray(cut(DecodedPicture(image, image.size), whole)).astype(int)
    quick = np.asarray(cut(from_image(image), whole)).astype(int)
    assert from_image(image).smaller
    assert np.abs(plain - quick).mean() < 3
    with pytest.raises(ValueError, match="no picture"):
        cut(DecodedPicture(None, (0, 0), "broken"), whole)


# Half blocks


def test_a_picture_is_fitted_in_the_middle():
    async def steps(pane, pilot):
        picture = shot(400, 200)
        pane.show(picture, "a.png")
        assert pane.scale == 0.2
        assert pane.visible_box == (0, 0, 1, 1)
        shown = colours(pane)
        rows, columns = np.nonzero(shown[..., 0] >= 0)
        assert (rows.min(), rows.max(), columns.min(), columns.max()) == (3, 42, 0, 79)
        expected = cut(picture, frame(View(), (400, 200), (80, 46)))
        assert np.abs(shown[3:43] - rounded(expected)).mean() < 4
        assert "a.png · fit 20% · 400x200" in lines(pane)[-1].text

    drive(steps)


def test_a_small_picture_is_not_enlarged_until_asked():
    async def steps(pane, pilot):
        picture = shot(10, 6)
        pane.show(picture, "a.png")
        assert pane.scale == 1
        assert (colours(pane)[..., 0] >= 0).sum() == 60
        pane.zoom(1)
        assert (colours(pane)[..., 0] >= 0).sum() == 240
        pane.zoom(5)
        assert pane.scale == 8
        twice = np.repeat(np.repeat(rounded(picture.image), 8, axis=0), 8, axis=1)
        seen = colours(pane)[:46, :80]
        assert np.array_equal(seen[: len(twice)], twice[1:47])  # 48 rows do not fit in 46

    drive(steps)


def test_one_to_one_shows_every_pixel_as_it_is():
    async def steps(pane, pilot):
        picture = shot(301, 203)
        pane.show(picture, "a.png")
        pane.actual()
        assert pane.scale == 1
        left, top, right, bottom = pane.visible_box
        corner = (left * 301, top * 203, right * 301, bottom * 203)
        assert corner == pytest.approx([round(place) for place in corner])
        crop = picture.image.crop([round(place) for place in corner])
        assert np.array_equal(colours(pane)[:46], rounded(crop))
        pane.pan(3, 2)
        moved = picture.image.crop([round(p) for p in np.add(corner, (3, 4, 3, 4))])
        assert np.array_equal(colours(pane)[:46], rounded(moved))
        pane.fit()
        assert pane.visible_box == (0, 0, 1, 1)

    drive(steps)


def test_panning_stops_at_the_edge():
    async def steps(pane, pilot):
        pane.show(shot(300, 200), "a.png")
        pane.pan(5, 5)  # nothing to see there
        assert pane.visible_box == (0, 0, 1, 1)
        pane.actual()
        pane.pan(-10_000, 10_000)
        assert pane.visible_box == pytest.approx((0, 1 - 46 / 200, 80 / 300, 1))
        pane.pan(1, -1)
        assert pane.visible_box[:2] == pytest.approx((1 / 300, 1 - 48 / 200))

    drive(steps)


def test_another_picture_starts_fitted_and_alone():
    async def steps(pane, pilot):
        pane.show(shot(300, 200), "a.png")
        pane.beside(shot(300, 200), "b.png")
        pane.heat([(LEFT_HALF, 1.0)])
        pane.zoom(2)
        other = shot(200, 300, 5)
        pane.show(other, "c.png")
        assert pane.visible_box == (0, 0, 1, 1)
        assert "b.png" not in text(pane)
        expected = rounded(cut(other, frame(View(), (200, 300), (80, 46))))
        shown = colours(pane)
        found = shown[shown[..., 0] >= 0]
        assert np.abs(found - expected.reshape(-1, 3)).mean() < 4

    drive(steps)


@pytest.mark.parametrize("size", [(1, 1), (1, 10_000), (10_000, 1), (3, 2)])
@pytest.mark.parametrize("renderer", [HALVES, BLOCKS, SEXTANTS, TEXT])
def test_odd_pictures(size, renderer):
    async def steps(pane, pilot):
        pane.show(from_image(Image.new("RGB", size, "orange")), "odd.png")
        for _ in range(20):
            pane.zoom(1)
            pane.pan(7, -3)
            assert len(lines(pane)) == 24
        assert pane.scale == 8
        for act in (pane.fit, pane.actual, lambda: pane.beside(shot(9, 9), "b")):
            act()
            assert all(line.cell_length == 80 for line in lines(pane))
        if renderer is HALVES:
            assert (255, 165 & 0xFC | 165 >> 6, 0) in {
                tuple(c) for c in colours(pane).reshape(-1, 3)
            }

    drive(steps, renderer=renderer)


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (1, 40), (40, 1), (3, 3), (10, 2), (200, 60)])
@pytest.mark.parametrize("renderer", [HALVES, BLOCKS, SEXTANTS, TEXT])
def test_odd_panes(size, renderer):
    async def steps(pane, pilot):
        for picture, name in [(None, ""), (None, "x"), (shot(90, 70), "a"), (broken(), "b")]:
            pane.show(picture, name)
            pane.heat([(LEFT_HALF, 0.5), (RIGHT_HALF, -1.0)])
            pane.zoom(2)
            pane.pan(1, 1)
            pane.beside(shot(9, 50), "c")
            assert len(lines(pane)) == size[1]
            assert all(cell_len(line.text) == size[0] for line in lines(pane))

    drive(steps, size, renderer)


def test_a_pane_that_is_resized_fits_again_or_keeps_its_scale():
    async def steps(pane, pilot):
        pane.show(shot(400, 200), "a.png")
        await pilot.resize_terminal(40, 24)
        await pilot.pause()
        assert pane.scale == 0.1
        assert all(line.cell_length == 40 for line in lines(pane))
        pane.actual()
        pane.pan(1000, 1000)
        await pilot.resize_terminal(120, 50)
        await pilot.pause()
        assert pane.scale == 1
        assert pane.visible_box == pytest.approx((1 - 120 / 400, 1 - 98 / 200, 1, 1))
        assert len(lines(pane)) == 50

    drive(steps)


def test_drawing_is_done_once_for_a_view(monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "dgsforensics.tui.viewport.cut", lambda *a, cut=cut: drawn.append(1) or cut(*a)
    )

    async def steps(pane, pilot):
        pane.show(shot(300, 200), "a.png")
        lines(pane)
        lines(pane)
        await pilot.pause()
        assert len(drawn) == 1
        pane.zoom(1)
        await pilot.pause()
        lines(pane)
        assert len(drawn) == 2

    drive(steps)


# Without a picture


def broken() -> DecodedPicture:
    return DecodedPicture(None, (0, 0), "truncated: image file\x1b[31m ends early")


def test_what_is_said_in_place_of_a_picture():
    async def steps(pane, pilot):
        assert "no picture selected" in text(pane)
        pane.show(None, "holiday\x07.jpg")
        assert "loading holiday\\x07.jpg …" in text(pane)
        pane.show(broken(), "bad.jpg")
        assert "bad.jpg" in text(pane)
        assert "cannot be read: truncated: image file\\x1b[31m ends early" in text(pane)
        for act in (lambda: pane.zoom(1), pane.fit, pane.actual, lambda: pane.pan(1, 1)):
            act()
        assert pane.scale is None
        assert pane.visible_box is None
        pane.show(shot(30, 20), "文" * 60 + ".png")
        assert words(lines(pane)[-1]).endswith("文.png · fit 100% · 30x20")

    drive(steps)


def test_a_narrow_caption_keeps_the_name_and_the_scale_or_what_the_map_means():
    async def steps(pane, pilot):
        pane.show(shot(300, 200), "IMG_20240501_1234.jpg")
        assert words(lines(pane)[-1]) == "IMG_202…234.jpg · fit 8%"
        pane.heat([(LEFT_HALF, 1.0)])
        assert words(lines(pane)[-1]) == "red AI, blue real · I…pg"

    drive(steps, (24, 24))


# Where one is


def test_an_overview_says_where_one_is():
    size = (1000, 500)
    view = scaled(View(), size, (200, 100), 1.0)
    for fine in ((1, 1), (8, 4)):
        seen = {}
        for name, dx in (("left", -1e9), ("right", 1e9)):
            shown = frame(panned(view, size, (200, 100), dx, 0), size, (200, 100))
            plain = Image.new("RGB", (200 * fine[0], 100 * fine[1]), (128, 128, 128))
            pixels = np.asarray(framed(plain, shown, size))
            rows, columns = np.nonzero((pixels != 128).any(axis=2))
            assert (rows.max() + 1, columns.max() + 1) == (100 * fine[1], 200 * fine[0])
            box = pixels[rows.min() :, columns.min() :, 0]
            assert box.shape == (22 * fine[1], 44 * fine[0])  # of the picture's shape
            seen[name] = np.nonzero(box[box.shape[0] // 2] == 255)[0].mean() / box.shape[1]
        assert seen["left"] < 0.4 and seen["right"] > 0.6


def test_an_overview_is_left_away_where_all_is_seen_or_there_is_no_room():
    image = photo(40, 30)
    whole = frame(View(), (400, 300), (40, 30))
    assert framed(image, whole, (400, 300)) is image
    part = frame(scaled(View(), (400, 300), (12, 10), 1.0), (400, 300), (12, 10))
    small = image.crop((0, 0, 12, 10))
    assert framed(small, part, (400, 300)) is small


def test_an_overview_is_on_the_screen_at_one_to_one():
    async def steps(pane, pilot):
        pane.show(shot(400, 400), "a.png")
        fitted = colours(pane)[40:46, 76:80]
        assert not (fitted == 255).all(axis=2).any()
        pane.actual()
        pane.pan(-1000, -1000)
        # White are the frame and, in its upper left corner, what can be seen.
        assert (colours(pane)[45, 62:80] == 255).all()

    drive(steps)


# Two pictures


def test_two_pictures_show_the_same_part_at_the_same_size():
    async def steps(pane, pilot):
        large, small = photo(800, 600), photo(800, 600).resize((200, 150), Image.Resampling.BOX)
        pane.show(from_image(large), "large.png")
        pane.beside(from_image(small), "small.png")
        for _ in range(4):
            shown = colours(pane)
            left, right = shown[:46, :39], shown[:46, 40:79]
            assert np.array_equal(left[..., 0] < 0, right[..., 0] < 0)
            assert np.abs(left - right).mean() < 12  # other pictures differ by 40 and more
            assert (shown[:, 39] == -1).all()
            pane.zoom(1)
            pane.pan(3, 2)
        assert "large.png" in lines(pane)[-1].text[:39]
        assert "small.png" in lines(pane)[-1].text[40:]
        pane.beside(None)
        assert "small.png" not in text(pane)
        assert (colours(pane)[:46] >= 0).all()

    drive(steps)


@pytest.mark.parametrize("first", [None, broken()])
def test_a_picture_beside_one_that_is_not_there(first):
    async def steps(pane, pilot):
        pane.show(first, "first.png")
        pane.beside(shot(30, 20), "second.png")
        pane.zoom(1)
        assert "first.png" in text(pane)
        assert (colours(pane)[..., 0] >= 0).sum() == 30 * 20
        pane.show(shot(30, 20), "a.png")
        pane.beside(None, "late.png")
        assert "loading late.png" in text(pane)

    drive(steps)


# The mouse


def test_the_wheel_zooms_at_the_pointer_and_a_drag_pans():
    async def steps(pane, pilot):
        pane.show(shot(1600, 920), "a.png")
        pane.actual()
        before = pane.visible_box
        await pilot._post_mouse_events([events().MouseScrollUp], pane, (0, 0))
        assert pane.scale == 2
        assert pane.visible_box[:2] == pytest.approx(before[:2], abs=0.002)
        await pilot._post_mouse_events([events().MouseScrollDown], pane, (0, 0))
        assert pane.scale == 1
        await pilot.mouse_down(pane, offset=(40, 10))
        await pilot.hover(pane, offset=(30, 5))
        assert pane.visible_box[0] - before[0] == pytest.approx(10 / 1600, abs=0.002)
        assert pane.visible_box[1] - before[1] == pytest.approx(10 / 920, abs=0.002)
        await pilot.mouse_up(pane, offset=(30, 5))
        held = pane.visible_box
        await pilot.hover(pane, offset=(50, 15))
        assert pane.visible_box == held

    drive(steps)


def events() -> ModuleType:
    from textual import events

    return events


# Heat


def test_heat_is_red_towards_generated_and_blue_towards_real():
    async def steps(pane, pilot):
        pane.show(from_image(Image.new("RGB", (80, 46), (128, 128, 128))), "a.png")
        plain = colours(pane)
        pane.heat([(LEFT_HALF, 1.0), (RIGHT_HALF, -1.0)])
        red, _, blue = np.moveaxis(colours(pane)[:46], -1, 0)
        assert (red[:, :40] > blue[:, :40] + 60).all()
        assert (blue[:, 40:] > red[:, 40:] + 60).all()
        assert "red AI, blue real, full: odds x10" in text(pane)
        pane.toggle_heat()
        assert np.array_equal(colours(pane), plain)
        assert "odds" not in text(pane)
        pane.toggle_heat()
        pane.heat([])
        assert np.array_equal(colours(pane), plain)
        pane.toggle_heat()
        pane.show(from_image(Image.new("RGB", (80, 46), (128, 128, 128))), "b.png")
        pane.heat([(LEFT_HALF, 1.0)])  # hidden for one picture is not hidden for the next
        assert not np.array_equal(colours(pane), plain)

    drive(steps)


def test_heat_follows_the_view():
    async def steps(pane, pilot):
        pane.show(from_image(Image.new("RGB", (800, 460), (128, 128, 128))), "a.png")
        pane.heat([(LEFT_HALF, 1.0)])
        pane.actual()
        pane.pan(-20, 0)
        red = colours(pane)[:46, :, 0]
        assert (red[:, :60] > 130).all()
        assert (red[:, 60:] < 131).all()
        pane.pan(10_000, 0)
        assert (colours(pane)[:46, :, 0] < 131).all()

    drive(steps)


def test_a_region_smaller_than_a_cell_can_be_seen_and_the_strongest_wins():
    shown = frame(View(), (4000, 4000), (40, 40))
    grey = Image.new("RGB", (40, 40), (128, 128, 128))
    spot = (0.5, 0.5, 0.501, 0.501)
    pixels = np.asarray(tinted(grey, shown, (1, 2), [(spot, 1.0), (spot, -0.2)])).astype(int)
    changed = (pixels != 128).any(axis=2)
    assert changed.sum() == 2
    assert (pixels[changed][:, 0] > 128).all()
    outside = frame(View(1.0, 0, 0), (4000, 4000), (40, 40))
    assert tinted(grey, outside, (1, 2), [(spot, 1.0)]).tobytes() == grey.tobytes()


@given(
    st.lists(
        st.tuples(
            st.tuples(*[st.floats(0, 1)] * 4).map(
                lambda b: (min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]), max(b[1], b[3]))
            ),
            st.floats(-1, 1),
        ),
        max_size=10,
    ),
    st.sampled_from([None, 0.25, 1.0, 8.0]),
    rooms,
)
def test_heat_never_leaves_the_picture(heat, scale, room):
    shown = frame(View(scale), (160, 90), room)
    image = Image.new("RGB", (shown.width, shown.height), "white")
    assert tinted(image, shown, (1, 2), heat).size == image.size
    for column, row in signs(shown, (1, 2), heat):
        assert shown.left <= column < shown.left + shown.width
        assert shown.top // 2 <= row <= (shown.top + shown.height - 1) // 2


def test_signs_outline_what_is_strong():
    shown = frame(View(), (40, 40), (40, 40))
    heat = [((0, 0, 0.25, 0.5), 1.0), ((0.75, 0.75, 1, 1), -0.5), ((0.5, 0, 0.6, 0.1), 0.0)]
    found = signs(shown, (1, 2), heat)
    assert found[0, 0] == found[9, 9] == "+"
    assert (4, 4) not in found
    assert found[30, 15] == "-"
    assert (20, 0) not in found


def test_weights_are_on_one_scale_for_all_images():
    changes = [(LEFT_HALF, 1.0), (RIGHT_HALF, -4.0)]
    first = pytest.approx(1 / math.log(10))
    assert on_scale(changes, 1.0) == [(LEFT_HALF, first), (RIGHT_HALF, -1)]
    # What is a small part of a sure logit is faint, however large the other changes are.
    [(_, alone), _] = on_scale([changes[0], (RIGHT_HALF, 0.0)], 1.0)
    assert alone == on_scale(changes, 1.0)[0][1]
    [(_, cooler), _] = on_scale(changes, 2.0)
    assert cooler == pytest.approx(alone / 2)


def test_regions_that_change_little_are_left_as_they_are():
    little = math.log(1.5) - 0.001
    heat = on_scale([(LEFT_HALF, little), (RIGHT_HALF, -little)], 1.0)
    assert not matters(heat) and not matters([])
    assert matters(on_scale([(LEFT_HALF, little + 0.002)], 1.0))

    async def steps(pane, pilot):
        pane.show(from_image(Image.new("RGB", (80, 46), (128, 128, 128))), "a.png")
        plain = colours(pane)
        pane.heat(heat)
        assert np.array_equal(colours(pane), plain)
        assert "no region matters" in text(pane)

    drive(steps)


def test_the_legend_of_a_map_is_there_however_narrow_the_pane():
    async def steps(pane, pilot):
        pane.show(shot(480, 320), "99.3% a rather long name of a picture.png")
        pane.heat([(LEFT_HALF, 1.0)])
        assert "red AI, blue real, full: odds x10" in text(pane)

    drive(steps, size=(35, 12))


# Without colour


def test_letters_show_brightness_and_signs_show_heat():
    async def steps(pane, pilot):
        ramp = np.tile(np.linspace(60, 90, 80).astype(np.uint8)[:, None], (46, 1, 3))
        pane.show(from_image(Image.fromarray(ramp)), "a.png")
        row = lines(pane)[5].text
        assert row[0] == " "
        assert row[-1] == "@"  # the contrast is stretched
        assert list(row) == sorted(row, key=" .:-=+*#%@".index)
        assert len({s.style.color for s in pane.render_line(5) if s.style}) == 1
        pane.heat([((0, 0, 0.25, 0.5), 1.0), (RIGHT_HALF, -0.9), ((0.3, 0.6, 0.4, 0.7), 0.01)])
        assert lines(pane)[0].text[:20] == "+" * 20
        assert lines(pane)[0].text[40:] == "-" * 40
        assert lines(pane)[5].text[1:19] == row[1:19]
        assert "+ AI, - real, from odds x1.5" in text(pane)
        first = next(iter(pane.render_line(0)))
        assert first.style is not None
        assert first.style.reverse  # or it would be a letter like others

    drive(steps, renderer=TEXT)


def test_letters_are_reversed_on_a_light_screen():
    async def steps(pane, pilot):
        ramp = np.tile(np.linspace(0, 255, 80).astype(np.uint8)[:, None], (46, 1, 3))
        pane.show(from_image(Image.fromarray(ramp)), "a.png")
        dark = lines(pane)[5].text
        pilot.app.theme = "textual-light"
        await pilot.pause()
        light = lines(pane)[5].text
        assert (dark[0], light[0]) == (" ", "@")
        assert (dark[-1], light[-1]) == ("@", " ")

    drive(steps, renderer=TEXT)


def test_a_flat_picture_is_not_stretched_to_noise():
    async def steps(pane, pilot):
        pixels = np.full((46, 80, 3), 200, np.uint8)
        pixels[::3] += 3
        pane.show(from_image(Image.fromarray(pixels)), "a.png")
        assert len(set("".join(line.text for line in lines(pane)[:-1]))) == 1

    drive(steps, renderer=TEXT)


def test_no_color_has_signs_in_half_blocks_too(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")

    async def steps(pane, pilot):
        pane.show(shot(80, 46), "a.png")
        pane.heat([(LEFT_HALF, 1.0)])
        assert lines(pane)[0].text[:40] == "+" * 40
        for line in lines(pane):
            for segment in line:
                colour = segment.style.color if segment.style else None
                assert colour is None or colour.triplet is None or len(set(colour.triplet)) == 1

    drive(steps)


# The terminal


@pytest.fixture
def terminal(monkeypatch):
    """A terminal with all colours, and a stand-in for the extra that knows what it can do."""
    for name in ("NO_COLOR", "TMUX", "STY", "TERM_PROGRAM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")
    for name in ("__stdin__", "__stdout__"):
        monkeypatch.setattr(sys, name, SimpleNamespace(isatty=lambda: True))
    renderable = SimpleNamespace(TGPImage=Tgp, SixelImage=Sixel, Image=object)
    widget = SimpleNamespace(get_cell_size=lambda: SimpleNamespace(width=9, height=18))
    package = SimpleNamespace(renderable=renderable, widget=widget)
    monkeypatch.setitem(sys.modules, "textual_image", package)
    monkeypatch.setitem(sys.modules, "textual_image.renderable", renderable)
    monkeypatch.setitem(sys.modules, "textual_image.widget", widget)
    return renderable


class Tgp:
    """Stands in for a picture by Kitty's protocol: digits in its place."""

    made: ClassVar[list[tuple[int, int]]] = []

    def __init__(self, image, width, height):
        Tgp.made.append(image.size)
        self.text = "\n".join(["1" * width] * height)

    def __rich_console__(self, console, options):
        from rich.segment import Segment

        yield Segment(self.text + "\n")


class Sixel(Tgp):
    """Stands in for sixels."""

    def __rich_console__(self, console, options):
        from rich.segment import ControlType, Segment

        yield Segment(" \n")
        yield Segment("\x1bPpicture\x1b\\", control=[(ControlType.CURSOR_FORWARD, 0)])


def test_pixels_where_the_terminal_has_them(terminal):
    assert choose() == BLOCKS
    terminal.Image = Tgp
    assert choose() == Renderer(Protocol.KITTY, (9, 18))
    terminal.Image = Sixel
    assert choose() == Renderer(Protocol.SIXEL, (9, 18))
    assert choose("kitty") == Renderer(Protocol.KITTY, (9, 18))
    assert choose("blocks") == BLOCKS
    assert choose("text") == TEXT


@pytest.mark.parametrize(
    ("answer", "best"),
    [
        ("kitty(0.35.2)", SEXTANTS),
        ("foot(1.16.2)", SEXTANTS),
        ("WezTerm 20240203-110809", SEXTANTS),
        ("VTE(7200)", SEXTANTS),
        ("VTE(5202)", BLOCKS),
        ("XTerm(390)", BLOCKS),
        ("Konsole 23.08.1", BLOCKS),
        ("", BLOCKS),
    ],
)
def test_sextants_where_the_terminal_draws_them_itself(terminal, answer, best):
    assert choose(answer=TerminalAnswer(answer)) == best
    assert choose("sextants") == SEXTANTS
    assert choose("halves") == HALVES


def test_it_is_said_how_pictures_are_drawn_and_why_not_better(terminal, monkeypatch):
    def said(colours="truecolor", **more):
        return choose(**more).described(colours)

    nothing = "this terminal has neither Kitty's nor sixel graphics"
    assert said() == f"quadrants and blocks in all colours; {nothing}"
    assert said("256").startswith("quadrants and blocks in 256 colours; ")
    assert said(wish="text") == "letters by brightness; asked for with --graphics"
    terminal.Image = Tgp
    assert said() == "real pixels (Kitty)"
    monkeypatch.setenv("TMUX", "/tmp/tmux-0")
    assert said().endswith("; real pixels do not pass tmux")
    monkeypatch.delenv("TMUX")
    monkeypatch.setitem(sys.modules, "textual_image", None)
    assert "need the extra images" in said()
    monkeypatch.setenv("NO_COLOR", "1")
    assert said(None).startswith("letters by brightness; no colours")


@pytest.mark.parametrize(
    ("name", "value"), [("TMUX", "/tmp/tmux-0"), ("STY", "1.tty"), ("TERM", "screen-256color")]
)
def test_blocks_inside_a_multiplexer_unless_asked(terminal, monkeypatch, name, value):
    terminal.Image = Sixel
    monkeypatch.setenv(name, value)
    assert choose() == BLOCKS
    assert choose("sixel").protocol is Protocol.SIXEL


@pytest.mark.parametrize(
    ("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb"), ("TERM", "linux")]
)
def test_text_where_there_is_no_colour_to_speak_of(terminal, monkeypatch, name, value):
    terminal.Image = Tgp
    monkeypatch.delenv("COLORTERM")
    monkeypatch.setenv(name, value)
    assert choose() == TEXT
    assert choose("blocks") == BLOCKS


@pytest.mark.parametrize("wish", ["auto", "kitty", "sixel"])
def test_the_extra_may_be_missing_or_fail(terminal, monkeypatch, wish):
    def fail():
        raise OSError("no answer")

    sys.modules["textual_image.widget"].get_cell_size = fail
    assert choose(wish) == BLOCKS
    monkeypatch.setitem(sys.modules, "textual_image", None)
    assert choose(wish) == BLOCKS


def test_a_pipe_is_not_asked(terminal, monkeypatch):
    terminal.Image = Tgp
    monkeypatch.setattr(sys, "__stdin__", None)
    assert choose() == BLOCKS


async def arrived(pane: PicturePane, pilot: Pilot[None]) -> None:
    await pilot.app.workers.wait_for_complete()
    await pilot.pause()


def test_kitty_gets_as_many_pixels_as_the_pane_has(terminal):
    async def steps(pane, pilot):
        await pilot.pause()
        Tgp.made = []
        pane.show(shot(4000, 2000), "a.png")
        assert "1" not in lines(pane)[0].text
        await arrived(pane, pilot)
        assert lines(pane)[0].text == "1" * 80
        assert "fit 18% · 4000x2000" in lines(pane)[-1].text
        assert Tgp.made == [(720, 23 * 18)]
        pane.show(shot(40, 20), "b.png")
        assert "1" not in lines(pane)[0].text  # never another picture's pixels
        await arrived(pane, pilot)
        assert lines(pane)[22].text == "1" * 80

    drive(steps, renderer=Renderer(Protocol.KITTY, (9, 18)))


def test_sixels_are_drawn_over_the_pane_and_not_under_a_dialogue(terminal):
    async def steps(pane, pilot):
        await pilot.pause()
        pane.show(shot(400, 200), "a.png")
        pane.beside(shot(400, 200), "b.png")
        await arrived(pane, pilot)
        last = lines(pane)[-1]
        assert [segment.text for segment in last if segment.control] == [
            "\x1b[1;1H",
            "\x1bPpicture\x1b\\",
            "\x1b[24;81H",
            "\x1b[1;41H",
            "\x1bPpicture\x1b\\",
            "\x1b[24;81H",
        ]
        assert last.cell_length == 80
        from textual.screen import ModalScreen

        await pilot.app.push_screen(ModalScreen())
        assert "\x1bP" not in text(pane)

    drive(steps, renderer=Renderer(Protocol.SIXEL, (9, 18)))


def test_only_the_last_of_many_views_is_drawn(terminal, monkeypatch):
    free, begun = threading.Event(), threading.Event()
    draw = graphics.placeholders
    calls = []

    def slow(canvas, cells, console):
        calls.append(canvas)
        begun.set()
        assert free.wait(60)
        return draw(canvas, cells, console)

    monkeypatch.setattr(graphics, "placeholders", slow)

    async def steps(pane, pilot):
        await pilot.pause()
        pane.show(shot(4000, 2000), "a.png")
        await asyncio.to_thread(begun.wait, 60)
        for _ in range(10):
            pane.zoom(1)
        free.set()
        await arrived(pane, pilot)
        await arrived(pane, pilot)
        assert len(calls) == 2
        shown = viewport.frame(View(8.0), (4000, 2000), (720, 23 * 18))
        expected = cut(shot(4000, 2000), shown)
        assert calls[1].tobytes() == expected.tobytes()

    drive(steps, renderer=Renderer(Protocol.KITTY, (9, 18)))


def test_blocks_when_pixels_cannot_be_made(terminal, monkeypatch):
    def fail(*arguments):
        raise ValueError("too large")

    monkeypatch.setattr(graphics, "placeholders", fail)

    async def steps(pane, pilot):
        await pilot.pause()
        pane.show(shot(80, 46), "a.png")
        await arrived(pane, pilot)
        assert (colours(pane)[:46] >= 0).all()

    drive(steps, renderer=Renderer(Protocol.KITTY, (9, 18)))


def test_the_extra_makes_of_a_picture_what_is_needed(monkeypatch):
    renderable = pytest.importorskip("textual_image.renderable")
    terminal = io.StringIO()
    monkeypatch.setattr(sys, "__stdout__", terminal)
    console = Host().console
    picture = photo(100, 60)
    rows = graphics.placeholders(picture, (10, 3), console)
    assert [row.cell_length for row in rows] == [10, 10, 10]
    assert all(cell_len(row.text) == 10 for row in rows)
    assert terminal.getvalue().startswith("\x1b_G")
    sequence = graphics.sixels(picture, (10, 3), console)
    assert sequence.startswith("\x1bP")
    assert sequence.endswith("\x1b\\")
    assert renderable.Image is not None
