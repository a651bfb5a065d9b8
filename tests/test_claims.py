import logging
import random
import struct
import zlib
from collections.abc import Callable
from functools import cache
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin, TiffImagePlugin
from PIL.TiffImagePlugin import IFDRational as Rational

from conftest import encode, gallery_bytes, photo
from dgsforensics.files.kinds import sniff
from dgsforensics.provenance import c2pa, containers, exif, xmp
from dgsforensics.provenance.claims import MAX_PIECES, MAX_VALUE, read
from dgsforensics.records import Evidence, Mark

IPTC_TERMS = "http://cv.iptc.org/newscodes/digitalsourcetype/"
SETTINGS = "Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x512, Model: dreamshaper"
PARAMETERS = f"a lighthouse, dusk\nNegative prompt: blurry\n{SETTINGS}"


def look(data: bytes) -> list[Evidence]:
    return read(data, sniff(data[: 1 << 12]))


def values(data: bytes) -> dict[tuple[str, str], str]:
    return {(piece.origin, piece.name): piece.value for piece in look(data)}


def marked(data: bytes, mark: Mark) -> list[str]:
    return [piece.value for piece in look(data) if piece.mark is mark]


def camera_exif(**others: object) -> Image.Exif:
    tags = Image.Exif()
    tags[exif.ExifTag.MAKE] = "Canon"
    tags[exif.ExifTag.MODEL] = "Canon EOS 80D"
    tags[exif.ExifTag.SOFTWARE] = "Adobe Lightroom 6.7"
    tags[exif.ExifTag.ARTIST] = "Ann Other"
    inner = tags.get_ifd(exif.ExifTag.EXIF)
    inner[exif.ExifTag.EXPOSURE_TIME] = Rational(1, 125)
    inner[exif.ExifTag.F_NUMBER] = Rational(28, 10)
    inner[exif.ExifTag.ISO] = 400
    inner[exif.ExifTag.FOCAL_LENGTH] = Rational(50, 1)
    inner[exif.ExifTag.TAKEN] = "2024:05:01 12:00:00"
    inner[exif.ExifTag.LENS] = "EF50mm f/1.8"
    for name, value in others.items():
        (inner if name == "USER_COMMENT" else tags)[exif.ExifTag[name]] = value
    return tags


def packet(body: str) -> bytes:
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'{body}</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()


def description(attributes: str, inner: str = "") -> bytes:
    spaces = "".join(
        f' xmlns:{name}="http://x/{name}/"' for name in ("xmp", "iptc", "dc", "photoshop", "stEvt")
    )
    return packet(f"<rdf:Description{spaces} {attributes}>{inner}</rdf:Description>")


GENERATED = description(f'iptc:DigitalSourceType="{IPTC_TERMS}trainedAlgorithmicMedia"')


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def into_jpeg(*segments: bytes) -> bytes:
    data = encode(photo(), "JPEG")
    return data[:2] + b"".join(segments) + data[2:]


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def into_png(*chunks: bytes, at_the_end: bool = False) -> bytes:
    data = encode(photo(), "PNG")
    at = len(data) - 12 if at_the_end else 33
    return data[:at] + b"".join(chunks) + data[at:]


def png_text(**texts: str) -> bytes:
    info = PngImagePlugin.PngInfo()
    for key, text in texts.items():
        info.add_text(key.replace("_", " ") if key == "Creation_Time" else key, text)
    return encode(photo(), "PNG", pnginfo=info)


# A C2PA store, written by hand


def cbor(value: object) -> bytes:
    def head(major: int, count: int) -> bytes:
        if count < 24:
            return bytes([major << 5 | count])
        if count < 256:
            return bytes([major << 5 | 24, count])
        return bytes([major << 5 | 25]) + struct.pack(">H", count)

    match value:
        case bool():
            return b"\xf5" if value else b"\xf4"
        case int():
            return head(0, value)
        case float():
            return b"\xfb" + struct.pack(">d", value)
        case bytes():
            return head(2, len(value)) + value
        case str():
            return head(3, len(value.encode())) + value.encode()
        case list():
            return head(4, len(value)) + b"".join(map(cbor, value))
        case dict():
            pairs = (cbor(part) for pair in value.items() for part in pair)
            return head(5, len(value)) + b"".join(pairs)
    raise TypeError(value)


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body) + 8) + kind + body


