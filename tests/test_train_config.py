import dataclasses
import tomllib
from pathlib import Path

import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from dgsforensics.detector.config import HeadConfig, InputConfig, LoraConfig
from dgsforensics.errors import ConfigError
from dgsforensics.trainer.config import CardConfig, SourcesConfig, SurgeryConfig, TrainConfig, read


def from_toml(text: str) -> TrainConfig:
    return TrainConfig.from_dict(tomllib.loads(text))


# Round trip

names = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)
positive = st.floats(1e-300, 1e300)
blocks = st.sets(st.integers(0, 40)).map(sorted).map(tuple)
inputs = st.builds(
    InputConfig,
    view=st.just("whole"),
    size=st.integers(1, 2000),
    mean=st.tuples(*[st.floats(-2, 2)] * 3),
    std=st.tuples(*[positive] * 3),
    canonical=st.sampled_from(["none", "standard"]),
)
adapters = st.builds(
    LoraConfig,
    rank=st.integers(1, 1024),
    alpha=positive,
    dropout=st.floats(0, 0.999),
    scaling=st.sampled_from(["alpha/sqrt(rank)", "alpha/rank"]),
    blocks=st.none() | blocks.filter(bool),
)
surgeries = st.builds(
    SurgeryConfig,
    weight=st.floats(0, 1e300),
    order=st.sampled_from(["reference", "paper"]),
    reduction=st.sampled_from(["reference", "per_sample"]),
)
caps = st.none() | st.integers(1, 10**6)
sources = st.builds(
    SourcesConfig,
    exclude=st.sets(names.map("a{}".format)).map(tuple),
    exclude_styles=st.sets(names).map(tuple),
    calibration=st.sets(names.map("b{}".format)).map(tuple),
    test=st.sets(names.map("c{}".format)).map(tuple),
    real=caps,
    generated=caps,
    held_out=caps,
    cell_weight=st.none() | positive,
    source_weight=st.none() | positive,
)
plain = {
    "caption_model": names,
    "lora": st.none() | adapters,
    "surgery": surgeries,
    "augmentation": st.sampled_from(["web", "flip", "none"]),
    "draws": st.integers(1, 10**6),
    "first_as_is": st.booleans(),
    "sources": sources,
    "card": st.builds(CardConfig, summary=st.none() | names, limits=st.lists(names).map(tuple)),
    "balance": st.floats(0, 1),
    "epochs": st.integers(1, 10**6),
    "batch": st.integers(1, 10**6),
    "lr": positive,
    "l2": positive,
    "replay": st.integers(0, 10**6),
    "replay_held": st.integers(0, 10**6),
    "validation": st.floats(1e-300, 0.5),
    "split_by": st.sampled_from(["auto", "generator", "source", "group"]),
    "skip_unreadable": st.booleans(),
    "max_regression": st.floats(0, 1),
    "precision": st.sampled_from([None, "float32", "bfloat16"]),
    "seed": st.integers(0, 2**32 - 1),
}
bases = st.fixed_dictionaries({"base": names.filter(lambda name: name != "none")}) | (
    st.fixed_dictionaries(
        {
            "base": st.just("none"),
            "backbone": st.none() | names,
            "input": st.none() | inputs,
            "head": st.none() | st.builds(HeadConfig, blocks),
        }
    )
)
meanings = st.one_of(
    st.fixed_dictionaries({"captions": names, "semantics": st.sampled_from([None, "captions"])}),
    st.fixed_dictionaries({"semantics": st.sampled_from([None, "lowpass", "none"])}),
)
methods = ["auto", "dgs", "lora"]
results = st.one_of(  # a probe has no student to return
    st.fixed_dictionaries(
        {}, optional={"method": st.sampled_from([*methods, "probe"]), "result": st.just("best")}
    ),
    st.fixed_dictionaries({"method": st.sampled_from(methods), "result": st.just("student")}),
)
configs = st.builds(
    lambda some, base, meaning, result: TrainConfig(**some | base | meaning | result),
    st.fixed_dictionaries({}, optional=plain),
    bases,
    meanings,
    results,
)


@given(configs)
@settings(deadline=None)
def test_a_written_configuration_is_read_back_the_same(config) -> None:
    text = config.to_toml()
    again = from_toml(text)
    assert again == config
    assert again.to_toml() == text


def test_the_strategy_covers_every_field() -> None:
    varied = {*plain, "base", "backbone", "input", "head", "captions", "semantics"}
    varied |= {"method", "result"}
    assert varied == {field.name for field in dataclasses.fields(TrainConfig)}


def test_a_file_is_read(tmp_path) -> None:
    file = tmp_path / "options.toml"
    text = '\ufeffmethod = "lora"\r\nepochs = 7\r\n[surgery]\r\norder = "paper"\r\n'
    file.write_bytes(text.encode())
    config = TrainConfig.from_dict(read(file))
    assert config == TrainConfig(method="lora", epochs=7, surgery=SurgeryConfig(order="paper"))


def test_an_empty_file_is_the_defaults(tmp_path) -> None:
    file = tmp_path / "options.toml"
    file.write_text("")
    assert TrainConfig.from_dict(read(file)) == TrainConfig()


