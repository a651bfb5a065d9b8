"""Damage beside the pixels costs nothing; damage in them is measured and said."""

import io
import random
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from conftest import encode, photo
from dgsforensics.detector.config import InputConfig
from dgsforensics.detector.preparation import MOST_MISSING, prepare
from dgsforensics.errors import UnreadableError, UnsupportedError
from dgsforensics.files import jpeg, png
from dgsforensics.pictures import decoder, jpeg_damage
from dgsforensics.pictures.decoder import Picture
from dgsforensics.pictures.remains import LEFT_OUT
from dgsforensics.provenance import claims

pytestmark = pytest.mark.filterwarnings(r"ignore:::PIL\.")

LARGE = photo(320, 240)


def chunk(kind: bytes, body: bytes, sum_off: int = 0) -> bytes:
    sum = zlib.crc32(kind + body) + sum_off & 0xFFFFFFFF
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", sum)


def with_chunk(data: bytes, more: bytes) -> bytes:
    """A PNG with more chunks behind its header."""
    return data[:33] + more + data[33:]


def with_text(size: int, times: int = 1, start: str = "") -> bytes:
    text = PngImagePlugin.PngInfo()
    for number in range(times):
        text.add_text(f"parameters{number or ''}", start + "x" * size, zip=True)
    return encode(LARGE, "PNG", pnginfo=text)


def exact(picture: Picture, rows: int) -> bool:
    """Whether the pixels are the upper rows of the large photograph."""
    return np.array_equal(picture.pixels, np.asarray(LARGE)[:rows])


# Beside the pixels


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(with_text(1_500_000), id="a long text"),
        pytest.param(with_text(1_000_000, times=70), id="much text in all"),
        *(
            pytest.param(with_chunk(encode(LARGE, "PNG"), more), id=name)
            for name, more in {
                "a wrong check sum": chunk(b"gAMA", struct.pack(">I", 45455), 1),
                "a short gamma": chunk(b"gAMA", b"\0"),
                "a huge profile": chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(2 << 20))),
                "an odd compression": chunk(b"zTXt", b"key\0\x07text"),
                "a length too long": struct.pack(">I", 1 << 20) + b"tEXt" + b"key\0value",
                "a length beyond all": b"\x7f\xff\xff\xff" + b"tEXt" + b"key\0value",
                "no name": struct.pack(">I", 3) + b"\0\1\2\3" + b"abc" + bytes(4),
            }.items()
        ),
    ],
)
def test_metadata_of_a_png_never_cost_its_pixels(data: bytes) -> None:
    picture = decoder.decode(data)
    assert exact(picture, 240)
    assert picture.note == LEFT_OUT
    assert picture.missing == 0


def test_a_text_left_out_is_still_read_for_claims() -> None:
    start = (
        "a lighthouse\nSteps: 30, Sampler: DPM++ 2M, CFG scale: 7, Seed: 1, Model: sd_xl_base_1.0\n"
    )
    found = claims.read(with_text(1_500_000, start=start), "PNG")
    assert any("sd_xl_base_1.0" in piece.value for piece in found)


def test_metadata_left_out_do_not_cost_orientation_or_profile() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(LARGE, "PNG", exif=exif)
    picture = decoder.decode(with_chunk(data, chunk(b"gAMA", bytes(4), 1)))
    assert np.array_equal(picture.pixels, np.rot90(np.asarray(LARGE), -1))
    assert picture.note == LEFT_OUT


def test_damaged_segments_of_a_jpeg_do_not_cost_it() -> None:
    data = encode(LARGE, "JPEG", quality=95)
    expected = decoder.decode(data).pixels
    for segment in (
        b"\xff\xe2\x00\x10ICC_PROFILE\0",  # shorter than its header
        b"\xff\xed\x00\x18Photoshop 3.0\x008BIM\x00",  # breaks off
        b"\xff\xfe\x00\x08abcdef" + b"junk between segments",
    ):
        picture = decoder.decode(data[:2] + segment + data[2:])
        assert np.array_equal(picture.pixels, expected)


def test_what_follows_the_end_is_no_damage() -> None:
    for kind in ("JPEG", "PNG", "WEBP"):
        picture = decoder.decode(encode(LARGE, kind) + random.Random(0).randbytes(5000))
        assert (picture.note, picture.missing) == (None, 0)


