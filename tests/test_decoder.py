import contextlib
import gc
import hashlib
import os
import random
import socket
import struct
import subprocess
import sys
import threading
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from conftest import BROKEN, encode, gallery_bytes, photo, png_claiming
from dgsforensics.errors import ConfigError, ImageError, UnreadableError, UnsupportedError
from dgsforensics.files import content, kinds
from dgsforensics.files.content import Limits
from dgsforensics.pictures import decoder, frames, rgb
from dgsforensics.pictures.decoder import Picture

# Under pytest the filter that `images` sets is not in force; it has a test in a fresh process.
pytestmark = pytest.mark.filterwarnings(r"ignore:::PIL\.")

SOUND = [name for name in gallery_bytes() if name not in BROKEN]


def close(left: np.ndarray, right: np.ndarray, mean: float) -> bool:
    return float(np.abs(left.astype(int) - right.astype(int)).mean()) <= mean


@pytest.mark.parametrize("name", SOUND)
def test_every_sound_file_gives_pixels_and_facts(name: str, gallery: dict[str, Path]) -> None:
    data = gallery_bytes()[name]
    picture = decoder.load(gallery[name])
    height, width, channels = picture.pixels.shape
    assert channels == 3
    assert picture.pixels.dtype == np.uint8
    assert picture.pixels.flags.c_contiguous
    assert not picture.pixels.flags.writeable
    assert (picture.facts.width, picture.facts.height) == (width, height)
    assert picture.facts.sha256 == hashlib.sha256(data).hexdigest()
    assert picture.facts.size == len(data)
    assert picture.facts.frames == (3 if Path(name).stem in ("animated", "stereo", "pages") else 1)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("wrong.png", "JPEG"),
        ("nosuffix", "JPEG"),
        ("stereo.mpo", "MPO"),
        ("still.avif", "AVIF"),
        ("lossy.webp", "WEBP"),
        ("rgb.tiff", "TIFF"),
        ("plain.bmp", "BMP"),
        ("animated.gif", "GIF"),
        ("animated.png", "PNG"),
    ],
)
def test_kind_comes_from_the_bytes(name: str, kind: str) -> None:
    assert decoder.decode(gallery_bytes()[name]).facts.format == kind


@pytest.mark.parametrize("name", ["rgb.png", "rgb.tiff", "lzw.tif", "plain.bmp", "animated.png"])
def test_lossless_pixels_are_exact(name: str) -> None:
    assert np.array_equal(decoder.decode(gallery_bytes()[name]).pixels, np.asarray(photo()))