def test_whole_numbers_are_the_same_choice_as_floats() -> None:
    whole = from_toml(
        'base = "none"\nlr = 1\nmax_regression = 0\nbalance = 0\nlora = { alpha = 6 }\n'
        'input = { view = "whole", mean = [0, 0, 0], std = [1, 1, 1] }'
    )
    floats = from_toml(
        'base = "none"\nlr = 1.0\nmax_regression = 0.0\nbalance = 0.0\nlora = { alpha = 6.0 }\n'
        'input = { view = "whole", mean = [0.0, 0.0, 0.0], std = [1.0, 1.0, 1.0] }'
    )
    assert whole.to_toml() == floats.to_toml()  # what a run that goes on is recognised by


# What is refused

WRONG = {
    "method": ['"sgd"', "1", "[]", "{}", '""', "true", '"DGS"'],
    "base": ["1", '["dgs-b16"]', "{}", "true"],
    "semantics": ['"text"', "0", '""'],
    "captions": ["1", '["a", "b"]', "false"],
    "caption_model": ["1", "[]"],
    "augmentation": ['"strong"', "0"],
    "draws": ["0", "-1", "1.5", '"2"', "true", "inf", "[2]"],
    "balance": ["-0.1", "1.1", "nan", '"0"', "false"],
    "epochs": ["0", "-3", "2.0", '"3"', "true"],
    "batch": ["0", "-1", "32.0", "nan"],
    "lr": ["0", "0.0", "-1e-4", "nan", "inf", '"1e-4"', "true", "[1e-4]", "1" + "0" * 400],
    "l2": ["0", "-1", "nan", "inf", "1979-05-27"],
    "validation": ["0", "0.51", "-0.2", "1", "nan"],
    "split_by": ['"image"', "1"],
    "skip_unreadable": ["1", "0", '"yes"'],
    "first_as_is": ["1", "0", '"yes"'],
    "result": ['"teacher"', "1", "true"],
    "replay": ["-1", "1.5", "true", '"40"'],
    "replay_held": ["-1", "1.5", "true", '"40"'],
    "sources": ["1", '"all"', "true"],
    "card": ["1", '"mine"', "true"],
    "max_regression": ["-0.01", "1.01", "nan", "inf"],
    "precision": ['"float16"', "32", '"none"'],
    "seed": ["-1", "4294967296", "1.0", "true", "1" + "0" * 400],
    "lora": ["1", '"all"', "true", "[[]]"],
    "surgery": ['"paper"', "0.2", "[]"],
}
LISTS = ("exclude", "exclude_styles", "calibration", "test")
WRONG_INSIDE = {
    "surgery": {
        "weight": ["-0.1", "nan", "inf", '"0.2"', "true"],
        "order": ['"papr"', "1"],
        "reduction": ['"mean"', "[]"],
    },
    "lora": {
        "rank": ["0", "1025", "6.0", "true", '"6"'],
        "alpha": ["0", "nan", "inf", '"6"'],
        "dropout": ["-0.1", "1", "1.0", "nan"],
        "scaling": ['"alpha"', "2"],
        "blocks": ["[]", "3", '["0"]', "[0.0]", "[true]", "[[0]]", "{ a = 1 }"],
    },
    "input": {
        "view": ['"nose"', "1"],
        "canonical": ['"square"', "1", "true"],
        "size": ["0", "-224", "224.5", "true", "336"],
        "mean": ["[0.5]", "0.5", '["a", "b", "c"]', "[nan, 0, 0]", "[[0.5], [0.5], [0.5]]"],
        "std": ["[0, 1, 1]", "[-1, 1, 1]", "[1, 1, 1, 1]", "[inf, 1, 1]"],
    },
    "sources": {
        **{name: ["1", '"a"', "[1]", "true"] for name in LISTS},
        "exclude_images": ["1", '["abc"]', '["ABCDEF01"]', "[12345678]"],
        **{name: ["0", "-1", "1.5", "true", '"5"'] for name in ("real", "generated", "held_out")},
        **{name: ["0", "-1", "nan", "inf", '"1"'] for name in ("cell_weight", "source_weight")},
    },
    "card": {
        "summary": ["1", "true", "[]"],
        "limits": ["1", '"one"', "[1]"],
        "licence": ["1", "true", "[]"],
    },
    "head": {"blocks": ["[3, 1]", "[1, 1]", "[-1]", "1", "[1.0]", '"all"', "[true]"]},
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG.items() for value in values]
)
def test_a_wrong_value_is_refused_by_name(name, value) -> None:
    with pytest.raises(ConfigError, match=f"(?i){name}"):
        from_toml(f"{name} = {value}")


@pytest.mark.parametrize(
    ("table", "name", "value"),
    [
        (table, name, value)
        for table, fields in WRONG_INSIDE.items()
        for name, values in fields.items()
        for value in values
    ],
)
def test_a_wrong_value_in_a_table_is_refused_by_name(table, name, value) -> None:
    with pytest.raises(ConfigError, match=f"(?i){table}.*{name}"):
        from_toml(f'base = "none"\n[{table}]\n{name} = {value}')