def test_webp_with_metadata_that_break_off() -> None:
    exif = Image.Exif()
    exif[0x010E] = "x" * 500
    data = encode(LARGE, "WEBP", exif=exif, quality=90)
    picture = decoder.decode(data[:-200])
    assert np.array_equal(picture.pixels, decoder.decode(data).pixels)
    assert picture.note is not None
    assert picture.note.startswith(LEFT_OUT)


@pytest.mark.parametrize("kind", [1, 3, 4])
@pytest.mark.parametrize("order", ["<", ">"])
def test_orientation_as_any_number(kind: int, order: str) -> None:
    value = {1: "B3x", 3: "H2x", 4: "I"}[kind]
    entry = struct.pack(order + "HHI", 0x0112, kind, 1) + struct.pack(order + value, 6)
    head = struct.pack(order + "2sHIH", b"II" if order == "<" else b"MM", 42, 8, 1)
    exif = b"Exif\0\0" + head + entry + bytes(4)
    data = encode(LARGE, "JPEG", exif=exif)
    assert decoder.decode(data).pixels.shape == (320, 240, 3)


# Pixels that are missing


@pytest.mark.parametrize("share", [0.3, 0.97])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG", "GIF"])
def test_the_rows_of_a_cut_file_are_kept_and_counted(kind: str, share: float) -> None:
    source = LARGE.quantize(64) if kind == "GIF" else LARGE
    options = {"JPEG": {"quality": 95}, "GIF": {"interlace": 0}}.get(kind, {})
    data = encode(source, kind, **options)
    picture = decoder.decode(data[: int(len(data) * share)])
    whole = decoder.decode(data).pixels
    rows = len(picture.pixels)
    assert 0 < rows < 240
    assert picture.missing == pytest.approx(1 - rows / 240)
    # The last rows of blocks share their colours with those below.
    same = rows - 16 if kind == "JPEG" else rows
    assert np.array_equal(picture.pixels[:same], whole[:same])
    assert (picture.facts.width, picture.facts.height) == (320, 240)
    assert picture.note is not None
    assert picture.note.startswith("damaged: ")


def test_strips_of_a_tiff_that_cannot_be_unpacked_are_missing() -> None:
    data = encode(LARGE, "TIFF", compression="tiff_adobe_deflate")
    with Image.open(io.BytesIO(data)) as image:
        starts = image.tag_v2[273]
    damaged = data[: starts[2]] + bytes(64) + data[starts[2] + 64 :]
    picture = decoder.decode(damaged)
    assert exact(picture, len(picture.pixels))
    assert picture.missing == pytest.approx(1 - len(picture.pixels) / 240)