def jumb(label: str, *contents: bytes) -> bytes:
    about = box(b"jumd", bytes(16) + b"\x03" + label.encode() + b"\x00")
    return box(b"jumb", about + b"".join(contents))


def manifest(name: str, claim: dict[str, object], actions: list[dict[str, object]]) -> bytes:
    made = jumb("c2pa.actions.v2", box(b"cbor", cbor({"actions": actions})))
    thumbnail = jumb("c2pa.thumbnail.claim", box(b"bidb", bytes(3000)))
    return jumb(
        f"urn:c2pa:{name}",
        jumb("c2pa.assertions", thumbnail, made),
        jumb("c2pa.claim.v2", box(b"cbor", cbor({"instanceID": "x", **claim}))),
        jumb("c2pa.signature", box(b"cbor", b"\xd2\x84")),
    )


CREATED: dict[str, object] = {
    "action": "c2pa.created",
    "when": 1.5,
    "softwareAgent": {"name": "GPT-4o"},
    "digitalSourceType": IPTC_TERMS + "trainedAlgorithmicMedia",
}
INFO = {"claim_generator_info": {"name": "Some API", "version": "2.1", "signed": True}}
STORE = jumb("c2pa", manifest("1", INFO, [CREATED]))
IN_TWO = jumb("c2pa", manifest("1", INFO, [CREATED]), manifest("2", INFO, [{"action": "opened"}]))


def app11(store: bytes, size: int = 1000) -> bytes:
    """The store in packets, each of which repeats the header of the box."""
    rest, head = store[8:], store[:8]
    pieces = [rest[at : at + size] for at in range(0, len(rest), size)]
    return b"".join(
        segment(0xEB, b"JP\x00\x01" + struct.pack(">I", number) + head + piece)
        for number, piece in enumerate(pieces, 1)
    )


def c2pa_files() -> dict[str, bytes]:
    webp = encode(photo(), "WEBP") + b"C2PA" + struct.pack("<I", len(STORE)) + STORE
    avif = encode(photo(), "AVIF", speed=10)
    head = bytes.fromhex("d8fec3d61b0e483c92975828877ec481") + bytes(4) + b"manifest\x00" + bytes(8)
    info = TiffImagePlugin.ImageFileDirectory_v2()
    info[exif.ExifTag.C2PA] = STORE
    info.tagtype[exif.ExifTag.C2PA] = 7
    return {
        "JPEG": into_jpeg(app11(STORE)),
        "PNG": into_png(chunk(b"caBX", STORE)),
        "WEBP": webp,
        "AVIF": avif + box(b"uuid", head + STORE),
        "TIFF": encode(photo(), "TIFF", tiffinfo=info),
    }


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_c2pa_is_present_and_never_called_checked(kind: str) -> None:
    data = c2pa_files()[kind]
    assert marked(data, Mark.C2PA) == ["present, signature not checked; written by Some API 2.1"]
    assert marked(data, Mark.SOURCE_TYPE) == [
        "trainedAlgorithmicMedia: says generated, by a trained model"
    ]
    assert marked(data, Mark.GENERATOR) == ["GPT-4o"]
    assert look(data)[0].mark is Mark.C2PA


def test_what_an_ingredient_says_is_told_from_what_the_image_says() -> None:
    found = values(into_png(chunk(b"caBX", IN_TWO)))
    assert found["C2PA", "software of an ingredient"] == "GPT-4o"
    assert ("C2PA", "source type") not in found


def test_claim_generators_of_either_version_are_read() -> None:
    old = manifest("1", {"claim_generator": "Adobe_Firefly/1.0"}, [])
    listed = manifest("1", {"claim_generator_info": [{"name": "Camera", "version": "3"}]}, [])
    assert c2pa.manifests(jumb("c2pa", old)) == [c2pa.Manifest("Adobe_Firefly/1.0", ())]
    assert c2pa.manifests(jumb("c2pa", listed)) == [c2pa.Manifest("Camera 3", ())]
    found = look(into_png(chunk(b"caBX", jumb("c2pa", old))))
    assert Evidence(Mark.GENERATOR, "C2PA", "claim generator", "Adobe_Firefly/1.0") in found


def test_boxes_that_are_not_c2pa_are_not_called_so() -> None:
    assert c2pa.manifests(jumb("other", manifest("1", INFO, []))) is None
    assert look(into_jpeg(app11(jumb("other", manifest("1", INFO, []))))) == []


