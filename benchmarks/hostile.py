"""Scans a folder of some 200 kinds of damaged and hostile files; reports rows and peak memory.

    python benchmarks/hostile.py OUT [--large 15] [--address-space KIB] [--scan=--max-memory=800]

Every file stands for a kind of fault, and its name says which. A good file of each format lies
beside them and must be scored. The scan is the real `dgsf scan` in a process of its own; the peak
is that of all its processes together (resident, from /proc, ten times a second).
"""

import argparse
import collections
import io
import json
import os
import random
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, PngImagePlugin

SHARES = (0.02, 0.3, 0.6, 0.97)
SEEDS = range(3)


def scene(width: int = 640, height: int = 480, seed: int = 0) -> Image.Image:
    """A picture with gradients, edges and grain."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    light = np.stack([90 + 80 * x / width, 60 + 110 * y / height, 140 - 60 * x / width], axis=-1)
    image = Image.fromarray(np.clip(light + rng.normal(0, 9, light.shape), 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(14):
        left, top, size = rng.integers(0, [width, height, 160]).tolist()
        draw.ellipse(
            (left, top, left + size, top + size), fill=tuple(rng.integers(0, 256, 3).tolist())
        )
    return image


def encoded(
    image: Image.Image, kind: str, pages: Sequence[Image.Image] = (), **options: object
) -> bytes:
    buffer = io.BytesIO()
    # Copies, for Pillow leaves the settings of one format behind in the image it saves.
    options |= {"append_images": [page.copy() for page in pages]} if pages else {}
    image.copy().save(buffer, kind, **options)
    return buffer.getvalue()


def sound(picture: Image.Image) -> dict[str, bytes]:
    """A good file of each kind."""
    more = [scene(seed=seed) for seed in (1, 2)]
    files = {
        "baseline.jpg": encoded(picture, "JPEG", quality=92),
        "restart.jpg": encoded(picture, "JPEG", quality=92, restart_marker_rows=1),
        "progressive.jpg": encoded(picture, "JPEG", quality=92, progressive=True),
        "cmyk.jpg": encoded(picture.convert("CMYK"), "JPEG"),
        "rgb.png": encoded(picture, "PNG"),
        "palette.png": encoded(picture.quantize(64), "PNG"),
        "animated.png": encoded(picture, "PNG", more, save_all=True),
        "lossy.webp": encoded(picture, "WEBP", quality=90),
        "lossless.webp": encoded(picture, "WEBP", lossless=True),
        "still.avif": encoded(picture, "AVIF", speed=10),
        "plain.tif": encoded(picture, "TIFF"),
        "lzw.tif": encoded(picture, "TIFF", compression="tiff_lzw"),
        "deflate.tif": encoded(picture, "TIFF", compression="tiff_adobe_deflate"),
        "plain.bmp": encoded(picture, "BMP"),
        "still.gif": encoded(picture.quantize(128), "GIF"),
    }
    try:
        import pillow_heif
    except ImportError:
        return files
    buffer = io.BytesIO()
    pillow_heif.from_pillow(picture).save(buffer, quality=90)
    return files | {"still.heic": buffer.getvalue()}


def damaged(data: bytes) -> Iterator[tuple[str, bytes]]:
    """What happens to files of any kind, by name."""
    for share in SHARES:
        yield f"cut at {share:.0%}", data[: int(len(data) * share)]
    half, dice = len(data) // 2, random.Random(0)
    yield "second half zero", data[:half] + bytes(len(data) - half)
    yield "a hole of a sector", data[:half] + bytes(512) + data[half + 512 :]
    yield "trailing bytes", data + dice.randbytes(100_000)
    yield "missing last two bytes", data[:-2]
    for seed in SEEDS:
        dice = random.Random(seed)
        yield f"64 bytes overwritten {seed}", data[:half] + dice.randbytes(64) + data[half + 64 :]
    for seed in SEEDS:
        dice, head = random.Random(seed), bytearray(data)
        for _ in range(6):
            head[dice.randrange(12, min(600, len(head)))] = dice.randrange(256)
        yield f"header flipped {seed}", bytes(head)


def chunk(kind: bytes, body: bytes, off: int = 0) -> bytes:
    total = zlib.crc32(kind + body) + off & 0xFFFFFFFF
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", total)


def blank(width: int, height: int) -> bytes:
    """A black RGB PNG that takes little space."""
    packer, row = zlib.compressobj(9), bytes(1 + 3 * width)
    rows = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def of_png(picture: Image.Image) -> Iterator[tuple[str, bytes]]:
    """What only a PNG can have."""
    data = encoded(picture, "PNG")
    for name, more in {
        "gamma with a wrong sum": chunk(b"gAMA", struct.pack(">I", 45455), 1),
        "linear gamma": chunk(b"gAMA", struct.pack(">I", 100_000)),
        "gamma zero": chunk(b"gAMA", bytes(4)),
        "huge profile": chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(4 << 20))),
        "profile of noise": chunk(b"iCCP", b"p\0\0" + zlib.compress(b"noise" * 99)),
        "exif of noise": chunk(b"eXIf", b"II*\0" + b"\xff" * 99),
        "chunk beyond the end": struct.pack(">I", 1 << 30) + b"tEXt",
        "text without end": chunk(b"tEXt", b"k" * 200),
        "30000 texts": chunk(b"tEXt", b"key\0value") * 30_000,
        "two headers": data[8:33],
        "control of frames": chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0)),
    }.items():
        yield name, data[:33] + more + data[33:]
    for name, size, times in (("text of 1.5 MB", 1_500_000, 1), ("texts of 70 MB", 1_000_000, 70)):
        text = PngImagePlugin.PngInfo()
        for number in range(times):
            text.add_text(f"note {number}", "y" * size, zip=True)
        yield name, encoded(picture, "PNG", pnginfo=text)
    white = Image.new("RGB", picture.size, "white")
    yield "placeholder", encoded(white, "PNG", [picture], save_all=True, default_image=True)
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    yield "claims 3600 megapixels", data[:8] + chunk(b"IHDR", head) + data[33:]
    head = struct.pack(">IIBBBBB", 16_000, 15_000, 8, 2, 0, 0, 0)
    yield "claims 240 megapixels", data[:8] + chunk(b"IHDR", head) + data[33:]


def others(picture: Image.Image) -> Iterator[tuple[str, bytes]]:
    """What stands for itself, with its suffix."""
    for name, data in of_png(picture):
        yield f"{name}.png", data
    data = encoded(picture, "JPEG", quality=92)
    for name, more in {
        "orientation as byte": b"II*\0\x08\0\0\0\1\0\x12\1\1\0\1\0\0\0\6\0\0\0" + bytes(4),
        "exif of noise": b"II*\0" + b"\xff" * 99,
        "exif loop": b"II*\0\x08\0\0\0\0\0\x08\0\0\0",
    }.items():
        body = b"Exif\0\0" + more
        segment = b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body
        yield f"{name}.jpg", data[:2] + segment + data[2:]
    yield "60000 comments.jpg", data[:2] + b"\xff\xfe\0\3x" * 60_000 + data[2:]
    scans = encoded(scene(2400, 2400), "JPEG", quality=60, progressive=True)
    last = scans.rindex(b"\xff\xda")
    yield "3000 scans.jpg", scans[:last] + scans[last:-2] * 60 + scans[-2:]
    thumb = picture.resize((160, 120))
    yield "thumbnail first.tif", encoded(thumb, "TIFF", [picture], save_all=True)
    yield "pages without end.tif", _circle(encoded(picture, "TIFF"))
    for suffix in ("jpg", "png", "webp", "avif", "tif", "bmp", "gif", "heic", "dng"):
        yield f"empty.{suffix}", b""
        yield f"noise.{suffix}", random.Random(1).randbytes(5000)
    yield "text.jpg", b"Minutes of the meeting.\n" * 50
    yield "page.png", b"<html><body>404 Not Found</body></html>"
    yield "archive.jpg", b"PK\3\4" + bytes(200)
    yield "sensor.dng", b"II*\0\x08\0\0\0\1\0\x12\xc6\1\0\4\0\0\0\1\4\0\0" + bytes(60)


def _circle(data: bytes) -> bytes:
    """A TIFF whose last page says that the first one follows."""
    (first,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, first)
    link = first + 2 + 12 * count
    return data[:link] + struct.pack("<I", first) + data[link + 4 :]


def build(out: Path, large: int) -> list[str]:
    """Write the folder; return the names of the good files."""
    out.mkdir(parents=True, exist_ok=True)
    picture = scene()
    good = []
    for name, data in sound(picture).items():
        stem, suffix = name.rsplit(".", 1)
        (out / f"good {name}").write_bytes(data)
        good.append(f"good {name}")
        for fault, result in damaged(data):
            (out / f"{stem}, {fault}.{suffix}").write_bytes(result)
    for name, data in others(picture):
        (out / name).write_bytes(data)
    for number in range(large):
        (out / f"large {number}.png").write_bytes(blank(15_780 - number, 15_780))
    return good


def resident(root: int) -> int:
    """Bytes that a process and all it started have in memory."""
    parents: dict[int, list[int]] = collections.defaultdict(list)
    sizes: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            parents[int(fields[1])].append(int(entry.name))
            sizes[int(entry.name)] = int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, ValueError, IndexError):
            continue  # no process, or gone
    waiting, total = [root], 0
    while waiting:
        current = waiting.pop()
        total += sizes.get(current, 0)
        waiting += parents[current]
    return total


def watched(command: list[str], prepare: Callable[[], None] | None) -> tuple[str, str, int, int]:
    """Standard output, standard error, exit code and peak memory of a command."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=prepare
    )
    peak, done = [0], threading.Event()

    def look() -> None:
        while not done.wait(0.1):
            peak[0] = max(peak[0], resident(process.pid))

    watcher = threading.Thread(target=look)
    watcher.start()
    output, errors = process.communicate()
    done.set()
    watcher.join()
    return output, errors, process.returncode, peak[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--large", type=int, default=15, help="PNGs of 249 megapixels")
    parser.add_argument("--address-space", type=int, metavar="KIB", help="as ulimit -v")
    parser.add_argument("--scan", action="append", default=[], help="an option of dgsf scan")
    given = parser.parse_args()
    good = build(given.out, given.large)
    limit: Callable[[], None] | None = None
    if given.address_space:
        import resource

        space = given.address_space << 10

        def limit() -> None:
            resource.setrlimit(resource.RLIMIT_AS, (space, space))

    scan = [sys.executable, "-m", "dgsforensics", "scan", "--no-cache", "--jsonl", "--exit-zero"]
    started = time.monotonic()
    command = [*scan, *given.scan, str(given.out)]
    output, errors, code, peak = watched(command, limit)
    rows = {Path(row["path"]).name: row for row in map(json.loads, output.splitlines())}
    kinds = collections.Counter(row["status"] for row in rows.values())
    print(f"{len(list(given.out.iterdir()))} files, {len(rows)} rows: {dict(kinds)}, exit {code}")
    print(f"{time.monotonic() - started:.0f} s, peak {peak / 2**20:.0f} MiB")
    for name, row in sorted(rows.items()):
        missing = "" if row["missing"] is None else f"{row['missing']:.3f}"
        verdict = row["verdict"] or row["status"]
        print(f"{verdict:13} {missing:5}  {name}: {row['reason'] or ''}")
    lost = [name for name in good if rows.get(name, {"status": "absent"})["status"] != "scored"]
    wrong = [name for name, row in rows.items() if "internal error" in (row["reason"] or "")]
    print(f"good files without a score: {lost or 'none'}; internal errors: {wrong or 'none'}")
    if code or lost or wrong:
        sys.exit(f"{errors[-2000:]}\nnot as it should be")


if __name__ == "__main__":
    main()
