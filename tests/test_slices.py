from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from dgsforensics.choices import SliceBy
from dgsforensics.datasets.labelled import UNKNOWN, ListedImage
from dgsforensics.evaluation.slices import Slice, SliceImage, cut
from dgsforensics.records import FileFacts, Label


def entry(
    generator: str | None = None,
    source: str = UNKNOWN,
    kind: str | None = "JPEG",
    size: tuple[int | None, int | None] = (10, 10),
) -> SliceImage:
    label = Label.REAL if generator is None else Label.GENERATED
    listed = ListedImage(
        Path("x"), label, generator, source, None, None, None, None, "photo", "here"
    )
    return SliceImage(listed, FileFacts(format=kind, width=size[0], height=size[1]), "g")


def test_a_generator_against_the_real_images_of_its_own_source() -> None:
    entries = [
        entry(source="flickr"),
        entry("progan", "lsun"),
        entry(source="lsun"),
        entry("sd", "web"),
        entry("progan", "lsun"),
    ]
    assert cut(entries, SliceBy.GENERATOR) == [
        Slice("all", "slice", (0, 1, 2, 3, 4)),
        Slice("progan", "source", (1, 2, 4)),
        Slice("sd", "set", (0, 2, 3)),
    ]


def test_a_source_without_real_images_or_name_is_none() -> None:
    mixed = [entry("g", "a"), entry("g", "b"), entry(source="a"), entry(source="c")]
    assert cut(mixed, SliceBy.GENERATOR)[1] == Slice("g", "set", (0, 1, 2, 3))
    unknown = [entry("g"), entry(), entry(source="c")]
    assert cut(unknown, SliceBy.GENERATOR)[1] == Slice("g", "set", (0, 1, 2))


def test_one_class_only() -> None:
    assert cut([entry()], SliceBy.GENERATOR) == [Slice("all", "slice", (0,))]
    assert cut([entry("g")], SliceBy.GENERATOR)[1] == Slice("g", "set", (0,))


def test_by_source_format_and_size() -> None:
    entries = [
        entry(source="b", kind="PNG", size=(4000, 100)),
        entry("g", "a", None, (511, 512)),
        entry(source="b", size=(100, 511)),
        entry(source="b", size=(1023, 1024)),
    ]
    assert [(s.name, s.rows) for s in cut(entries, SliceBy.SOURCE)[1:]] == [
        ("a", (1,)),
        ("b", (0, 2, 3)),
    ]
    assert [s.name for s in cut(entries, SliceBy.FORMAT)[1:]] == ["JPEG", "PNG", "unknown"]
    assert [(s.name, s.rows) for s in cut(entries, SliceBy.SIZE)[1:]] == [
        ("below 512", (2,)),
        ("512 to 1023", (1,)),
        ("1024 to 2047", (3,)),
        ("2048 and more", (0,)),
    ]


names = st.sampled_from([UNKNOWN, "a", "b", "all"])


@given(
    st.lists(st.builds(entry, st.none() | names, names, st.sampled_from(["PNG", None]))),
    st.sampled_from(SliceBy),
)
def test_no_image_is_lost(entries: list[SliceImage], by) -> None:
    whole, *parts = cut(entries, by)
    assert whole.rows == tuple(range(len(entries)))
    for part in parts:
        assert list(part.rows) == sorted(set(part.rows))
    if by == "generator":
        made = [i for i, e in enumerate(entries) if e.listed.label == Label.GENERATED]
        found = [i for p in parts for i in p.rows if i in set(made)]
    else:
        made, found = list(whole.rows), [i for part in parts for i in part.rows]
    assert sorted(found) == made
