"""The one decoder that may touch the bytes of a file, and what it means when it fails.

Classes are called directly and not through `Image.open`, which tries one decoder after the other
and refuses sizes by a limit that belongs to the host program.
"""

import logging
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from dgsforensics.errors import ImageError, UnreadableError, UnsupportedError
from dgsforensics.files.content import Limits
from dgsforensics.files.kinds import HEAD, UNREAD_KINDS, describe, ends_early
from dgsforensics.pictures.patches import PATCH

Opener = Callable[[BytesIO], ImageFile.ImageFile]

_log = logging.getLogger(__name__)

# Pillow reports small damage, and sizes that are checked here, as warnings on stderr. Python can
# silence them for one thread only from 3.14 on, so there is one filter for the whole process: for
# warnings from the decoders alone, and appended, so that what the host program asked for wins.
warnings.filterwarnings("ignore", module=r"(PIL|pillow_heif)\.", append=True)


def opener_of(kind: str | None, data: bytes) -> Opener:
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
            raise missing_extra("HEIC", "heic") from error
        plugin: Opener = HeifImageFile
        return plugin
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


def missing_extra(what: str, extra: str) -> UnsupportedError:
    """Return what to say where a package is not installed."""
    return UnsupportedError(
        f"{what} needs the extra '{extra}'", hint=f"pip install 'dgsforensics[{extra}]'"
    )


@contextmanager
def damage_is_unreadable(kind: str | None, data: bytes | None) -> Iterator[None]:
    """Turn what decoders raise into `UnreadableError`: over hostile bytes that is anything."""
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


def check_size(width: int, height: int, limits: Limits) -> None:
    """Raise `UnreadableError` for no pixels and for more than the limit."""
    if width < 1 or height < 1:
        raise UnreadableError(f"no pixels: {width}x{height}")
    # A shorter side is mirrored up to a patch: a line of pixels costs as much as 32 lines.
    if max(width, PATCH) * max(height, PATCH) > max(limits.max_pixels, PATCH**2):
        raise UnreadableError(f"{width}x{height} pixels, more than the limit {limits.max_pixels}")


_DECODERS: dict[str | None, Opener] = {
    "JPEG": _open_jpeg,
    "PNG": PngImagePlugin.PngImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "AVIF": AvifImagePlugin.AvifImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "GIF": GifImagePlugin.GifImageFile,
}
