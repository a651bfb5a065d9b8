"""How image generators and their programs name themselves, and the IPTC terms for what an image is.

A name says only that somebody wrote it there: a photographer may thank Midjourney in a caption.
Common words (Imagen, Gemini, Flux, Firefly) count in company only: they mean other things too.
"""

import re
from itertools import islice

_NAMES = re.compile(
    r"""\b(?:
    midjourney | dall[\W_]?e\b | chatgpt | openai | gpt-?4o\b | gpt-image
    | (?:adobe[\s_]|^)firefly | stable[\s_-]?diffusion | dreamstudio | stability\.?\s?ai\b
    | sdxl\b | stablediffusion | automatic1111 | sd-?webui | comfy\s?ui | invoke\s?ai | novelai
    | fooocus | swarmui | easy\sdiffusion | diffusionbee | ^draw\sthings | mochi\sdiffusion
    | civitai | black\sforest\slabs | flux[.\s-]?[12]\b
    | (?:google\s|vertex\sai\s?)imagen | imagen-[2-9]\b | google[\s_]gemini | gemini[\s-][1-9]\.\d
    | nano[\s-]banana | (?:made|edited|created|generated)\swith\sgoogle\sai | synthid
    | bing\simage\screator | microsoft\sdesigner | image\screator\sfrom\sdesigner
    | imagined\swith\sai | meta\sai\b | grok\b | x\.ai\b | ideogram | leonardo\.?\s?ai\b | recraft
    | playground\.?\s?ai\b | craiyon | nightcafe | krea[.\s]ai\b | runway\s?ml | runwayml
    | starryai | artbreeder | seedream | dreamina | jimeng | hunyuan | qwen[\s-]image | doubao
    | aigc\b | (?<!not\s)(?<!no\s)(?<!non[\s-])ai[\s_-]generated
    | generated\s(?:by|with|using)\s(?:an\s)?ai\b
    | trained_?algorithmic_?media | job\sid:\s[0-9a-f]{8}-
    )""",
    re.IGNORECASE | re.VERBOSE,
)
_SIGNATURE = re.compile(r"Signature: [A-Za-z0-9+/=]{40,}$")
"""How Grok signs its images, in the description."""
_SETTINGS = re.compile(r"\bSteps: \d+, ")
"""Written by AUTOMATIC1111's interface and its many relatives behind the prompts; with it these."""
_OTHER_SETTINGS = re.compile(r"\b(?:Sampler|CFG scale|Seed): ")
_NEAR = 200
_MAX_CANDIDATES = 20
_MODEL = re.compile(r'"(?:ckpt_name|unet_name|model_name)"\s*:\s*"([^"]{1,120})"')
_KEYS = {
    *("dream", "sd-metadata", "invokeai_metadata", "invokeai_graph", "invokeai_workflow"),
    *("prompt", "negative_prompt", "generation_data", "fooocus_scheme", "aigc"),
}
"""Names, in lower case, that nothing but generators gives to its texts."""
_SOURCE_TYPES = {
    "trainedAlgorithmicMedia": "says generated, by a trained model",
    "compositeWithTrainedAlgorithmicMedia": "says generated in part, by a trained model",
    "compositeSynthetic": "says composed, with generated parts",
    "algorithmicMedia": "says generated, by an algorithm without training",
    "algorithmicallyEnhanced": "says not generated, enhanced by an algorithm",
    "digitalCapture": "says captured by a camera",
    "computationalCapture": "says captured by a camera, from several frames",
    "negativeFilm": "says scanned from a negative",
    "positiveFilm": "says scanned from a slide",
    "print": "says scanned from paper",
    "minorHumanEdits": "says captured, with small edits by a person",
    "humanEdits": "says edited by a person",
    "compositeCapture": "says composed of captures",
    "composite": "says composed of several images",
    "digitalCreation": "says made by a person with software",
    "digitalArt": "says made by a person with software",
    "softwareImage": "says made with software",
    "dataDrivenMedia": "says drawn from data",
    "screenCapture": "says captured from a screen",
    "virtualRecording": "says recorded from a virtual scene",
}
"""https://cv.iptc.org/newscodes/digitalsourcetype, with those retired."""
_BY_LOWER_CASE = {term.lower(): term for term in _SOURCE_TYPES}


def is_generator(text: str) -> bool:
    """Return whether a short text names a generator."""
    return _NAMES.search(text) is not None


def claims(name: str, text: str) -> list[tuple[str, str]]:
    """Return what a text under a name claims about a generator, as names and values; empty if
    nothing.
    """
    for settings in islice(_SETTINGS.finditer(text), _MAX_CANDIDATES):
        if _OTHER_SETTINGS.search(text, settings.end(), settings.end() + _NEAR):
            prompt, _, negative = text[: settings.start()].partition("Negative prompt:")
            found = ("parameters", text[settings.start() :]), ("prompt", prompt)
            return [piece for piece in (*found, ("negative prompt", negative)) if piece[1].strip()]
    nodes = text.count('"class_type"')
    if nodes or ('"nodes"' in text and '"links"' in text):
        models = ", ".join(dict.fromkeys(_MODEL.findall(text)))
        value = f"ComfyUI graph of {nodes} nodes" if nodes else "ComfyUI workflow"
        return [
            ("prompt" if nodes else "workflow", f"{value}; model {models}" if models else value)
        ]
    if _SIGNATURE.match(text):
        return [(name, f"signed as images of Grok are: {text}")]
    settings_in_json = '"prompt"' in text and ('"steps"' in text or '"seed"' in text)
    if name.lower() in _KEYS or settings_in_json or is_generator(text[:500]):
        return [(name, text)]
    return []


def source_type(text: str) -> str:
    """Return the IPTC term in an address, and what it says; unknown terms as they are."""
    term = text.rstrip("/").rpartition("/")[2]
    known = _BY_LOWER_CASE.get(term.lower())
    return f"{known}: {_SOURCE_TYPES[known]}" if known else term


def says_generated(text: str) -> bool:
    """Return whether a source type means that a trained model made the image or a part of it."""
    return "trainedalgorithmicmedia" in text.lower()


def says_captured(text: str) -> bool:
    """Return whether a source type, as `source_type` words it, means that the image is a capture
    of what was before a camera or on film."""
    return text.partition(":")[0] in _CAPTURES


_CAPTURES = {
    *("digitalCapture", "computationalCapture", "negativeFilm", "positiveFilm", "print"),
    "minorHumanEdits",
}
