import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from conftest import photo
from dgsforensics.datasets.labelled import Sample
from dgsforensics.errors import DgsError, UnreadableError
from dgsforensics.records import Label
from dgsforensics.trainer.captions import blip
from dgsforensics.trainer.captions.blip import caption

CPU = torch.device("cpu")
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "photo", "of", "cat", "dog", "red"]
START = len(WORDS)
"""As in the real models, no word of the tokenizer."""


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """Threads that wait for each other take most of the time of so small a model."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def write_model(folder, seed=3):
    """A tiny BLIP of random weights, with its processor."""
    from transformers import (
        BertTokenizer,
        BlipConfig,
        BlipForConditionalGeneration,
        BlipImageProcessor,
        BlipProcessor,
    )

    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    tokenizer = BertTokenizer(str(folder / "vocab.txt"))
    size = {"hidden_size": 16, "intermediate_size": 32, "projection_dim": 16}
    size |= {"num_hidden_layers": 1, "num_attention_heads": 2}
    tokens = {"bos_token_id": START, "eos_token_id": 3, "sep_token_id": 3, "pad_token_id": 0}
    config = BlipConfig(
        text_config=size | tokens | {"vocab_size": START + 1, "encoder_hidden_size": 16},
        vision_config=size | {"image_size": 32, "patch_size": 16},
        projection_dim=16,
        image_text_hidden_size=16,
    )
    network = BlipForConditionalGeneration(config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():  # large weights and no biases: pictures and words make a difference
        for parameter in network.parameters():
            if parameter.ndim > 1:
                parameter.copy_(torch.randn(parameter.shape, generator=generator))
        network.text_decoder.cls.predictions.bias[[0, 1, 2, 4, START]] = -50
    network.save_pretrained(folder)
    BlipProcessor(BlipImageProcessor(size={"height": 32, "width": 32}), tokenizer).save_pretrained(
        folder
    )
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("blip") / "model")


@pytest.fixture
def samples(tmp_path):
    made = []
    for seed in range(7):
        path = tmp_path / f"{seed}.png"
        photo(60, 50, seed).save(path)
        made.append(Sample(path, Label.REAL, None, "here", str(seed), f"{seed:064}", "photo"))
    return made


def lines(cache):
    return [json.loads(line) for line in (cache / "captions.jsonl").read_text().splitlines()]


@pytest.fixture
def no_model(monkeypatch):
    monkeypatch.setattr(blip, "load", lambda *_: pytest.fail("the model was loaded"))


def test_captions_are_those_of_transformers(model, samples, tmp_path):
    from PIL import Image
    from transformers import BlipForConditionalGeneration, BlipProcessor

    processor = BlipProcessor.from_pretrained(model)
    network = BlipForConditionalGeneration.from_pretrained(model).eval()
    expected = []
    for sample in samples:
        inputs = processor(images=Image.open(sample.path), return_tensors="pt")
        tokens = network.generate(**inputs, do_sample=False, num_beams=1, max_new_tokens=30)
        expected.append(processor.decode(tokens[0, 1:], skip_special_tokens=True))
    found = caption(samples, str(model), tmp_path / "cache", CPU, batch=3)
    assert found == expected
    assert len(set(found)) == 7
    assert len({len(text.split()) for text in found}) > 3


def test_order_batch_and_company_make_no_difference(model, samples, tmp_path):
    reference = caption(samples, str(model), tmp_path / "a", CPU, batch=4)
    assert caption(samples[::-1], str(model), tmp_path / "b", CPU, batch=4) == reference[::-1]
    assert caption(samples[5:6], str(model), tmp_path / "c", CPU, batch=4) == reference[5:6]
    assert caption(samples, str(model), tmp_path / "d", CPU, batch=1) == reference


def test_the_model_always_sees_a_full_batch(model, samples, tmp_path, monkeypatch):
    sizes = []
    load = blip.load

    def recording(*arguments):
        processor, network = load(*arguments)
        generate = network.generate
        network.generate = lambda **k: sizes.append(len(k["pixel_values"])) or generate(**k)
        return processor, network

    monkeypatch.setattr(blip, "load", recording)
    assert len(caption(samples, str(model), tmp_path / "cache", CPU, batch=3)) == 7
    assert sizes == [3, 3, 3]


def test_what_is_cached_is_not_written_again(model, samples, tmp_path, monkeypatch):
    first = caption(samples, str(model), tmp_path / "cache", CPU)
    monkeypatch.setattr(blip, "load", lambda *_: pytest.fail("the model was loaded"))
    for sample in samples:
        sample.path.unlink()
    monkeypatch.chdir(model.parent)  # the same folder under another name
    assert caption(samples[::-1], "model", tmp_path / "cache", CPU) == first[::-1]
    assert len(lines(tmp_path / "cache")) == len(samples)


def test_a_killed_run_goes_on(model, samples, tmp_path):
    cache = tmp_path / "cache"
    whole = samples[4].path.read_bytes()
    samples[4].path.write_bytes(whole[:200])
    told = []
    with pytest.raises(UnreadableError, match=r"4\.png: "):
        caption(samples, str(model), cache, CPU, 2, lambda *p: told.append(p))
    assert told == [(2, 7), (4, 7)]
    kept = lines(cache)
    assert [row["sha256"] for row in kept] == [sample.sha256 for sample in samples[:4]]
    samples[4].path.write_bytes(whole)
    told.clear()
    found = caption(samples, str(model), cache, CPU, 2, lambda *p: told.append(p))
    assert told == [(2, 3), (3, 3)]
    assert lines(cache)[:4] == kept
    assert found == caption(samples, str(model), tmp_path / "fresh", CPU, 2)


@pytest.mark.parametrize("cut", [1, 5, 60])
def test_a_torn_last_line_is_mended(model, samples, tmp_path, cut):
    cache = tmp_path / "cache"
    found = caption(samples, str(model), cache, CPU)
    file = cache / "captions.jsonl"
    content = file.read_bytes()
    file.write_bytes(content[:-cut])
    told = []
    again = caption(samples, str(model), cache, CPU, progress=lambda *p: told.append(p))
    assert again == found
    assert told == [(1, 1)]
    assert file.read_bytes() == content


def test_a_cache_torn_to_nothing(model, samples, tmp_path):
    (tmp_path / "captions.jsonl").write_bytes(b'{"model": "x", "sha')
    caption(samples[:2], str(model), tmp_path, CPU)
    assert len(lines(tmp_path)) == 2


@pytest.mark.parametrize("line", [b"\0\0\0", b"{}", b"[]", b"3", b"\xff", b'{"model": "M"}'])
def test_a_damaged_cache_is_named_with_its_line(samples, tmp_path, no_model, line):
    good = json.dumps({"model": "M", "sha256": "0", "caption": "a"}).encode()
    (tmp_path / "captions.jsonl").write_bytes(good + b"\n" + line + b"\n" + good + b"\n")
    with pytest.raises(DgsError, match=r"captions\.jsonl, line 2: damaged") as caught:
        caption(samples, "M", tmp_path, CPU)
    assert "delete" in caught.value.hint


def test_models_are_kept_apart(model, samples, tmp_path):
    other = write_model(tmp_path / "other", seed=0)
    cache = tmp_path / "cache"
    first = caption(samples, str(model), cache, CPU)
    second = caption(samples, str(other), cache, CPU)
    assert first != second
    assert caption(samples, str(model), cache, CPU) == first
    assert len({row["model"] for row in lines(cache)}) == 2


def test_captions_of_the_data_go_first(samples, tmp_path, no_model):
    own = [
        Sample(s.path, s.label, None, "here", "g", s.sha256, "photo", f"a  cat {i}")
        for i, s in enumerate(samples)
    ]
    assert caption(own, "nobody/asks", tmp_path, CPU) == [f"a cat {i}" for i in range(7)]


def test_equal_images_are_captioned_once(model, samples, tmp_path):
    same = Sample(samples[0].path, Label.REAL, None, "there", "g", samples[0].sha256, "photo")
    found = caption([samples[0], samples[1], same], str(model), tmp_path / "cache", CPU)
    assert found[0] == found[2]
    assert len(lines(tmp_path / "cache")) == 2


def test_no_samples(tmp_path, no_model):
    assert caption([], "nobody/asks", tmp_path, CPU) == []


def test_pictures_of_any_kind(model, gallery, tmp_path):
    names = ("cmyk.jpg", "grey16.png", "rgba.png", "dot.png", "animated.gif", "not_utf8")
    samples = [
        Sample(gallery[name], Label.REAL, None, "here", name, name, "photo")
        for name in names
        if name in gallery
    ]
    assert all(caption(samples, str(model), tmp_path / "cache", CPU))


def test_a_model_with_nothing_to_say(samples, tmp_path, no_model):
    row = {"model": "M", "sha256": samples[1].sha256, "caption": ""}
    (tmp_path / "captions.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(DgsError, match=r"nothing to say of 1 images.*1\.png"):
        caption(samples[1:2], "M", tmp_path, CPU)


# Models that are not there


def test_without_the_extra(samples, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(DgsError, match="the extra 'captions'") as caught:
        caption(samples, blip.MODEL, tmp_path, CPU)
    assert caught.value.hint == "pip install 'dgsforensics[captions]'"


@pytest.mark.parametrize("name", [blip.MODEL, "no/such/name", "", "../gone"])
def test_a_model_out_of_reach(samples, tmp_path, name):
    with pytest.raises(DgsError, match="nor to be had from the hub") as caught:
        caption(samples, name, tmp_path, CPU)
    assert "give the folder" in caught.value.hint


@pytest.mark.parametrize("gone", ["config.json", "model.safetensors", "processor_config.json"])
def test_a_folder_that_is_not_whole(samples, tmp_path, gone):
    folder = write_model(tmp_path / "model")
    (folder / gone).unlink()
    with pytest.raises(DgsError, match="neither a folder here that can be read"):
        caption(samples, str(folder), tmp_path / "cache", CPU)


def test_weights_that_lack_a_layer_are_refused(samples, tmp_path):
    folder = write_model(tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    key = "vision_model.post_layernorm.weight"
    del tensors[key]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(DgsError, match=f"not a BLIP caption model: it lacks {key}"):
        caption(samples, str(folder), tmp_path / "cache", CPU)


def test_damaged_weights_are_refused(samples, tmp_path):
    folder = write_model(tmp_path / "model")
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[:-500])
    with pytest.raises(DgsError, match="neither a folder here that can be read"):
        caption(samples, str(folder), tmp_path / "cache", CPU)


def test_nothing_is_printed(model, samples, tmp_path):
    code = (
        "import sys, torch\nfrom pathlib import Path\n"
        "from dgsforensics.datasets.labelled import Sample\n"
        "from dgsforensics.records import Label\n"
        "from dgsforensics.trainer.captions.blip import caption\n"
        "s = Sample(Path(sys.argv[1]), Label.REAL, None, 'here', 'g', 'ab', 'photo')\n"
        "assert caption([s], sys.argv[2], Path(sys.argv[3]), torch.device('cpu'))\n"
    )
    arguments = [str(samples[0].path), str(model), str(tmp_path / "cache")]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=300
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