@pytest.mark.parametrize(
    "damage",
    [
        b"\x9f" * 5000,  # lists in lists
        b"\x9b" + b"\xff" * 8,  # a list of 2**64 items
        b"\xbf\x61",
        b"\x7f\x61a\xff",
        b"\x5b" + b"\xff" * 8,
        b"",
        b"\x01",
    ],
)
def test_a_damaged_claim_is_still_a_manifest(damage: bytes) -> None:
    claim = jumb("c2pa.claim", box(b"cbor", damage))
    found = look(into_png(chunk(b"caBX", jumb("c2pa", jumb("urn:c2pa:1", claim)))))
    assert found == [Evidence(Mark.C2PA, "C2PA", "manifest", "present, signature not checked")]


def test_a_manifest_that_lies_elsewhere_is_named_and_not_fetched() -> None:
    data = encode(photo(), "JPEG", xmp=description('dc:provenance="https://example.org/m.c2pa"'))
    (said,) = marked(data, Mark.C2PA)
    assert "https://example.org/m.c2pa" in said
    assert "not fetched" in said


# EXIF


def test_exif_is_read_in_every_kind_of_file() -> None:
    tags = camera_exif()
    files = {
        kind: encode(photo(), kind, exif=tags) for kind in ("JPEG", "PNG", "WEBP", "AVIF", "TIFF")
    }
    files["MPO"] = encode(photo(), "MPO", pages=[photo(seed=1)], exif=tags)
    for kind, data in files.items():
        found = values(data)
        assert found["EXIF", "camera"] == "Canon EOS 80D", kind
        assert found["EXIF", "software"] == "Adobe Lightroom 6.7"
        assert found["EXIF", "artist"] == "Ann Other"
        if kind != "TIFF":  # Pillow writes no nested directories there
            assert found["EXIF", "exposure"] == "1/125 s, f/2.8, ISO 400, 50 mm"
            assert found["EXIF", "taken"] == "2024:05:01 12:00:00"
            assert found["EXIF", "lens"] == "EF50mm f/1.8"
        assert marked(data, Mark.CAMERA) == ["Canon EOS 80D"]
        assert marked(data, Mark.SOFTWARE) == ["Adobe Lightroom 6.7"]


def test_heic_is_read_without_its_decoder() -> None:
    heif = pytest.importorskip("pillow_heif")
    buffer = BytesIO()
    heif.from_pillow(photo()).save(buffer, exif=camera_exif().tobytes(), xmp=GENERATED)
    found = values(buffer.getvalue())
    assert found["EXIF", "camera"] == "Canon EOS 80D"
    assert found["XMP", "source type"].startswith("trainedAlgorithmicMedia")


def test_a_file_is_read_as_what_it_was_found_to_be() -> None:
    data = encode(photo(), "JPEG", exif=camera_exif())
    assert read(data, "MPO") == read(data, "JPEG") != []
    assert read(data, None) == read(data, "BMP") == read(data, "nonsense") == []
    for kind in ("PNG", "WEBP", "AVIF", "HEIC", "TIFF", "DNG", "GIF"):
        assert not [piece for piece in read(data, kind) if piece.mark], kind


@pytest.mark.parametrize(
    ("make", "model", "camera"),
    [
        ("Canon", "Canon EOS 80D", "Canon EOS 80D"),
        ("NIKON CORPORATION", "NIKON D800", "NIKON D800"),
        ("SONY", "ILCE-7M2", "SONY ILCE-7M2"),
        ("Apple", "", "Apple"),
        ("", "PDR-3330      ", "PDR-3330"),
        ("Ca\x1b[31mnon", "X\x07", "Ca [31mnon X"),
    ],
)
def test_a_make_is_not_said_twice(make: str, model: str, camera: str) -> None:
    data = encode(photo(), "JPEG", exif=camera_exif(MAKE=make, MODEL=model))
    assert marked(data, Mark.CAMERA) == [camera]


def test_blank_tags_say_nothing() -> None:
    tags = Image.Exif()
    tags[exif.ExifTag.MODEL] = "   \x00"
    tags[exif.ExifTag.DESCRIPTION] = " " * 31
    inner = tags.get_ifd(exif.ExifTag.EXIF)
    inner[exif.ExifTag.TAKEN] = "0000:00:00 00:00:00"
    inner[exif.ExifTag.USER_COMMENT] = bytes(200)
    inner[exif.ExifTag.EXPOSURE_TIME] = Rational(0, 0)
    assert look(encode(photo(), "JPEG", exif=tags)) == []