def test_of_a_cut_bmp_the_lower_rows_are_kept() -> None:
    data = encode(LARGE, "BMP")
    picture = decoder.decode(data[: len(data) // 2])
    rows = len(picture.pixels)
    assert 100 < rows < 125
    assert np.array_equal(picture.pixels, np.asarray(LARGE)[-rows:])


def test_rows_are_cut_before_the_picture_is_turned() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(LARGE, "PNG", exif=exif)
    picture = decoder.decode(data[: len(data) // 2])
    rows = picture.pixels.shape[1]
    assert np.array_equal(picture.pixels, np.rot90(np.asarray(LARGE)[:rows], -1))
    assert (picture.facts.width, picture.facts.height) == (240, 320)


def test_a_wrong_check_sum_over_sound_rows_is_only_noted() -> None:
    data = encode(LARGE, "PNG")
    at = next(c for c in png.chunks(data) if c.kind == b"IDAT").end
    picture = decoder.decode(data[:at] + b"oops" + data[at + 4 :])
    assert exact(picture, 240)
    assert (picture.note, picture.missing) == ("a check sum of the pixels is wrong", 0)


def test_rows_behind_overwritten_bytes_do_not_count() -> None:
    data = encode(LARGE, "PNG", compress_level=0)
    at = len(data) // 2
    damaged = data[:at] + bytes(64) + data[at + 64 :]
    picture = decoder.decode(damaged)
    assert 0.5 < picture.missing < 1
    assert exact(picture, len(picture.pixels))


def test_a_wrong_sum_over_the_rows_is_noted() -> None:
    data = encode(LARGE, "PNG")
    rows = b"".join(data[c.start : c.end] for c in png.chunks(data) if c.kind == b"IDAT")
    wrong = chunk(b"IDAT", rows[:-4] + bytes(4))
    picture = decoder.decode(data[:33] + wrong + chunk(b"IEND", b""))
    assert (picture.note, picture.missing) == ("a check sum of the pixels is wrong", 0)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("colours", [0, 64])
def test_a_row_out_of_place_is_found_by_its_filter(colours: int, seed: int) -> None:
    """Where the file keeps all pixels in one chunk, and nothing fails to unpack."""
    source = LARGE.quantize(colours) if colours else LARGE
    data = encode(source, "PNG")
    rows = b"".join(data[c.start : c.end] for c in png.chunks(data) if c.kind == b"IDAT")
    half = len(rows) // 2
    wrong = rows[:half] + random.Random(seed).randbytes(64) + rows[half + 64 :]
    single = chunk(b"IDAT", rows)
    at = encode(source, "PNG").index(b"IDAT") - 4
    picture = decoder.decode(data[:at] + single[:8] + wrong + single[-4:] + chunk(b"IEND", b""))
    whole = np.asarray(source.convert("RGB"))
    assert 0.3 < picture.missing < 0.8
    assert np.array_equal(picture.pixels, whole[: len(picture.pixels)])


def interlaced(pixels: np.ndarray) -> bytes:
    """A PNG of grey pixels (H, W) in the seven passes of Adam7."""
    rows = b""
    for left, top, across, down in (
        *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2)),
        (0, 1, 1, 2),
    ):
        rows += b"".join(b"\0" + row.tobytes() for row in pixels[top::down, left::across])
    head = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 8, 0, 0, 0, 1)
    packed = zlib.compress(rows, 0)
    return b"".join(
        [png.SIGNATURE, chunk(b"IHDR", head), chunk(b"IDAT", packed), chunk(b"IEND", b"")]
    )


def test_an_interlaced_picture_stays_whole_and_coarse() -> None:
    pixels = np.asarray(LARGE.convert("L"))
    data = interlaced(pixels)
    assert np.array_equal(decoder.decode(data).pixels[..., 0], pixels)
    picture = decoder.decode(data[: len(data) * 3 // 4])
    assert picture.pixels.shape == (240, 320, 3)
    assert picture.missing == pytest.approx(0.25, abs=0.02)


# JPEG


def test_the_end_marker_is_not_the_picture() -> None:
    for progressive in (False, True):
        data = encode(LARGE, "JPEG", quality=95, progressive=progressive)
        picture = decoder.decode(data[:-2])
        assert np.array_equal(picture.pixels, decoder.decode(data).pixels)
        assert (picture.note, picture.missing) == ("the end marker is missing", 0)


def test_room_that_was_never_written_is_missing() -> None:
    data = encode(LARGE, "JPEG", quality=95)
    half = len(data) // 2
    picture = decoder.decode(data[:half] + bytes(len(data) - half))
    cut = decoder.decode(data[:half])
    assert np.array_equal(picture.pixels[:-16], cut.pixels[:-16])
    assert 0.3 < picture.missing == cut.missing < 0.7


@pytest.mark.parametrize("options", [{}, {"restart_marker_rows": 1}])
def test_a_hole_is_never_taken_for_pixels(options: dict[str, object]) -> None:
    data = encode(LARGE, "JPEG", quality=92, **options)
    half = len(data) // 2
    picture = decoder.decode(data[:half] + bytes(512) + data[half + 512 :])
    assert picture.missing > 0
    flat = encode(Image.new("RGB", (2000, 2000), "white"), "JPEG", optimize=True)
    assert bytes(256) in flat
    assert decoder.decode(flat).note is None


@pytest.mark.parametrize("kind", ["WEBP", "AVIF", "HEIF"])
def test_decoders_that_take_zeros_for_pixels_are_not_believed(kind: str) -> None:
    if kind == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    grain = Image.effect_noise((320, 240), 90).convert("RGB")
    data = encode(grain, kind, quality=90)
    half = len(data) // 2
    assert len(data) > 1 << 14
    picture = decoder.decode(data[:half] + bytes(len(data) - half))
    assert picture.missing == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}])
def test_overwritten_bytes_are_never_silent(seed: int, options: dict[str, object]) -> None:
    data = encode(LARGE, "JPEG", quality=95, **options)
    at = len(data) * 3 // 4
    damaged = data[:at] + random.Random(seed).randbytes(64) + data[at + 64 :]
    picture = decoder.decode(damaged)
    assert picture.missing > 0
    assert picture.note is not None
    assert picture.note.startswith("damaged: ")


