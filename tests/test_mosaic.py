"""Pictures out of characters: of all characters the closest, in the colours that there are."""

import numpy as np
import pytest
from numpy.typing import NDArray

from conftest import photo
from dgsforensics.tui import palette
from dgsforensics.tui.mosaic import Mosaic, in_256_colours, in_full_colour
from dgsforensics.tui.symbols import ACROSS, BLOCK_ELEMENTS, HALVES, SEXTANTS, SymbolSet

SETS = [HALVES, BLOCK_ELEMENTS, SEXTANTS]
Pixels = NDArray[np.float64]


def pixels(
    symbols: SymbolSet, columns: int = 20, rows: int = 8, seed: int = 0
) -> NDArray[np.uint8]:
    return np.asarray(photo(columns * ACROSS, rows * symbols.down, seed))


def drawn(mosaic: Mosaic, symbols: SymbolSet, few: bool = False) -> Pixels:
    """What a terminal shows of it, pixel by pixel."""
    sides = []
    for numbers in (mosaic.front, mosaic.back):
        packed = np.stack([numbers >> 16, numbers >> 8 & 255, numbers & 255], axis=-1)
        sides.append(palette.RGB[numbers - palette.FIRST] if few else packed)
    masks = symbols.masks[mosaic.characters].reshape(*mosaic.front.shape, symbols.down, ACROSS, 1)
    cells = masks * sides[0][:, :, None, None] + (1 - masks) * sides[1][:, :, None, None]
    rows, columns = mosaic.front.shape
    return cells.transpose(0, 2, 1, 3, 4).reshape(rows * symbols.down, columns * ACROSS, 3)


def off(one: Pixels, other: NDArray[np.uint8]) -> float:
    return float(np.sqrt(((one - other) ** 2).mean()))


@pytest.mark.parametrize("symbols", SETS)
def test_no_character_is_the_negative_of_another(symbols: SymbolSet) -> None:
    seen = {tuple(np.rint(mask * 12).astype(int)) for mask in symbols.masks}
    negatives = {tuple(np.rint((1 - mask) * 12).astype(int)) for mask in symbols.masks}
    assert len(seen) == len(symbols.characters) == len(set(symbols.characters))
    assert not (seen & negatives) - {tuple(12 - np.array(mask)) for mask in seen & negatives}
    assert all(0 < mask.sum() < mask.size for mask in symbols.masks)
    assert symbols.masks.shape[1] == symbols.down * ACROSS


def test_sextants_are_those_of_unicode() -> None:
    import unicodedata

    for character, mask in zip(SEXTANTS.characters, SEXTANTS.masks, strict=True):
        name = unicodedata.name(character)
        if not name.startswith("BLOCK SEXTANT-"):
            continue
        fields = mask.reshape(3, SEXTANTS.down // 3, 2, ACROSS // 2).mean(axis=(1, 3)).ravel()
        assert [str(i) for i, field in enumerate(fields, 1) if field] == list(name[14:])


@pytest.mark.parametrize("symbols", SETS)
def test_what_a_character_can_show_is_shown_as_it_is(symbols: SymbolSet) -> None:
    for place, mask in enumerate(symbols.masks):
        if set(np.unique(mask)) != {0, 1}:
            continue  # an eighth, by twelfths
        cell = np.where(mask[:, None] > 0, [255, 0, 0], [0, 0, 255]).astype(np.uint8)
        cell = cell.reshape(symbols.down, ACROSS, 3)
        found = in_full_colour(cell, symbols)
        assert np.array_equal(drawn(found, symbols), cell), symbols.characters[place]


@pytest.mark.parametrize("symbols", SETS)
def test_no_other_character_is_closer(symbols: SymbolSet) -> None:
    picture = pixels(symbols, 6, 4)
    found = in_full_colour(picture, symbols)
    exact = np.array_equal(symbols.masks, symbols.masks.round())
    for row, column in np.ndindex(found.front.shape):
        down = slice(row * symbols.down, (row + 1) * symbols.down)
        across = slice(column * ACROSS, (column + 1) * ACROSS)
        cell = palette.opponent(picture[down, across].astype(np.float32)).reshape(-1, 3)
        losses = []
        for mask in symbols.masks[:, :, None]:
            front = (cell * mask).sum(axis=0) / mask.sum()
            back = (cell * (1 - mask)).sum(axis=0) / (1 - mask).sum()
            losses.append(((cell - mask * front - (1 - mask) * back) ** 2).sum())
        lost = losses[found.characters[row, column]]
        assert lost <= min(losses) * (1.001 if exact else 1.2) + 1


def test_more_characters_show_more() -> None:
    for few, draw in ((False, in_full_colour), (True, in_256_colours)):
        distances = [
            off(drawn(draw(pixels(s, 40, 15), s), s, few), pixels(s, 40, 15)) for s in SETS
        ]
        assert distances[0] > distances[1]
        assert distances[2] < distances[1] * 1.02


@pytest.mark.parametrize("symbols", SETS)
def test_256_colours_are_those_that_all_terminals_have(symbols: SymbolSet) -> None:
    found = in_256_colours(pixels(symbols), symbols)
    for numbers in (found.front, found.back):
        assert numbers.min() >= 16 and numbers.max() <= 255


def test_an_area_between_two_colours_is_mixed_of_both() -> None:
    meant = np.array([115, 155, 195])  # 20 off those that are there
    flat = np.broadcast_to(meant, (20 * HALVES.down, 40 * ACROSS, 3)).astype(np.uint8)
    shown = drawn(in_256_colours(flat, HALVES), HALVES, few=True)
    alone = palette.RGB[palette.nearest(palette.opponent(flat[0, 0].astype(np.float32)))]
    assert len(np.unique(shown.reshape(-1, 3), axis=0)) > 1
    assert np.abs(shown.mean(axis=(0, 1)) - meant).sum() < np.abs(alone - meant).sum() / 1.5


def test_the_nearest_colour_is_found() -> None:
    grid = np.arange(4, 256, 8, np.float32)
    colours = palette.opponent(np.stack(np.meshgrid(grid, grid, grid), axis=-1)[::5, ::5, ::5])
    distances = ((colours[..., None, :] - palette.COLOURS) ** 2).sum(axis=-1)
    assert np.array_equal(palette.nearest(colours), distances.argmin(axis=-1))
    assert np.allclose(palette.to_rgb(palette.COLOURS), palette.RGB, atol=0.01)
