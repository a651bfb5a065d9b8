"""Generated pictures and a home of their own for all tests; no picture is ever committed."""

import io
import os
import struct
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

from dgsforensics.case.store import Case

# Read when huggingface_hub and torch are imported, which is before any fixture runs. Test processes
# share the cores; threads of torch that wait for each other make tiny models ten times slower.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")

# No test depends on how fast the machine is.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No network, and no reading or writing of the developer's own settings and cases."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    home = tmp_path_factory.mktemp("home")
    for name in ("CONFIG", "CACHE", "DATA", "STATE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(home / name.lower()))
    for name in [name for name in os.environ if name.startswith("DGSF_")]:
        monkeypatch.delenv(name)


def photo(width: int = 96, height: int = 64, seed: int = 0) -> Image.Image:
    """An RGB picture with what photographs have: soft light, edges, texture and noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    u, v = x / max(width, 1), y / max(height, 1)
    light = [80 + 110 * (a * u + (1 - a) * v) for a in rng.random(3)]
    canvas = np.stack(light, axis=-1)  # (H, W, 3)
    for _ in range(6):
        centre, radius = rng.random(2), 0.08 + 0.2 * rng.random()
        inside = (u - centre[0]) ** 2 + (v - centre[1]) ** 2 < radius**2
        canvas[inside] += rng.normal(0, 45, 3)
    texture = np.sin(x * rng.uniform(0.3, 1.2)) * np.sin(y * rng.uniform(0.3, 1.2))
    canvas += (texture * 12 * (u > 0.5))[..., None]
    canvas += rng.normal(0, 5, canvas.shape)
    return Image.fromarray(np.clip(canvas, 0, 255).astype(np.uint8))


def encode(
    image: Image.Image, kind: str, *, pages: Sequence[Image.Image] = (), **options: object
) -> bytes:
    """The bytes of a file of a Pillow format, with more pages or frames after the first."""
    buffer = BytesIO()
    # Copies, for Pillow leaves the settings of one format behind in the image it saves.
    more = [page.copy() for page in pages]
    extra = {"save_all": True, "append_images": more} if more else {}
    image.copy().save(buffer, kind, **extra, **options)
    return buffer.getvalue()


def png_claiming(width: int, height: int) -> bytes:
    """A well-formed PNG header of any size with next to nothing behind it."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")


@cache
def gallery_bytes() -> dict[str, bytes]:
    """File contents by name: every kind of file a user may have, made once."""
    rgb = photo()
    others = [photo(seed=seed) for seed in (1, 2)]
    grey16 = np.linspace(0, 65535, 96 * 64).astype(np.uint16).reshape(64, 96)
    clear = Image.fromarray(np.tile(np.linspace(0, 255, 96).astype(np.uint8), (64, 1)))
    rgba, grey_alpha, exif = rgb.copy(), rgb.convert("LA"), Image.Exif()
    rgba.putalpha(clear)
    grey_alpha.putalpha(clear)
    exif[0x0112] = 6
    jpeg = encode(rgb, "JPEG", quality=92)
    return {
        "plain.jpg": jpeg,
        "plain.jfif": jpeg,
        "wrong.png": jpeg,
        "nosuffix": jpeg,
        "UPPER.JPG": jpeg,
        "two.dots.jpeg": jpeg,
        "rotated.jpg": encode(rgb, "JPEG", quality=92, exif=exif),
        "progressive.jpg": encode(rgb, "JPEG", progressive=True),
        "cmyk.jpg": encode(rgb.convert("CMYK"), "JPEG"),
        "grey.jpg": encode(rgb.convert("L"), "JPEG"),
        "stereo.mpo": encode(rgb, "MPO", pages=others),
        "rgb.png": encode(rgb, "PNG"),
        "rgba.png": encode(rgba, "PNG"),
        "palette.png": encode(rgb.quantize(16), "PNG", transparency=3),
        "grey16.png": encode(Image.fromarray(grey16), "PNG"),
        "bilevel.png": encode(rgb.convert("1"), "PNG"),
        "grey_alpha.png": encode(grey_alpha, "PNG"),
        "animated.png": encode(rgb, "PNG", pages=others),
        "lossy.webp": encode(rgb, "WEBP", quality=90),
        "animated.webp": encode(rgb, "WEBP", pages=others),
        "still.avif": encode(rgb, "AVIF", speed=10),
        "rgb.tiff": encode(rgb, "TIFF"),
        "lzw.tif": encode(rgb, "TIFF", compression="tiff_lzw"),
        "grey16.tif": encode(Image.fromarray(grey16), "TIFF"),
        "cmyk.tif": encode(rgb.convert("CMYK"), "TIFF"),
        "pages.tif": encode(rgb, "TIFF", pages=others),
        "plain.bmp": encode(rgb, "BMP"),
        "animated.gif": encode(rgb, "GIF", pages=others),
        "dot.png": encode(photo(1, 1), "PNG"),
        "truncated.jpg": jpeg[:300],
        "empty.jpg": b"",
        "text.jpg": b"Minutes of the meeting, not a picture.\n",
        "bomb.png": png_claiming(60_000, 60_000),
    }


BROKEN = ("truncated.jpg", "empty.jpg", "text.jpg", "bomb.png")
"""Those of the gallery that give no pixels."""


@pytest.fixture
def gallery(tmp_path: Path) -> dict[str, Path]:
    """Name to path of every file of the gallery, all in one folder, where the system allows."""
    folder = tmp_path / "gallery"
    folder.mkdir()
    files = {name: folder / name for name in gallery_bytes()}
    for name, path in files.items():
        path.write_bytes(gallery_bytes()[name])
    odd = Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.jpg"))
    try:
        odd.write_bytes(gallery_bytes()["plain.jpg"])
    except OSError:  # macOS takes UTF-8 names only
        return files
    return files | {"not_utf8": odd}


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run_dgsf(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """The command in this process: exit code, standard output, standard error."""
    from dgsforensics import cli

    def run(*arguments: object, stdin: bytes = b"", fails: bool = False) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["dgsf", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        with pytest.raises(SystemExit) as exit:
            cli.main()
        out, err = capfd.readouterr()
        assert fails or ("Traceback" not in err and "internal error" not in err), err
        return exit.value.code, out, err

    return run


@pytest.fixture
def on_tiny(
    tiny_detector: Path, tiny_backbone: Path, monkeypatch: pytest.MonkeyPatch, run_dgsf: Run
) -> Run:
    """The same, with the tiny detector unless another one is asked for."""
    monkeypatch.setenv("DGSF_MODEL", str(tiny_detector))
    monkeypatch.setenv("DGSF_BACKBONE_WEIGHTS", str(tiny_backbone))
    monkeypatch.setenv("DGSF_DEVICE", "cpu")
    return run_dgsf


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    """A new case file, open."""
    with Case.open(tmp_path / "case.sqlite3") as case:
        yield case


@pytest.fixture(scope="session")
def tiny_backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of the tiny image tower of `tiny_clip`."""
    import tiny_clip

    return tiny_clip.write_backbone(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def tiny_detector(tiny_backbone: Path, tmp_path: Path) -> Path:
    """A detector file on the tiny tower, with the head of DGS-Net and no adapters."""
    import tiny_clip

    return tiny_clip.write_detector(tmp_path, tiny_backbone, tiny_clip.config())
