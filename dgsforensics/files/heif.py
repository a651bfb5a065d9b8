"""The items of a HEIF file: how its primary picture is coded (ISO 23008-12)."""

from dgsforensics.files.boxes import boxes

UNREAD_CODINGS = {
    b"unci": "uncompressed HEIF (ISO 23001-17)",
    b"j2k1": "HEIF with JPEG 2000",
    b"jpeg": "HEIF with JPEG",
    b"vvc1": "HEIF with VVC",
    b"evc1": "HEIF with EVC",
    b"avc1": "HEIF with AVC",
    b"mski": "a HEIF mask",
}
"""What libheif reads in no build, or not in the one that Python's package brings; for people."""


def unread_coding(data: bytes) -> str | None:
    """Return what the primary picture is coded as, if it is one of `UNREAD_CODINGS`."""
    for kind, start, end in boxes(data, 0, len(data)):
        if kind == b"meta":
            inside = {name: (first, last) for name, first, last in boxes(data, start + 4, end)}
            if b"pitm" in inside and b"iinf" in inside:
                return _coding(data, inside[b"pitm"], inside[b"iinf"])
    return None


def _coding(data: bytes, primary: tuple[int, int], items: tuple[int, int]) -> str | None:
    at = primary[0]
    wanted = int.from_bytes(data[at + 4 : at + (8 if data[at : at + 1] != b"\x00" else 6)])
    first, last = items
    skipped = 6 if data[first : first + 1] == b"\x00" else 8
    for _, at, _ in boxes(data, first + skipped, last):
        width = 4 if data[at : at + 1] > b"\x02" else 2
        if int.from_bytes(data[at + 4 : at + 4 + width]) == wanted:
            return UNREAD_CODINGS.get(data[at + 6 + width : at + 10 + width])
    return None
