"""How much of a JPEG that decodes is there.

A decoder goes on through damage: libjpeg warns, and Pillow keeps the warning to itself. So the
coded data are read once more, at an eighth of the size, by a decoder that tells.
"""

import simplejpeg

from dgsforensics.files import jpeg
from dgsforensics.pictures.coded_blocks import Extent, extent, has_hole

_END = b"\xff\xd9"


def damage(data: bytes) -> Extent | None:
    """Return how much of the first picture is there; None where all of it is."""
    bare, is_cut = jpeg.bare(data), not jpeg.has_end(data)
    if bare is None:
        return None
    if _complaint(bare) is not None or has_hole(bare):
        return extent(bare, is_cut) or _by_scans(bare, _sound_scans(bare))
    found = _by_scans(bare, jpeg.scans(bare)) if is_cut else None  # it may lack whole scans
    return found if found and found.missing else None


def _complaint(data: bytes) -> str | None:
    """What the decoder says of the coded data; None where they are sound or not for it."""
    try:
        _, _, space, _ = simplejpeg.decode_jpeg_header(data)
        simplejpeg.decode_jpeg(
            data,
            "CMYK" if space in ("CMYK", "YCCK") else "GRAY",
            fastdct=True,
            fastupsample=True,
            min_factor=8,
        )
    except ValueError as error:
        return str(error)
    return None


def _sound_scans(data: bytes) -> int:
    """How many scans at the start are sound, where not all are."""
    scans = [s for s in jpeg.segments(data) if s.marker == jpeg.SOS]
    sound, damaged = 0, len(scans)
    while damaged - sound > 1:  # the scans before the first damaged one are sound
        middle = (sound + damaged) // 2
        if _complaint(data[: scans[middle - 1].stop] + _END) is None:
            sound = middle
        else:
            damaged = middle
    return sound


def _by_scans(data: bytes, sound: int) -> Extent:
    """The share of coefficients that the first scans give in full; what a scan with damage gives
    does not count, for a progressive picture is then whole at a lower precision."""
    scans = [s for s in jpeg.segments(data) if s.marker == jpeg.SOS]
    weights = _weights(data)
    exact: dict[int, set[int]] = {part: set() for part in weights}
    for scan in scans[:sound]:
        _note_exact(data[scan.body : scan.end], exact)
    total = 64 * sum(weights.values())
    there = sum(weight * len(exact[part]) for part, weight in weights.items())
    return Extent(1 - there / total if total else 1.0, None)


def _weights(data: bytes) -> dict[int, int]:
    """Blocks of each component in a group."""
    frames = (s for s in jpeg.segments(data) if s.marker in jpeg.FRAMES)
    body = next((data[s.body : s.end] for s in frames), b"")
    return {
        body[at]: (body[at + 1] >> 4) * (body[at + 1] & 15) for at in range(6, len(body) - 2, 3)
    }


def _note_exact(head: bytes, exact: dict[int, set[int]]) -> None:
    """Add what a scan gives to the last bit: its components, and the first and last coefficient."""
    first, last, precision = head[-3:]
    for at in range(1, 1 + 2 * head[0], 2):
        places = exact.get(head[at])
        if places is not None and precision & 15 == 0:
            places |= {*range(first, min(last, 63) + 1)}