def test_a_position_is_told_but_not_where() -> None:
    tags = camera_exif()
    place = tags.get_ifd(exif.ExifTag.GPS)
    place[0] = b"\x02\x03\x00\x00"
    assert ("EXIF", "GPS") not in values(encode(photo(), "JPEG", exif=tags))
    place[1], place[2] = "N", (52.0, 31.0, 12.0)
    found = look(encode(photo(), "JPEG", exif=tags))
    assert Evidence(None, "EXIF", "GPS", "position recorded") in found
    assert not any("31" in piece.value for piece in found)


def test_damaged_exif_is_said_to_be() -> None:
    said = [Evidence(None, "EXIF", "damaged", "EXIF that cannot be read")]
    for body in (
        b"",
        b"II*\x00",
        b"II*\x00\xff\xff\xff\xff",
        b"nonsense",
        b"MM\x00+" + b"\xff" * 12,
    ):
        assert look(into_jpeg(segment(0xE1, b"Exif\x00\x00" + body))) == said


def test_tags_that_point_nowhere_cost_only_themselves() -> None:
    entry = struct.pack("<HHII", exif.ExifTag.MAKE, 2, 400, 1 << 30)
    entry += struct.pack("<HHI4s", exif.ExifTag.MODEL, 2, 4, b"X100")
    tiff = b"II*\x00" + struct.pack("<IH", 8, 2) + entry + bytes(4)
    assert marked(into_jpeg(segment(0xE1, b"Exif\x00\x00" + tiff)), Mark.CAMERA) == ["X100"]
    cut = tiff[: 8 + 2 + 12 + 6]
    assert exif.tags(cut) == {}


def test_directories_that_point_at_themselves_end() -> None:
    entry = struct.pack("<HHII", exif.ExifTag.EXIF, 4, 1, 8) + struct.pack("<HHII", 34853, 4, 1, 8)
    tiff = b"II*\x00" + struct.pack("<IH", 8, 2) + entry + bytes(4)
    assert exif.tags(tiff) == {exif.ExifTag.EXIF: (8,)}


def test_values_of_every_tag_at_the_same_bytes_are_not_copied_without_end() -> None:
    entries = [struct.pack("<HHII", tag, 7, 60_000, 8) for tag in range(37000, 41000)]
    tiff = b"II*\x00" + struct.pack("<I", 60_008) + bytes(60_000)
    tiff += struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
    found = exif.tags(tiff)
    assert set(found) <= {exif.ExifTag.FOCAL_LENGTH, exif.ExifTag.USER_COMMENT}
    assert look(into_png(chunk(b"eXIf", tiff))) == []


def test_a_huge_exif_is_cut() -> None:
    tags = camera_exif(DESCRIPTION="long " * 2_000_000)
    found = values(encode(photo(), "PNG", exif=tags))
    assert found["EXIF", "camera"] == "Canon EOS 80D"
    assert all(len(value) <= MAX_VALUE for value in found.values())


def test_big_tiff_is_read() -> None:
    tags = struct.pack("<HHQ8s", exif.ExifTag.MAKE, 2, 5, b"Leica\x00\x00\x00")
    data = b"II+\x00" + struct.pack("<HHQQ", 8, 0, 16, 1) + tags + bytes(8)
    assert marked(data, Mark.CAMERA) == ["Leica"]


# Generators


@pytest.mark.parametrize(
    "comment",
    [
        b"UNICODE\x00" + PARAMETERS.encode("utf-16-be"),
        b"UNICODE\x00" + PARAMETERS.encode("utf-16-le"),
        b"ASCII\x00\x00\x00" + PARAMETERS.encode(),
        bytes(8) + PARAMETERS.encode(),
        PARAMETERS.encode(),
        PARAMETERS.encode("utf-16-le"),
    ],
)
def test_parameters_in_a_user_comment_are_read_however_written(comment: bytes) -> None:
    for kind in ("JPEG", "WEBP"):
        data = encode(photo(), kind, exif=camera_exif(USER_COMMENT=comment))
        assert marked(data, Mark.GENERATOR) == [SETTINGS, "a lighthouse, dusk", "blurry"]
        assert marked(data, Mark.CAMERA) == ["Canon EOS 80D"]


