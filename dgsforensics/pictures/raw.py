"""Undeveloped sensor data, developed by LibRaw with the white balance of the camera."""

from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from dgsforensics.errors import UnsupportedError
from dgsforensics.files.content import Limits
from dgsforensics.pictures.opening import check_size, damage_is_unreadable, missing_extra


def develop(data: bytes, kind: str | None, limits: Limits) -> NDArray[np.uint8]:
    """Return the pixels (H, W, 3); raises `ImageError`."""
    try:
        import rawpy
    except ImportError as error:
        raise missing_extra(f"RAW ({kind})", "raw") from error
    with damage_is_unreadable(kind, data):
        try:
            with rawpy.imread(BytesIO(data)) as raw:
                check_size(raw.sizes.raw_width, raw.sizes.raw_height, limits)
                pixels: NDArray[np.uint8] = raw.postprocess(use_camera_wb=True, output_bps=8)
        except rawpy.LibRawFileUnsupportedError as error:
            raise UnsupportedError(f"RAW ({kind}) that LibRaw does not know") from error
    if pixels.shape[2] == 1:  # a sensor without colours
        pixels = np.repeat(pixels, 3, axis=2)
    return np.ascontiguousarray(pixels[:, :, :3])