def test_first_frame_is_scored_and_noted() -> None:
    for name in ("animated.gif", "animated.webp", "animated.png", "pages.tif", "stereo.mpo"):
        picture = decoder.decode(gallery_bytes()[name])
        assert picture.note == "first of 3 frames"
        assert close(picture.pixels, np.asarray(photo()), 12), name


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(orientation: int) -> None:
    stored = np.zeros((40, 64, 3), np.uint8)
    stored[:20, :32] = 255  # white in the top left corner
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(stored)
    expected = {
        1: stored,
        2: stored[:, ::-1],
        3: stored[::-1, ::-1],
        4: stored[::-1],
        5: stored.transpose(1, 0, 2),
        6: np.rot90(stored, -1),
        7: stored[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(stored, 1),
    }[orientation]
    for kind in ("PNG", "TIFF"):
        picture = decoder.decode(encode(image, kind, exif=exif))
        assert np.array_equal(picture.pixels, expected), kind
        assert (picture.facts.height, picture.facts.width) == expected.shape[:2]
    for kind in ("JPEG", "WEBP", "AVIF"):
        assert close(decoder.decode(encode(image, kind, exif=exif)).pixels, expected, 4), kind


def test_damaged_exif_is_noted_and_does_not_fail() -> None:
    data = encode(photo(), "JPEG", exif=b"Exif\x00\x00not a TIFF header at all")
    picture = decoder.decode(data)
    assert picture.pixels.shape == (64, 96, 3)
    assert picture.note == "damaged EXIF, not turned upright"


def test_cmyk_as_plain_conversion() -> None:
    flat = Image.new("CMYK", (32, 32), (0, 128, 255, 64))
    expected = np.array(flat.convert("RGB").getpixel((0, 0)))
    assert expected[0] > expected[1] > expected[2]
    tiff = decoder.decode(encode(flat, "TIFF")).pixels
    assert (tiff == expected).all()
    jpeg = decoder.decode(encode(flat, "JPEG", quality=100)).pixels
    assert close(jpeg, np.broadcast_to(expected, jpeg.shape), 2)


def test_sixteen_bits_keep_the_high_byte() -> None:
    ramp = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    expected = np.repeat((ramp >> 8).astype(np.uint8)[..., None], 3, axis=2)
    for kind in ("PNG", "TIFF"):
        assert np.array_equal(decoder.decode(encode(Image.fromarray(ramp), kind)).pixels, expected)
    big_endian = Image.frombytes("I;16B", (256, 256), ramp.astype(">u2").tobytes())
    assert np.array_equal(decoder.from_pil(big_endian).pixels, expected)


def sixteen_bit_png(colours: np.ndarray, transparent: tuple[int, int, int] | None) -> bytes:
    """An RGB PNG of 16 bits, (H, W, 3) uint16, which Pillow cannot write."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    height, width, _ = colours.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in colours)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)),
            chunk(b"tRNS", struct.pack(">HHH", *transparent)) if transparent else b"",
            chunk(b"IDAT", zlib.compress(rows)),
            chunk(b"IEND", b""),
        ]
    )


def test_sixteen_bit_colour_keeps_the_high_byte_too() -> None:
    colours = np.random.default_rng(0).integers(0, 65536, (8, 9, 3), dtype=np.uint16)
    for transparent in (None, (1, 2, 3)):
        picture = decoder.decode(sixteen_bit_png(colours, transparent))
        assert np.array_equal(picture.pixels, (colours >> 8).astype(np.uint8))


def test_wide_values_are_clipped_and_noted() -> None:
    wide = Image.fromarray(np.array([[-5, 0, 256, 65535, 2**30]], np.int32))
    picture = decoder.from_pil(wide)
    assert picture.pixels[0, :, 0].tolist() == [0, 0, 1, 255, 255]
    assert picture.note == "32-bit values clipped to 0..65535"
    real = Image.fromarray(np.array([[-1, 0, 0.5, 1, 7, np.nan]], np.float32))
    picture = decoder.decode(encode(real, "TIFF"))
    assert picture.pixels[0, :, 1].tolist() == [0, 0, 128, 255, 255, 0]
    assert picture.note == "floating-point values clipped to 0..1"


def tiff(tags: list[tuple[int, int, int]], pixels: bytes = b"", more: bytes = b"") -> bytes:
    """A little-endian TIFF: (tag, type, value) each inline, then what they point to."""
    strip = 8 + 2 + 12 * (len(tags) + 2) + 4
    tags = sorted([*tags, (273, 4, strip), (279, 4, len(pixels))])
    body = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + body + bytes(4) + pixels + more


def test_twelve_bit_grey_uses_the_whole_range() -> None:
    packed = bytes([0xFF, 0xF8, 0x00, 0x00, 0x0F, 0xFF])  # 4095, 2048, 0, 4095
    tags = [(256, 3, 4), (257, 3, 1), (258, 3, 12), (259, 3, 1), (262, 3, 1), (277, 3, 1)]
    picture = decoder.decode(tiff([*tags, (278, 3, 1)], packed))
    assert picture.pixels[0, :, 0].tolist() == [255, 128, 0, 255]


def test_transparency_is_laid_over_white() -> None:
    image = Image.new("RGBA", (3, 1))
    for x, pixel in enumerate([(200, 0, 0, 255), (0, 0, 0, 51), (9, 9, 9, 0)]):
        image.putpixel((x, 0), pixel)
    for kind in ("PNG", "TIFF"):
        picture = decoder.decode(encode(image, kind))
        assert picture.pixels.tolist() == [[[200, 0, 0], [204, 204, 204], [255, 255, 255]]]
        assert picture.note == "transparency laid over white"


def test_opaque_alpha_is_no_matter() -> None:
    image = photo()
    image.putalpha(255)
    picture = decoder.decode(encode(image, "PNG"))
    assert picture.note is None
    assert np.array_equal(picture.pixels, np.asarray(photo()))


@pytest.mark.parametrize("mode", ["P", "L", "1", "RGB"])
def test_colour_key_transparency(mode: str) -> None:
    image = Image.new("RGB", (2, 1), "white")
    image.putpixel((0, 0), (0, 0, 0))
    image = image.quantize(2) if mode == "P" else image.convert(mode)
    key = (0, 0, 0) if mode == "RGB" else image.getpixel((0, 0))
    picture = decoder.decode(encode(image, "PNG", transparency=key))
    assert (picture.pixels == 255).all()
    assert picture.note == "transparency laid over white"


def test_from_pil_leaves_the_image_alone() -> None:
    image = photo().convert("LA")
    before = image.tobytes()
    picture = decoder.from_pil(image)
    assert image.mode == "LA"
    assert image.tobytes() == before
    assert picture.facts.sha256 is None
    assert (picture.facts.width, picture.facts.height) == (96, 64)
    assert np.array_equal(decoder.from_pil(photo()).pixels, np.asarray(photo()))


# Refusals


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("truncated.jpg", UnreadableError, "truncated: "),
        ("empty.jpg", UnreadableError, "empty file"),
        ("text.jpg", UnsupportedError, "not an image: looks like text"),
        ("bomb.png", UnreadableError, "60000x60000 pixels, more than the limit 250000000"),
    ],
)
def test_reasons(name: str, error: type[ImageError], words: str, gallery: dict[str, Path]) -> None:
    with pytest.raises(error) as caught:
        decoder.load(gallery[name])
    assert caught.value.message.startswith(words)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"%PDF-1.7 ...", "a PDF document"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "PostScript"),
        (b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom", "a video"),
        (b"\x1a\x45\xdf\xa3" + bytes(40), "Matroska"),
        (b"PK\x03\x04" + bytes(40), "ZIP"),
        (b"\xef\xbb\xbf  <svg xmlns='x'/>", "an SVG drawing"),
        (b"<?xml version='1.0'?><svg/>", "an SVG drawing"),
        (b"\x00\x00\x01\x00\x01\x00", "an icon"),
        (b"8BPS\x00\x01" + bytes(40), "Photoshop"),
        (b"\xff\x0a" + bytes(40), "JPEG XL is not read"),
        (b"\x00\x00\x00\x0cJXL \r\n\x87\n" + bytes(40), "JPEG XL is not read"),
        (b"\x00\x00\x00\x0cjP  \r\n\x87\n" + bytes(40), "JPEG 2000 is not read"),
        (b"BM is how this text begins, long enough", "text"),
        (bytes(range(256)), "unknown data"),
    ],
)
def test_what_is_not_read_is_named(data: bytes, words: str) -> None:
    with pytest.raises(UnsupportedError, match=words):
        decoder.decode(data)


@pytest.mark.parametrize("name", ["lossy.webp", "still.avif"])
@pytest.mark.parametrize("share", [0.3, 0.97])
def test_truncation_is_called_so(name: str, share: float) -> None:
    data = gallery_bytes()[name]
    with pytest.raises(UnreadableError, match=r"^truncated: "):
        decoder.decode(data[: int(len(data) * share)])


@pytest.mark.parametrize("name", ["animated.gif", "animated.png"])
def test_damage_after_the_first_frame_does_not_cost_it(name: str) -> None:
    data = gallery_bytes()[name]
    picture = decoder.decode(data[: int(len(data) * 0.9)])
    assert close(picture.pixels, np.asarray(photo()), 12)
    if name == "animated.gif":
        assert picture.note and "breaks off" in picture.note


def test_limits() -> None:
    data = gallery_bytes()["rgb.png"]
    assert decoder.decode(data, Limits(max_pixels=96 * 64)).pixels.shape == (64, 96, 3)
    with pytest.raises(UnreadableError, match="96x64 pixels, more than the limit 6143"):
        decoder.decode(data, Limits(max_pixels=96 * 64 - 1))
    for field in ("max_pixels", "max_bytes", "max_seconds"):
        with pytest.raises(ConfigError, match=field):
            Limits(**{field: 0})


def test_no_limit_of_the_host_program_applies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert decoder.decode(gallery_bytes()["plain.jpg"]).pixels.shape == (64, 96, 3)
    with pytest.raises(UnreadableError, match="MAX_IMAGE_PIXELS"):
        decoder.decode(gallery_bytes()["lossy.webp"])


@pytest.mark.parametrize("width", [0, 2**31 - 1])
def test_absurd_sizes(width: int) -> None:
    with pytest.raises(UnreadableError):
        decoder.decode(png_claiming(width, 8))
    tags = [(256, 4, width), (257, 4, 8), (258, 3, 8), (259, 3, 1), (262, 3, 1), (277, 3, 1)]
    with pytest.raises(UnreadableError):
        decoder.decode(tiff(tags, bytes(64)))


def test_memory_error_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhaust(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(rgb, "upright", exhaust)
    with pytest.raises(UnreadableError, match="not enough memory"):
        decoder.decode(gallery_bytes()["rgb.png"])


def test_endless_animations_are_counted_to_a_bound() -> None:
    gif = encode(Image.new("P", (1, 1)), "GIF")
    start = gif.index(b",")
    frame, end = gif[start:-1], gif[-1:]
    picture = decoder.decode(gif[:start] + frame * 5000 + end)
    assert picture.facts.frames == frames.MAX_FRAMES
    assert picture.note == "first of 1000 or more frames"
    page = struct.pack("<HHHIII", 1, 256, 4, 1, 1, 0)
    base = gallery_bytes()["rgb.tiff"]
    (first,) = struct.unpack_from("<I", base, 4)
    (count,) = struct.unpack_from("<H", base, first)
    link = first + 2 + 12 * count
    chain = bytearray(base)
    chain[link : link + 4] = struct.pack("<I", len(base))
    for index in range(3000):
        chain += page[:-4] + struct.pack("<I", len(base) + 18 * (index + 1))
    assert decoder.decode(bytes(chain)).facts.frames == frames.MAX_FRAMES
    chain[link : link + 4] = struct.pack("<I", first)  # a circle
    assert decoder.decode(bytes(chain)).facts.frames == 1


def test_broken_mpo_table_still_gives_the_first_picture() -> None:
    data = gallery_bytes()["stereo.mpo"]
    at = data.index(b"MPF\0") + 4
    broken = data[:at] + b"II*\0" + struct.pack("<IH", 8, 9999) + data[at + 10 :]
    picture = decoder.decode(broken)
    assert close(picture.pixels, np.asarray(photo()), 12)


# Extras


@pytest.mark.parametrize(
    ("module", "data", "extra"),
    [
        ("pillow_heif", b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(80), "heic"),
        ("pillow_heif", b"\x00\x00\x00\x18ftypmif1\x00\x00\x00\x00mif1heix" + bytes(80), "heic"),
        ("rawpy", b"\x00\x00\x00\x18ftypcrx \x00\x00\x00\x01crx isom" + bytes(80), "raw"),
        ("rawpy", b"FUJIFILMCCD-RAW 0201" + bytes(80), "raw"),
        ("rawpy", b"II*\x00\x10\x00\x00\x00CR\x02\x00" + bytes(80), "raw"),
    ],
)
def test_missing_extra_is_named(
    module: str, data: bytes, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UnsupportedError, match=f"needs the extra '{extra}'") as caught:
        decoder.decode(data)
    assert caught.value.hint == f"pip install 'dgsforensics[{extra}]'"


def test_heic() -> None:
    heif = pytest.importorskip("pillow_heif")
    buffer = BytesIO()
    heif.from_pillow(photo()).save(buffer, quality=90)
    picture = decoder.decode(buffer.getvalue())
    assert picture.facts.format == "HEIC"
    assert close(picture.pixels, np.asarray(photo()), 8)
    with pytest.raises(UnreadableError, match=r"^truncated: "):
        decoder.decode(buffer.getvalue()[:-200])


def dng() -> bytes:
    """A small uncompressed DNG: flat grey under a Bayer filter."""
    width, height = 64, 48
    pixels = np.full((height, width), 20000, "<u2").tobytes()
    tags = [
        (254, 4, 0),
        (256, 4, width),
        (257, 4, height),
        (258, 3, 16),
        (259, 3, 1),
        (262, 3, 32803),
        (277, 3, 1),
        (278, 4, height),
        (33421, 3, 0x00020002),
        (33422, 1, 0x02010100),
        (50706, 1, 0x00000401),
        (50717, 4, 65535),
    ]
    data = bytearray(tiff(tags, pixels))
    for place in range(10, 10 + 12 * 14, 12):  # these hold more than one value each
        tag, _, _ = struct.unpack_from("<HHI", data, place)
        count = {33421: 2, 33422: 4, 50706: 4}.get(tag, 1)
        struct.pack_into("<I", data, place + 4, count)
    return bytes(data)


def test_raw_is_told_from_tiff() -> None:
    assert kinds.sniff(dng()) == "DNG"
    assert kinds.sniff(tiff([(262, 3, 32803)])) == "RAW"
    assert kinds.sniff(gallery_bytes()["rgb.tiff"]) == "TIFF"
    assert kinds.sniff(b"II*\0\xff\xff\xff\xff") == "TIFF"
    for big in (b"II+\0\x08\0\0\0" + b"\xff" * 8, b"MM\0+\0\x08\0\0" + bytes(8)):
        assert kinds.sniff(big) == "TIFF"


def test_raw() -> None:
    pytest.importorskip("rawpy")
    picture = decoder.decode(dng())
    assert picture.facts.format == "DNG"
    assert picture.pixels.shape == (48, 64, 3)
    assert picture.note == "developed from RAW"
    one_channel = dng().replace(
        struct.pack("<HHII", 262, 3, 1, 32803), struct.pack("<HHII", 262, 3, 1, 34892)
    )
    assert decoder.decode(one_channel).pixels.shape == (48, 64, 3)
    with pytest.raises(UnreadableError, match="pixels, more than the limit"):
        decoder.decode(dng(), Limits(max_pixels=100))
    with pytest.raises(ImageError):
        decoder.decode(b"FUJIFILMCCD-RAW 0201" + bytes(3000))


# The file system


def test_read_refuses_with_reasons(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match=r"^no such file"):
        content.read(tmp_path / "gone.jpg")
    with pytest.raises(UnsupportedError, match=r"not a regular file \(folder\)"):
        content.read(tmp_path)
    with pytest.raises(UnreadableError, match="not a valid path"):
        content.read(Path("a\0b"))
    (tmp_path / "big").write_bytes(bytes(101))
    with pytest.raises(UnreadableError, match="101 bytes, more than the limit of 100"):
        content.read(tmp_path / "big", Limits(max_bytes=100))
    assert len(content.read(tmp_path / "big", Limits(max_bytes=101))) == 101
    with pytest.raises(UnreadableError, match="file name too long"):
        content.read(tmp_path / ("x" * 300))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_pipes_and_sockets_do_not_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = tmp_path / "pipe.jpg"
    os.mkfifo(pipe)
    monkeypatch.chdir(tmp_path)  # socket paths must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.jpg")
        outcomes: list[str] = []

        def attempt() -> None:
            for path in (pipe, Path("socket.jpg"), Path("/dev/null")):
                try:
                    decoder.load(path)
                except UnsupportedError as error:
                    outcomes.append(error.message)

        thread = threading.Thread(target=attempt, daemon=True)
        thread.start()
        thread.join(10)
    assert outcomes == [
        "not a regular file (named pipe)",
        "not a regular file (socket)",
        "not a regular file (character device)",
    ]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_slipped_in_after_the_check_does_not_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = tmp_path / "pipe.jpg"
    os.mkfifo(pipe)
    file = tmp_path / "file"
    file.touch()
    regular = os.stat(file)
    monkeypatch.setattr(content.os, "stat", lambda path: regular)
    with pytest.raises(UnsupportedError, match="named pipe"):
        content.read(pipe)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path: Path) -> None:
    path = tmp_path / "secret.jpg"
    path.write_bytes(b"x")
    path.chmod(0)
    with pytest.raises(UnreadableError, match="permission denied"):
        content.read(path)


def test_refusal_by_the_system_is_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    path = tmp_path / "secret.jpg"
    path.write_bytes(b"x")
    monkeypatch.setattr(content.os, "open", refuse)
    with pytest.raises(UnreadableError, match="permission denied"):
        content.read(path)


def test_a_file_that_grows_while_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "growing.jpg"
    path.write_bytes(b"x" * 10)
    before = os.stat(path)
    path.write_bytes(b"x" * 20)
    monkeypatch.setattr(content.os, "fstat", lambda _: before)
    with pytest.raises(UnreadableError, match="changed while it was read"):
        content.read(path)


def test_names_that_are_not_utf8(gallery: dict[str, Path]) -> None:
    if "not_utf8" not in gallery:
        pytest.skip("the file system takes UTF-8 names only")
    assert decoder.load(gallery["not_utf8"]).facts.format == "JPEG"


# Being a good guest


def test_nothing_is_left_open(gallery: dict[str, Path]) -> None:
    gc.collect()  # what earlier tests dropped warns and closes now, not in between
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        for path in gallery.values():
            try:
                decoder.load(path)
            except ImageError:
                content.read_head(path)
        still_open = descriptors_of({path.parent for path in gallery.values()})
        gc.collect()
    assert [str(w.message) for w in caught if w.category is ResourceWarning] == []
    assert still_open == []


def descriptors_of(folders: set[Path]) -> list[str]:
    """Files in these folders that this process holds open, where the system tells."""
    descriptors = Path("/proc/self/fd")
    if not descriptors.exists():
        return []
    names = [os.fsencode(folder) for folder in folders]
    found = []
    for entry in descriptors.iterdir():
        with contextlib.suppress(OSError):  # closed since it was listed
            target = os.fsencode(os.readlink(entry))
            if any(target.startswith(name + b"/") for name in names):
                found.append(os.fsdecode(target))
    return found


def test_threads_agree_with_one_another(gallery: dict[str, Path]) -> None:
    expected = {name: decoder.load(gallery[name]).pixels.tobytes() for name in SOUND}

    def outcome(name: str) -> bytes | str:
        try:
            return decoder.load(gallery[name]).pixels.tobytes()
        except ImageError as error:
            return error.message

    names = [*gallery_bytes()] * 6
    with ThreadPoolExecutor(8) as pool:
        for name, found in zip(names, pool.map(outcome, names), strict=True):
            assert found == expected[name] if name in expected else isinstance(found, str)


def test_a_plain_interpreter_stays_silent_and_light(tmp_path: Path) -> None:
    """Damage that makes Pillow warn reaches the row only; nothing heavy or global is touched."""
    malformed = gallery_bytes()["animated.png"].replace(b"acTL\0\0\0\x03", b"acTL\0\0\0\0")
    tags = [(256, 3, 4), (257, 3, 1), (258, 3, 8), (259, 3, 1), (262, 3, 1), (700, 2, 2**31)]
    for name, data in (
        ("large.png", png_claiming(10_000, 10_000)),
        ("apng.png", malformed),
        ("tags.tif", tiff(tags, b"1234")[:-2]),
        ("mpo.jpg", gallery_bytes()["stereo.mpo"].replace(b"MPF\0MM", b"MPF\0XX")),
    ):
        (tmp_path / name).write_bytes(data)
    script = """
import sys, warnings
from pathlib import Path
from PIL import Image, ImageFile
before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
from dgsforensics.errors import ImageError
from dgsforensics.pictures import decoder
assert not {"torch", "pillow_heif", "rawpy"} & set(sys.modules)
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        decoder.load(path)
    except ImageError:
        pass
assert (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES) == before
warnings.warn("the host's own", RuntimeWarning)
"""
    run = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(decoder.__file__).parents[1],
    )
    assert run.returncode == 0, run.stderr
    assert "the host's own" in run.stderr
    assert "PIL" not in run.stderr


# Hostile bytes


def outcome_is_clean(data: bytes) -> None:
    facts = decoder.facts_of(data)
    assert facts.size == len(data)
    try:
        picture = decoder.decode(data, Limits(max_pixels=1_000_000), facts)
    except ImageError as error:
        assert error.message
        assert "\n" not in error.message
        assert len(error.message) < 300
    else:
        assert isinstance(picture, Picture)
        assert picture.pixels.shape[2] == 3


@pytest.mark.parametrize("name", [name for name in SOUND if name != "progressive.jpg"])
def test_flipped_and_cut_bytes_end_as_picture_or_reason(name: str) -> None:
    source = gallery_bytes()[name]
    dice = random.Random(name)
    for _ in range(25):
        data = bytearray(source)
        for _ in range(dice.choice([1, 3, 20])):
            # Most of what decoders trust stands near the start.
            reach = dice.choice([64, 512, len(data)])
            data[dice.randrange(min(reach, len(data)))] = dice.randrange(256)
        if dice.random() < 0.3:
            del data[dice.randrange(len(data)) :]
        outcome_is_clean(bytes(data))


@given(st.binary(max_size=300), st.sampled_from(sorted(gallery_bytes())))
@settings(max_examples=80, deadline=None)
def test_any_bytes_behind_any_signature(tail: bytes, name: str) -> None:
    outcome_is_clean(tail)
    outcome_is_clean(gallery_bytes()[name][:16] + tail)


def test_a_line_of_pixels_counts_as_what_it_is_mirrored_up_to() -> None:
    thin = encode(Image.new("RGB", (20_000, 1)), "PNG")
    with pytest.raises(UnreadableError, match="more than the limit"):
        decoder.decode(thin, Limits(max_pixels=100_000))
    assert decoder.decode(thin, Limits(max_pixels=640_000)).pixels.shape == (1, 20_000, 3)