def test_other_scripts_survive_in_a_user_comment() -> None:
    comment = b"UNICODE\x00" + f"灯台 {SETTINGS}".encode("utf-16-be")
    data = encode(photo(), "JPEG", exif=camera_exif(USER_COMMENT=comment))
    assert marked(data, Mark.GENERATOR) == [SETTINGS, "灯台"]


def test_a_comfyui_graph_in_place_of_a_camera_is_no_camera() -> None:
    graph = 'prompt:{"1": {"class_type": "Loader", "inputs": {"ckpt_name": "xl.safetensors"}}}'
    tags = camera_exif(MAKE='workflow:{"nodes": [], "links": []}', MODEL=graph)
    data = encode(photo(), "WEBP", exif=tags)
    assert marked(data, Mark.CAMERA) == []
    assert marked(data, Mark.GENERATOR) == [
        "ComfyUI workflow",
        "ComfyUI graph of 1 nodes; model xl.safetensors",
    ]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ({"parameters": PARAMETERS}, [SETTINGS, "a lighthouse, dusk", "blurry"]),
        ({"parameters": "alpha = 0.3"}, []),
        ({"prompt": '{"3": {"class_type": "KSampler"}}'}, ["ComfyUI graph of 1 nodes"]),
        ({"workflow": '{"nodes": [], "links": []}'}, ["ComfyUI workflow"]),
        ({"workflow": "scan, crop, archive"}, []),
        ({"Dream": '"a cat" -s 50 -S 1'}, ['"a cat" -s 50 -S 1']),
        ({"sd-metadata": "{}"}, ["{}"]),
        ({"invokeai_metadata": '{"app_version": "4"}'}, ['{"app_version": "4"}']),
        ({"Software": "NovelAI"}, ["NovelAI"]),
        ({"Comment": '{"prompt": "x", "steps": 28}'}, ['{"prompt": "x", "steps": 28}']),
        ({"Comment": "Created with GIMP"}, []),
        ({"AIGC": '{"Label": "1"}'}, ['{"Label": "1"}']),
        ({"anything": "Made with Midjourney"}, ["Made with Midjourney"]),
    ],
)
def test_generators_are_read_in_png_texts(texts: dict[str, str], expected: list[str]) -> None:
    assert marked(png_text(**texts), Mark.GENERATOR) == expected


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt", b"iTXt", b"iTXt packed"])
@pytest.mark.parametrize("at_the_end", [False, True])
def test_png_texts_of_every_kind_are_read(kind: bytes, at_the_end: bool) -> None:
    text = PARAMETERS.encode()
    bodies = {
        b"tEXt": text,
        b"zTXt": b"\x00" + zlib.compress(text),
        b"iTXt": b"\x00\x00en\x00\x00" + text,
        b"iTXt packed": b"\x01\x00\x00\x00" + zlib.compress(text),
    }
    data = into_png(chunk(kind[:4], b"parameters\x00" + bodies[kind]), at_the_end=at_the_end)
    assert marked(data, Mark.GENERATOR)[0] == SETTINGS


def test_a_name_of_a_generator_counts_wherever_names_stand() -> None:
    for tag in ("SOFTWARE", "ARTIST", "MAKE", "COPYRIGHT", "DESCRIPTION"):
        data = encode(photo(), "JPEG", exif=camera_exif(**{tag: "Midjourney"}))
        assert marked(data, Mark.GENERATOR) == ["Midjourney"], tag
    assert marked(encode(photo(), "JPEG", comment="DALL·E 3"), Mark.GENERATOR) == ["DALL·E 3"]


def test_unknown_png_texts_are_left_out_and_known_ones_shown() -> None:
    found = look(png_text(Software="GIMP", Author="Ann", date="2024", hash="c0ffee"))
    assert found == [
        Evidence(Mark.SOFTWARE, "PNG text", "Software", "GIMP"),
        Evidence(None, "PNG text", "Author", "Ann"),
    ]


def test_raw_profiles_of_imagemagick_are_read() -> None:
    body = b"Exif\x00\x00" + camera_exif().tobytes()[6:]
    text = b"\nexif\n    %d\n" % len(body) + body.hex().encode() + b"\n"
    data = into_png(chunk(b"zTXt", b"Raw profile type exif\x00\x00" + zlib.compress(text)))
    assert marked(data, Mark.CAMERA) == ["Canon EOS 80D"]
    broken = into_png(chunk(b"tEXt", b"Raw profile type exif\x00\nexif\n 4\nzz"))
    assert look(broken) == []