def test_restart_markers_keep_damage_in_its_place() -> None:
    data = encode(LARGE, "JPEG", quality=95, restart_marker_rows=1)
    marks = [at for at in range(len(data) - 1) if data[at] == 0xFF and 0xD0 <= data[at + 1] <= 0xD7]
    start, end = marks[4] + 2, marks[5]
    picture = decoder.decode(data[: start + 20] + bytes(end - start - 20) + data[end:])
    assert picture.pixels.shape == (240, 320, 3)
    assert picture.missing == pytest.approx(1 / 15, abs=0.01)  # one row of blocks of 15
    assert jpeg_damage.damage(data) is None


def test_a_progressive_picture_is_missing_what_no_scan_gives_in_full() -> None:
    data = encode(LARGE, "JPEG", quality=95, progressive=True)
    scans = [s for s in jpeg.segments(data) if s.marker == jpeg.SOS]
    shares = [decoder.decode(data[: scan.stop]).missing for scan in scans[2::3]]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 0.9
    assert decoder.decode(data[: scans[-1].stop]).missing == 0


def test_a_file_that_ends_before_its_pixels_is_unreadable() -> None:
    for data in (encode(LARGE, "JPEG"), encode(LARGE, "PNG")):
        start = next(
            [s.end for s in jpeg.segments(data) if s.marker == jpeg.SOS]
            or [c.start for c in png.chunks(data) if c.kind == b"IDAT"]
            for _ in range(1)
        )[0]
        with pytest.raises(UnreadableError, match=r"^truncated"):
            decoder.decode(data[: start + 8])


def test_grey_and_cmyk_jpegs_are_looked_at_too() -> None:
    for mode in ("L", "CMYK"):
        data = encode(LARGE.convert(mode), "JPEG", quality=95)
        assert decoder.decode(data).note is None
        cut = decoder.decode(data[: len(data) // 2])
        assert 0.2 < cut.missing < 0.8


# The right picture


def test_a_thumbnail_before_its_picture_is_passed_over() -> None:
    small = LARGE.resize((80, 60))
    picture = decoder.decode(encode(small, "TIFF", pages=[LARGE]))
    assert exact(picture, 240)
    assert picture.note == "page 2 of 2: the first is its thumbnail"


def test_the_first_page_of_a_document_counts() -> None:
    for pages in ([LARGE.resize((400, 300))], [LARGE.resize((900, 200))], [photo(320, 240, 1)]):
        assert exact(decoder.decode(encode(LARGE, "TIFF", pages=pages)), 240)


def test_a_placeholder_outside_the_animation_is_passed_over() -> None:
    white = Image.new("RGB", LARGE.size, "white")
    pages = [LARGE, photo(320, 240, 1)]
    picture = decoder.decode(encode(white, "PNG", pages=pages, default_image=True))
    assert exact(picture, 240)
    assert picture.facts.frames == 3
    assert picture.note is not None
    assert picture.note.startswith("first of 2 frames of the animation")


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", 8 + len(body)) + kind + body


@pytest.mark.parametrize(
    ("coding", "words"), [(b"unci", "uncompressed HEIF"), (b"j2k1", "JPEG 2000"), (b"vvc1", "VVC")]
)
def test_codings_of_heif_that_are_not_read_are_named(coding: bytes, words: str) -> None:
    pytest.importorskip("pillow_heif")
    entry = box(b"infe", b"\x02\0\0\0" + struct.pack(">HH", 1, 0) + coding + b"\0")
    items = box(b"iinf", bytes(4) + struct.pack(">H", 1) + entry)
    meta = box(b"meta", bytes(4) + box(b"pitm", bytes(4) + b"\0\1") + items)
    with pytest.raises(UnsupportedError, match=words):
        decoder.decode(box(b"ftyp", b"mif1" + bytes(4) + b"mif1heic") + meta + bytes(50))


def test_what_is_mostly_missing_is_out_of_domain() -> None:
    data = encode(LARGE, "PNG")
    whole = prepare(decoder.decode(data), InputConfig())
    assert whole.missing is None
    cut = prepare(decoder.decode(data[: len(data) // 2]), InputConfig())
    assert cut.domain == "too much is missing"
    assert cut.missing is not None
    assert cut.missing > MOST_MISSING
    assert cut.note is not None
    assert cut.note.startswith("out of domain: too much is missing; damaged: ")
