"""Captions that a BLIP model (arXiv 2201.12086) writes, as DGS-Net has them.

Each is kept as soon as it is written, by the content of the image and the name of the model, in a
file of JSON Lines that is only ever appended to; a killed run goes on where it stopped. Decoding is
greedy and batches have one fixed shape, so on one machine the same image has the same caption.
"""

import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from dgsforensics import tables
from dgsforensics.datasets.labelled import Sample
from dgsforensics.detector.read_ahead import ahead
from dgsforensics.errors import DgsError, ImageError
from dgsforensics.pictures import decoder

from .given import given

MODEL = "Salesforce/blip-image-captioning-base"
"""Name on the model hub of the one used when nobody says otherwise."""
_MAX_TOKENS = 30
"""A caption of BLIP has about ten."""


def caption(
    samples: Sequence[Sample],
    model: str,
    cache_folder: Path,
    device: torch.device,
    batch: int = 8,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[str]:
    """Return one caption a sample, in order; what the data give (`Sample.caption`) goes first.

    `model` is a name on the hub or a local folder. It is loaded only when the cache lacks captions;
    `progress` is told how many of those are done, and of how many. Raises `DgsError` when the model
    or its package is not to be had, when the cache is damaged, and when the model had nothing to
    say of an image; `ImageError` for an image that cannot be read.
    """
    captions = given(samples)
    open_ones = [s for s, caption in zip(samples, captions, strict=True) if caption is None]
    name = os.path.abspath(model) if os.path.isdir(model) else model
    cache_folder.mkdir(parents=True, exist_ok=True)
    file = cache_folder / "captions.jsonl"
    known = _read_cache(file, name)
    missing = list({s.sha256: s for s in open_ones if s.sha256 not in known}.values())
    if missing:
        done = 0
        with file.open("ab", buffering=0) as stream:
            for chunk in _written(missing, model, device, batch):
                rows = ({"model": name, "sha256": key, "caption": chunk[key]} for key in chunk)
                stream.write("".join(json.dumps(row) + "\n" for row in rows).encode())
                known.update(chunk)
                done += len(chunk)
                progress(done, len(missing))
    if silent := [sample.path for sample in open_ones if not known[sample.sha256]]:
        raise DgsError(
            f"the caption model had nothing to say of {len(silent)} images, the first: {silent[0]}",
            "give them captions in the data, or leave them out",
        )
    return [c or known[s.sha256] for s, c in zip(samples, captions, strict=True)]


def _read_cache(file: Path, model: str) -> dict[str, str]:
    """Return captions of one model by SHA-256. A last line that was not finished is cut off."""
    if not file.exists():
        return {}
    content = file.read_bytes()
    whole = tables.whole_lines(content)
    if len(whole) < len(content):
        os.truncate(file, len(whole))
    known = {}
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            row = json.loads(line)
            if row["model"] == model:
                known[str(row["sha256"])] = str(row["caption"])
        except (ValueError, KeyError, TypeError) as error:
            raise DgsError(
                f"{file}, line {number}: damaged: {error!r}",
                "delete that line, or the file: its captions are then written again",
            ) from error
    return known


def _written(
    samples: Sequence[Sample], model: str, device: torch.device, batch: int
) -> Iterator[dict[str, str]]:
    """Yield captions by SHA-256, a batch at a time."""
    processor, network = load(model, device)

    def prepare(sample: Sample) -> tuple[str, Tensor]:
        try:
            picture = decoder.load(sample.path)
        except ImageError as error:
            raise type(error)(f"{sample.path}: {error.message}", error.hint) from error
        pixels = processor(images=Image.fromarray(picture.pixels), return_tensors="pt").pixel_values
        return sample.sha256, pixels[0]  # (3, side, side)

    workers = min(4, os.cpu_count() or 1)
    window = ahead(prepare, samples, workers=workers, size=2 * batch, seconds=math.inf)
    prepared = (row for _, row in window if row is not None)
    while chunk := list(islice(prepared, batch)):
        rows = [pixels for _, pixels in chunk]
        padded = torch.stack([*rows, *rows[:1] * (batch - len(rows))]).to(device)
        with torch.inference_mode():
            tokens = network.generate(  # (batch, length), the first one marks the start
                pixel_values=padded, do_sample=False, num_beams=1, max_new_tokens=_MAX_TOKENS
            )
        texts = processor.batch_decode(tokens[: len(rows), 1:], skip_special_tokens=True)
        yield {key: " ".join(text.split()) for (key, _), text in zip(chunk, texts, strict=True)}


def load(model: str, device: torch.device) -> tuple[Any, Any]:
    """Return processor and network, the network in float32 and evaluation mode on the device."""
    try:
        from transformers import BlipForConditionalGeneration, BlipProcessor
        from transformers.utils import logging
    except ImportError as error:
        raise DgsError(
            "captions by a model need the extra 'captions'", "pip install 'dgsforensics[captions]'"
        ) from error
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        processor = BlipProcessor.from_pretrained(model)
        network, found = BlipForConditionalGeneration.from_pretrained(
            model, dtype=torch.float32, output_loading_info=True
        )
    except Exception as error:  # transformers and the hub client raise many unrelated types
        raise DgsError(
            f"the caption model {model} is neither a folder here that can be read nor to be had "
            f"from the hub ({type(error).__name__}: {' '.join(str(error).split())[:160]})",
            "connect once, or download it elsewhere and give the folder as the caption model",
        ) from error
    if found["missing_keys"]:  # those layers would be random
        raise DgsError(
            f"{model} is not a BLIP caption model: it lacks {sorted(found['missing_keys'])[0]}",
            f"give one such as {MODEL}",
        )
    return processor, network.to(device).eval()