def test_a_text_bomb_costs_no_more_than_its_bound() -> None:
    bomb = b"parameters\x00\x00" + zlib.compress(b"Steps: 20, " * 10_000_000)
    (block,) = containers.blocks(into_png(chunk(b"zTXt", bomb)), "PNG")
    assert len(block.data) == containers.MAX_BLOCK
    assert len(look(into_png(*[chunk(b"zTXt", bomb)] * 200))) <= MAX_PIECES


# XMP and IPTC


def test_xmp_is_read_in_every_kind_of_file() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", GENERATED.decode())
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[exif.ExifTag.XMP] = GENERATED
    files = {kind: encode(photo(), kind, xmp=GENERATED) for kind in ("JPEG", "WEBP", "AVIF")}
    files["PNG"] = encode(photo(), "PNG", pnginfo=info)
    files["TIFF"] = encode(photo(), "TIFF", tiffinfo=tags)
    for kind, data in files.items():
        assert marked(data, Mark.SOURCE_TYPE) == [
            "trainedAlgorithmicMedia: says generated, by a trained model"
        ], kind


def test_xmp_is_read_as_attributes_elements_lists_and_resources() -> None:
    body = f"""<iptc:DigitalSourceType rdf:resource="{IPTC_TERMS}digitalCapture"/>
      <xmp:CreatorTool>Adobe Photoshop 25.4 &amp; more</xmp:CreatorTool>
      <dc:creator><rdf:Seq><rdf:li>Ann</rdf:li><rdf:li>Ben</rdf:li></rdf:Seq></dc:creator>
      <xmpMM:History><rdf:Seq>
        <rdf:li stEvt:action="saved" stEvt:softwareAgent="Adobe Photoshop 25.4"/>
        <rdf:li><rdf:Description><stEvt:softwareAgent>Adobe Firefly</stEvt:softwareAgent>
        </rdf:Description></rdf:li></rdf:Seq></xmpMM:History>"""
    data = description('photoshop:Credit="Made with Google AI" xmp:MetadataDate="2024"', body)
    found = look(encode(photo(), "JPEG", xmp=data))
    assert found == [
        Evidence(
            Mark.SOURCE_TYPE, "XMP", "source type", "digitalCapture: says captured by a camera"
        ),
        Evidence(Mark.GENERATOR, "XMP", "credit", "Made with Google AI"),
        Evidence(Mark.GENERATOR, "XMP", "history", "Adobe Firefly"),
        Evidence(Mark.SOFTWARE, "XMP", "creator tool", "Adobe Photoshop 25.4 & more"),
        Evidence(None, "XMP", "metadata date", "2024"),
        Evidence(None, "XMP", "creator", "Ann"),
        Evidence(None, "XMP", "creator", "Ben"),
        Evidence(None, "XMP", "history", "Adobe Photoshop 25.4, Adobe Firefly"),
    ]


def test_software_is_marked_once() -> None:
    data = encode(
        photo(), "JPEG", exif=camera_exif(), xmp=description('xmp:CreatorTool="Photoshop"')
    )
    assert marked(data, Mark.SOFTWARE) == ["Adobe Lightroom 6.7"]
    assert values(data)["XMP", "creator tool"] == "Photoshop"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_an_entity_bomb_is_never_expanded(encoding: str) -> None:
    entities = '<!ENTITY a0 "x">' + "".join(
        f'<!ENTITY a{n + 1} "{f"&a{n};" * 10}">' for n in range(12)
    )
    text = f'<?xml version="1.0"?><!DOCTYPE x [{entities}]><x><CreatorTool>&a12;</CreatorTool></x>'
    assert xmp.properties(text.encode(encoding)) == ([], True)
    found = look(encode(photo(), "JPEG", xmp=text.encode(encoding)))
    assert found == [Evidence(None, "XMP", "damaged", "XMP that cannot be read to the end")]


def test_outside_files_are_never_read() -> None:
    text = '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><x><Credit>&f;</Credit></x>'
    assert xmp.properties(text.encode()) == ([], True)


