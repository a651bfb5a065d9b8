"""Where in a picture one is: a small frame in the corner of what is shown, when that is not all."""

from PIL import Image, ImageDraw

from dgsforensics.tui.viewport import Frame

SHARE = 0.22
"""Of the longer side of what is shown."""
LEAST = 6
"""Display pixels of its shorter side, at the least; else it is left away."""
MOST = 64
WHOLE = 0.999


def framed(image: Image.Image, shown: Frame, size: tuple[int, int]) -> Image.Image:
    """Return the visible part of a picture (`viewport.cut`, as fine as it may be) of `size` pixels
    with the frame over its lower right corner, or as it is where all of it can be seen.
    """
    left, top, right, bottom = shown.box
    if (right - left) >= WHOLE and (bottom - top) >= WHOLE:
        return image
    across, down = image.width // shown.width, image.height // shown.height
    longest = min(MOST, SHARE * max(shown.width, shown.height))
    scale = longest / max(size)
    width, height = max(2, round(size[0] * scale)), max(2, round(size[1] * scale))
    if min(width, height) < LEAST or width >= shown.width or height >= shown.height:
        return image
    # To whole cells of two display pixels each way, where characters can draw its edges.
    width, height = width + width % 2, height + height % 2
    x = shown.width - width
    y = shown.height - height - (shown.top + shown.height) % 2
    drawn = image.copy()
    pen = ImageDraw.Draw(drawn)
    pen.rectangle(_pixels(x, y, x + width, y + height, across, down), fill="white")
    pen.rectangle(_pixels(x + 1, y + 1, x + width - 1, y + height - 1, across, down), fill="black")
    inner = (
        x + round(left * width),
        y + round(top * height),
        x + max(round(left * width) + 1, round(right * width)),
        y + max(round(top * height) + 1, round(bottom * height)),
    )
    pen.rectangle(_pixels(*inner, across, down), fill="white")
    return drawn


def _pixels(
    left: int, top: int, right: int, bottom: int, across: int, down: int
) -> tuple[int, int, int, int]:
    return left * across, top * down, right * across - 1, bottom * down - 1