def test_every_field_is_tried_with_wrong_values() -> None:
    fields = {field.name for field in dataclasses.fields(TrainConfig)}
    assert fields == {*WRONG, *WRONG_INSIDE, "backbone"}
    for table, kind in (
        ("surgery", SurgeryConfig),
        ("lora", LoraConfig),
        ("input", InputConfig),
        ("head", HeadConfig),
        ("sources", SourcesConfig),
        ("card", CardConfig),
    ):
        assert {field.name for field in dataclasses.fields(kind)} == set(WRONG_INSIDE[table])


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("epoch = 3", "epoch"),
        ("Epochs = 3", "Epochs"),
        ('"epochs " = 3', "epochs "),
        ('"" = 3', "''"),
        ("[surgery]\nlambda = 1", "lambda"),
        ("[train]\nepochs = 3", "train"),
        ("[surgery.weight]\nvalue = 1", "weight"),
        ("[lora]\nrank = 4\n[lora.blocks]\nfirst = 0", "blocks"),
        ("[[surgery]]\nweight = 0.1", "Surgery"),
        ("[[lora]]\nrank = 4\n[[lora]]\nrank = 5", "Lora"),
        ("[lora]\nrank = 4\nepochs = 3", "epochs"),
        ("epochs.count = 3", "epochs"),
        ('base = "none"\n[[head]]\nblocks = [1]', "Head"),
    ],
)
def test_unknown_fields_and_wrong_nesting_are_named(text, word) -> None:
    with pytest.raises(ConfigError, match=word):
        from_toml(text)


def test_an_unknown_field_comes_with_the_known_ones() -> None:
    with pytest.raises(ConfigError) as caught:
        from_toml("epoch = 3")
    assert "epochs" in str(caught.value.hint)


@pytest.mark.parametrize("name", ["backbone", "input", "head"])
def test_what_comes_with_a_base_cannot_be_chosen_beside_it(name) -> None:
    value = {"backbone": '"ViT-L-14-quickgelu"', "input": "{}", "head": "{}"}[name]
    with pytest.raises(ConfigError, match=f"{name} comes with the base detector") as caught:
        from_toml(f"{name} = {value}")
    assert 'base = "none"' in str(caught.value.hint)
    assert from_toml(f'base = "none"\n{name} = {value}').from_scratch


def test_captions_and_semantics_must_agree() -> None:
    for semantics in ("lowpass", "none"):
        with pytest.raises(ConfigError, match="captions are given"):
            TrainConfig(captions="sidecar", semantics=semantics)
    with pytest.raises(ConfigError, match="none are named"):
        TrainConfig(semantics="captions")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "lowpass"),
        ({"semantics": "none"}, "none"),
        ({"captions": "sidecar"}, "captions"),
        ({"captions": "sidecar", "semantics": "captions"}, "captions"),
        ({"method": "lora"}, "none"),
        ({"method": "probe", "semantics": "lowpass"}, "none"),
    ],
)
def test_what_suppression_takes_for_the_content(options, expected) -> None:
    assert TrainConfig(**options).suppression == expected


@pytest.mark.parametrize("name", ["base", "captions", "caption_model"])
def test_a_name_that_cannot_be_written_down_is_refused_before_training(name) -> None:
    with pytest.raises(ConfigError, match=f"{name} .* not UTF-8"):
        TrainConfig(**{name: "caf\udce9.json"})


# Damaged files


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe",
        b"base = 'caf\xe9'",
        b"epochs 3",
        b"epochs = ",
        b"epochs = 3\nepochs = 4",
        b"[surgery]\n[surgery]",
        b"\x00",
        b"lr = 1e",
        b"a = " + b"[" * 100_000,
        b"seed = " + b"1" * 5000,
        b"\x89PNG\r\n\x1a\n",
    ],
)
def test_a_damaged_file_is_named(content, tmp_path) -> None:
    file = tmp_path / "options.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"options\.toml"):
        read(file)


def test_a_file_that_cannot_be_read_is_named(tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*gone"):
        read(tmp_path / "gone.toml")
    with pytest.raises(ConfigError, match="cannot read"):
        read(tmp_path)


@given(st.dictionaries(names, st.integers() | names | st.booleans() | st.floats(), max_size=4))
def test_any_other_file_is_refused_or_understood(data) -> None:
    try:
        TrainConfig.from_dict(tomllib.loads(tomli_w.dumps(data)))
    except ConfigError as error:
        assert error.message
    else:
        assert set(data) <= {field.name for field in dataclasses.fields(TrainConfig)}


def test_the_example_in_the_docstring_is_one() -> None:
    from dgsforensics.trainer import config

    lines = (config.__doc__ or "").splitlines()
    example = "\n".join(line for line in lines if line.startswith("    "))
    assert from_toml(example.replace("    ", "")).surgery.order == "paper"


def test_the_file_is_taken_as_it_lies(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("here.toml").write_text("seed = 5")
    assert read(Path("here.toml")) == {"seed": 5}