def test_what_stands_before_the_damage_is_kept() -> None:
    found, damaged = xmp.properties(description('xmp:CreatorTool="GIMP"', "<dc:a>")[:-40])
    assert found == [("CreatorTool", "GIMP")]
    assert damaged
    deep = b"<x>" * 100_000 + b"<y CreatorTool='late'>"
    assert xmp.properties(deep) == ([("CreatorTool", "late")], True)
    long = description('xmp:CreatorTool="GIMP"', "<dc:a>b</dc:a>" * 200_000)
    assert xmp.properties(long) == ([("CreatorTool", "GIMP")], False)
    assert xmp.properties(GENERATED + b"\x00\x00") == xmp.properties(GENERATED)


def iptc(*fields: tuple[int, bytes]) -> bytes:
    return b"".join(b"\x1c\x02" + bytes([n]) + struct.pack(">H", len(v)) + v for n, v in fields)


def photoshop(records: bytes) -> bytes:
    other = b"8BIM\x03\xed\x03abc" + struct.pack(">I", 3) + b"xyz\x00"
    padded = records + bytes(len(records) % 2)
    return other + b"8BIM\x04\x04\x00\x00" + struct.pack(">I", len(records)) + padded


def test_iptc_records_are_read() -> None:
    records = iptc((80, "André".encode("latin-1")), (5, b"x"), (110, b"Made with Google AI"))
    records += iptc((65, b"Photo Mechanic"))
    found = look(into_jpeg(segment(0xED, b"Photoshop 3.0\x00" + photoshop(records))))
    assert found == [
        Evidence(Mark.GENERATOR, "IPTC", "credit", "Made with Google AI"),
        Evidence(Mark.SOFTWARE, "IPTC", "program", "Photo Mechanic"),
        Evidence(None, "IPTC", "by-line", "André"),
    ]
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[exif.ExifTag.IPTC] = records
    tags.tagtype[exif.ExifTag.IPTC] = 7
    assert look(encode(photo(), "TIFF", tiffinfo=tags)) == found


# Hostile and damaged files


@cache
def laden() -> dict[str, bytes]:
    """Files with every kind of metadata there is."""
    tags, both = camera_exif(USER_COMMENT=b"ASCII\x00\x00\x00" + PARAMETERS.encode()), GENERATED
    tags.get_ifd(exif.ExifTag.GPS)[2] = (52.0, 31.0, 12.0)
    jpeg = encode(photo(32, 32), "JPEG", exif=tags, xmp=both, comment="\x1b[2Jx")
    records = photoshop(iptc((80, b"Ann\x07"), (110, b"x")))
    jpeg = jpeg[:2] + app11(IN_TWO) + segment(0xED, b"Photoshop 3.0\x00" + records) + jpeg[2:]
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", both.decode())
    info.add_text("parameters", PARAMETERS, zip=True)
    info.add_itxt("Comment", "\u202e\x1b]0;x\x07", zip=True)
    png = encode(photo(32, 32), "PNG", exif=tags, pnginfo=info)
    png = png[:33] + chunk(b"caBX", IN_TWO) + png[33:]
    tiff = TiffImagePlugin.ImageFileDirectory_v2()
    tiff[exif.ExifTag.XMP], tiff[exif.ExifTag.MAKE] = both, "Canon\x1b"
    avif = encode(photo(32, 32), "AVIF", speed=10, exif=tags, xmp=both)
    return {
        "JPEG": jpeg,
        "PNG": png,
        "WEBP": encode(photo(32, 32), "WEBP", exif=tags, xmp=both),
        "AVIF": avif + c2pa_files()["AVIF"][-len(STORE) - 45 :],
        "TIFF": encode(photo(32, 32), "TIFF", tiffinfo=tiff),
    }


def check(pieces: list[Evidence]) -> None:
    assert len(pieces) <= MAX_PIECES
    for piece in pieces:
        assert piece.value.isprintable()
        assert piece.name.isprintable()
        assert 0 < len(piece.value) <= MAX_VALUE
        assert 0 < len(piece.name) <= 60
    for mark in (Mark.CAMERA, Mark.SOFTWARE):
        assert [piece.mark for piece in pieces].count(mark) <= 1
    ranks = [[*Mark, None].index(piece.mark) for piece in pieces if piece.mark]
    unmarked_last = [piece.mark is None for piece in pieces]
    assert ranks == sorted(ranks)
    assert unmarked_last == sorted(unmarked_last)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_laden_files_are_read_and_kept_to_one_line(kind: str) -> None:
    pieces = look(laden()[kind])
    check(pieces)
    expected = {Mark.SOURCE_TYPE, Mark.CAMERA}
    if kind != "TIFF":
        expected |= {Mark.GENERATOR, Mark.SOFTWARE}
    if kind in ("JPEG", "PNG", "AVIF"):
        expected |= {Mark.C2PA}
    assert {piece.mark for piece in pieces} >= expected


