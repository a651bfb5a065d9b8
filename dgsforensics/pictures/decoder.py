"""The pixels in the bytes of one image file; or an `ImageError` that says why not.

Nothing a file claims is trusted: its kind comes from its bytes, never from its suffix, only the
decoders named here are ever started, sizes are checked before memory is asked for, and whatever a
decoder stumbles over ends as one `UnreadableError`. All functions may be called from any thread.

Scores depend on how pixels become 8-bit RGB, so the rules are fixed:

* The first frame counts (in HEIC the one marked as primary), turned upright as EXIF says.
* 16 bits per channel: the high byte. 12-bit grey is first shifted up to 16.
* 32-bit integers are clipped to 0..65535 and then treated as 16 bits; floating point is clipped to
  0..1, black to white. Both are noted, for files do not say what white is.
* Transparency is laid over white, as a viewer would show it: what hides under it is not judged.
* CMYK, YCbCr and LAB go through Pillow's plain conversion; embedded colour profiles are ignored.
* RAW is developed by LibRaw with the white balance of the camera.

JPEG XL, JPEG 2000, Photoshop, icons and vector drawings are known by name but not read.
"""

import hashlib
import logging
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from dgsforensics.errors import ImageError, UnreadableError, UnsupportedError
from dgsforensics.files.content import DEFAULT_LIMITS, Limits, read
from dgsforensics.files.kinds import (
    HEAD,
    RAW_KINDS,
    UNREAD_KINDS,
    describe,
    ends_early,
    gif_frames,
    sniff,
    tiff_directories,
)
from dgsforensics.pictures.patches import PATCH
from dgsforensics.records import FileFacts

MAX_FRAMES = 1000
"""Frames counted in one file; an animation without end costs no more than this."""

_log = logging.getLogger(__name__)

# Pillow reports small damage, and sizes that are checked here, as warnings on stderr. Python can
# silence them for one thread only from 3.14 on, so there is one filter for the whole process: for
# warnings from the decoders alone, and appended, so that what the host program asked for wins.
warnings.filterwarnings("ignore", module=r"(PIL|pillow_heif)\.", append=True)


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """The pixels that are scored."""

    pixels: NDArray[np.uint8]
    """(H, W, 3) RGB, upright, contiguous, read-only."""
    facts: FileFacts
    note: str | None
    """What the pixels leave out or assume, e.g. "first of 12 frames"."""


def load(path: Path, limits: Limits = DEFAULT_LIMITS) -> Picture:
    """Read and decode one file; raises `ImageError`."""
    return decode(read(path, limits), limits)


def facts_of(data: bytes) -> FileFacts:
    """Return the digest, size and kind of a whole file, whether or not it can be decoded."""
    return FileFacts(hashlib.sha256(data).hexdigest(), len(data), sniff(data))


def decode(data: bytes, limits: Limits = DEFAULT_LIMITS, facts: FileFacts | None = None) -> Picture:
    """Return the pixels in the bytes of one file.

    `facts` as from `facts_of` spares hashing the bytes again. Raises `UnsupportedError` for what
    is no picture, is not read, or needs an extra; `UnreadableError` for damage and limits.
    """
    facts = facts or facts_of(data)
    if not data:
        raise UnreadableError("empty file")
    if facts.format in RAW_KINDS:
        return _develop(data, limits, facts)
    opener = _opener(facts.format, data)
    with _damage_is_unreadable(facts.format, data), opener(BytesIO(data)) as image:
        _check_size(*image.size, limits)
        image.load()
        pixels, notes = _upright_rgb(image)
        kind = image.format if facts.format == "JPEG" else facts.format
        frames = _count_frames(image, facts.format, data, notes)
    return _picture(pixels, replace(facts, format=kind, frames=frames), notes)


def from_pil(image: Image.Image) -> Picture:
    """Return the pixels of an image already in memory, by the same rules; it is not modified."""
    with _damage_is_unreadable(image.format, None):
        image.load()
        pixels, notes = _upright_rgb(image)
    return _picture(pixels, FileFacts(format=image.format), notes)


def _opener(kind: str | None, data: bytes) -> Callable[[BytesIO], ImageFile.ImageFile]:
    """Return the one decoder that may touch the bytes.

    Classes are called directly and not through `Image.open`, which tries one decoder after the
    other and refuses sizes by a limit that belongs to the host program.
    """
    if kind in _DECODERS:
        return _DECODERS[kind]
    if kind == "HEIC":
        try:
            from pillow_heif import HeifImageFile
        except ImportError as error:
            raise _missing("HEIC", "heic") from error
        heif: Callable[[BytesIO], ImageFile.ImageFile] = HeifImageFile
        return heif
    if kind in UNREAD_KINDS:
        raise UnsupportedError(f"{UNREAD_KINDS[kind]} is not read")
    raise UnsupportedError(f"not an image: looks like {describe(data[:HEAD])}")


def _open_jpeg(file: BytesIO) -> ImageFile.ImageFile:
    try:
        return JpegImagePlugin.jpeg_factory(file)
    except Exception:
        # A broken table of the further pictures in an MPO must not cost the first one.
        _log.debug("not readable as MPO, trying as JPEG", exc_info=True)
        file.seek(0)
        return JpegImagePlugin.JpegImageFile(file)


def _develop(data: bytes, limits: Limits, facts: FileFacts) -> Picture:
    try:
        import rawpy
    except ImportError as error:
        raise _missing(f"RAW ({facts.format})", "raw") from error
    with _damage_is_unreadable(facts.format, data):
        try:
            with rawpy.imread(BytesIO(data)) as raw:
                _check_size(raw.sizes.raw_width, raw.sizes.raw_height, limits)
                pixels = raw.postprocess(use_camera_wb=True, output_bps=8)
        except rawpy.LibRawFileUnsupportedError as error:
            raise UnsupportedError(f"RAW ({facts.format}) that LibRaw does not know") from error
    if pixels.shape[2] == 1:  # a sensor without colours
        pixels = np.repeat(pixels, 3, axis=2)
    pixels = np.ascontiguousarray(pixels[:, :, :3])
    return _picture(pixels, replace(facts, frames=1), ["developed from RAW"])


def _missing(what: str, extra: str) -> UnsupportedError:
    return UnsupportedError(
        f"{what} needs the extra '{extra}'", hint=f"pip install 'dgsforensics[{extra}]'"
    )


@contextmanager
def _damage_is_unreadable(kind: str | None, data: bytes | None) -> Iterator[None]:
    """Yield decoders meet hostile bytes with every kind of exception; all of them mean the same."""
    try:
        yield
    except ImageError:
        raise
    except Image.DecompressionBombError as error:  # only where Pillow's own limit is lower
        raise UnreadableError("more pixels than PIL.Image.MAX_IMAGE_PIXELS allows") from error
    except MemoryError as error:
        raise UnreadableError("not enough memory to decode it") from error
    except Exception as error:
        _log.debug("decoding failed", exc_info=True)
        words = " ".join("".join(c if c.isprintable() else " " for c in str(error)).split())[:160]
        words = words or type(error).__name__
        short = isinstance(error.__cause__ or error, EOFError | struct.error)
        if short or "truncated" in words.lower() or (data and ends_early(kind, data)):
            raise UnreadableError(f"truncated: {words}") from error
        raise UnreadableError(f"damaged {kind}: {words}") from error


def _check_size(width: int, height: int, limits: Limits) -> None:
    if width < 1 or height < 1:
        raise UnreadableError(f"no pixels: {width}x{height}")
    # A shorter side is mirrored up to a patch: a line of pixels costs as much as 32 lines.
    if max(width, PATCH) * max(height, PATCH) > max(limits.max_pixels, PATCH**2):
        raise UnreadableError(f"{width}x{height} pixels, more than the limit {limits.max_pixels}")