EXPECTED_ERRORS = (ValueError, IndexError, struct.error, zlib.error)
"""What damage looks like; any other error that is caught is a fault of the reader."""


def expected_errors_only(caplog: pytest.LogCaptureFixture) -> None:
    for record in caplog.records:
        if record.exc_info and record.name.endswith("provenance"):
            assert isinstance(record.exc_info[1], EXPECTED_ERRORS), record.exc_info
    caplog.clear()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_mutated_files_never_raise(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="dgsforensics.provenance.claims")
    rng = random.Random(kind)
    whole = laden()[kind]
    numbers = (b"\x00\x00\x00\x00", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x00\x00\x00\x01")
    for _ in range(600):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 12)):
            at = rng.randrange(len(data))
            match rng.randrange(4):
                case 0:
                    data[at] = rng.randrange(256)
                case 1:
                    data[at : at + 4] = rng.choice(numbers)
                case 2:
                    del data[at : at + rng.randint(1, 40)]
                case 3:
                    data[at:at] = data[: rng.randint(1, 40)]
        check(read(bytes(data), kind))
    expected_errors_only(caplog)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_truncated_files_never_raise(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="dgsforensics.provenance.claims")
    whole = laden()[kind]
    for length in range(0, len(whole), 11):
        check(read(whole[:length], kind))
    expected_errors_only(caplog)


@given(
    data=st.binary(max_size=300),
    kind=st.sampled_from(["JPEG", "PNG", "WEBP", "AVIF", "HEIC", "TIFF", "CR2", "GIF", "", None]),
    head=st.sampled_from([b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"II*\x00\x08\x00\x00\x00"]),
)
@settings(max_examples=300, deadline=None)
def test_any_bytes_give_evidence_or_none(data: bytes, kind: str | None, head: bytes) -> None:
    check(read(head + data, kind))


@given(data=st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_metadata_gives_evidence_or_none(data: bytes) -> None:
    wrappings: list[Callable[[bytes], bytes]] = [
        lambda body: segment(0xE1, b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x05\x00" + body),
        lambda body: segment(0xE1, b"http://ns.adobe.com/xap/1.0/\x00<a CreatorTool='" + body),
        lambda body: segment(0xED, b"Photoshop 3.0\x008BIM\x04\x04" + body),
        lambda body: app11(jumb("c2pa", jumb("1", jumb("c2pa.claim", box(b"cbor", body))))),
        lambda body: segment(0xFE, body),
    ]
    check(read(b"\xff\xd8" + b"".join(wrap(data) for wrap in wrappings), "JPEG"))


@given(text=st.text(max_size=1500))
@settings(max_examples=100, deadline=None)
def test_any_text_is_one_bounded_line(text: str) -> None:
    body = b"Comment\x00\x00\x00\x00\x00" + text.encode()
    pieces = read(b"\x89PNG\r\n\x1a\n" + chunk(b"iTXt", body), "PNG")
    check(pieces)
    words = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    if pieces and pieces[0].mark is None and not words.startswith("\x00"):
        assert pieces[0].value.rstrip("…") in words


def test_many_pieces_and_long_values_are_cut() -> None:
    chunks = [chunk(b"tEXt", b"Comment\x00%d " % n + b"y" * 2000) for n in range(5000)]
    pieces = look(into_png(*chunks))
    assert 10 < len(pieces) <= MAX_PIECES
    assert {len(piece.value) for piece in pieces} == {MAX_VALUE}
    assert all(piece.value.endswith("y…") for piece in pieces)


def test_pictures_without_metadata_claim_nothing() -> None:
    for name, data in gallery_bytes().items():
        assert not [piece for piece in look(data) if piece.mark], name


def test_no_decoder_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    files = laden()

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a decoder was started")

    monkeypatch.setattr(Image, "open", refuse)
    monkeypatch.setattr(Image.Image, "load", refuse)
    for data in files.values():
        assert look(data)