def _picture(pixels: NDArray[np.uint8], facts: FileFacts, notes: list[str]) -> Picture:
    pixels.setflags(write=False)
    height, width, _ = pixels.shape
    return Picture(pixels, replace(facts, width=width, height=height), "; ".join(notes) or None)


def _upright_rgb(image: Image.Image) -> tuple[NDArray[np.uint8], list[str]]:
    """Return pixels (H, W, 3) of a loaded image, and what there is to say about them."""
    notes: list[str] = []
    rgb = _rgb(image, notes)
    try:
        if exif := image.info.get("exif"):
            Image.Exif().load(exif)  # afresh, for `getexif` is silent on damage it met before
        turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:
        _log.debug("damaged EXIF", exc_info=True)
        notes.append("damaged EXIF, not turned upright")
        turn = None
    if turn is not None:
        rgb = rgb.transpose(turn)
    return _array(rgb), notes


def _array(rgb: Image.Image) -> NDArray[np.uint8]:
    """Return what `np.asarray` would, in strips that fit the processor's cache: a third of its time
    at 12 MP.
    """
    pixels = np.empty((rgb.height, rgb.width, 3), np.uint8)
    rows = max(1, (1 << 18) // rgb.width)
    for top in range(0, rgb.height, rows):
        bottom = min(top + rows, rgb.height)
        pixels[top:bottom] = np.asarray(rgb.crop((0, top, rgb.width, bottom)))
    return pixels


def _rgb(image: Image.Image, notes: list[str]) -> Image.Image:
    grey: NDArray[np.uint8]
    if image.mode.startswith("I;16"):
        values = np.asarray(image)
        is_12_bit = getattr(image, "tag_v2", {}).get(ExifTags.Base.BitsPerSample) == (12,)
        grey = (values >> (4 if is_12_bit else 8)).astype(np.uint8)
    elif image.mode == "I":
        grey = (np.clip(np.asarray(image), 0, 65535) >> 8).astype(np.uint8)
        notes.append("32-bit values clipped to 0..65535")
    elif image.mode == "F":
        values = np.clip(np.nan_to_num(np.asarray(image)), 0, 1)
        grey = np.rint(values * 255).astype(np.uint8)
        notes.append("floating-point values clipped to 0..1")
    elif image.has_transparency_data:
        return _over_white(image, notes)
    else:
        return image if image.mode == "RGB" else image.convert("RGB")
    return Image.fromarray(grey).convert("RGB")


def _over_white(image: Image.Image, notes: list[str]) -> Image.Image:
    if image.mode == "La":
        image = image.convert("LA")
    image = image.convert("RGBA")
    alpha = image.getchannel("A")
    if alpha.getextrema() == (255, 255):
        return image.convert("RGB")
    notes.append("transparency laid over white")
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=alpha)
    return white


def _count_frames(
    image: ImageFile.ImageFile, kind: str | None, data: bytes, notes: list[str]
) -> int:
    """Return frames in the file, at most `MAX_FRAMES`; never an error, for the first one is
    fine."""
    frames = 0
    try:
        # Pillow would walk a whole GIF or TIFF, however many frames there are.
        if kind in ("GIF", "TIFF"):
            for _ in islice((gif_frames if kind == "GIF" else tiff_directories)(data), MAX_FRAMES):
                frames += 1
        else:
            frames = min(getattr(image, "n_frames", 1), MAX_FRAMES)
    except Exception:
        _log.debug("frames could not be counted", exc_info=True)
        notes.append("the file breaks off or is damaged after the first frame")
    frames = max(frames, 1)
    if frames > 1:
        more = " or more" if frames == MAX_FRAMES else ""
        notes.append(f"first of {frames}{more} frames")
    return frames


_DECODERS: dict[str | None, Callable[[BytesIO], ImageFile.ImageFile]] = {
    "JPEG": _open_jpeg,
    "PNG": PngImagePlugin.PngImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "AVIF": AvifImagePlugin.AvifImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "GIF": GifImagePlugin.GifImageFile,
}
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
