import pytest

from dgsforensics.provenance.generators import claims, is_generator, says_generated, source_type


@pytest.mark.parametrize(
    "text",
    [
        "Midjourney v6",
        "DALL-E 3",
        "DALL·E",
        "Adobe Firefly",
        "Adobe_Firefly",
        "Firefly 3",
        "Stable Diffusion XL",
        "stable-diffusion",
        "ChatGPT",
        "OpenAI-API",
        "gpt-image-1",
        "Google Imagen",
        "imagen-4.0-generate",
        "gemini-2.5-flash-image",
        "Made with Google AI",
        "Edited with Google AI",
        "Imagined with AI",
        "FLUX.1 [dev]",
        "Black Forest Labs API",
        "Ideogram AI",
        "Leonardo.Ai",
        "Bing Image Creator",
        "Grok",
        "NovelAI",
        "ComfyUI",
        "AI generated image",
        "a cat --v 5.2 Job ID: 0123abcd-0123-0123-0123-0123456789ab",
    ],
)
def test_generators_are_known_by_their_names(text: str) -> None:
    assert is_generator(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Adobe Photoshop 25.4 (Windows)",
        "Picasa",
        "Google",
        "Canon EOS 80D",
        "Fireflies over the meadow",
        "Photo: Ann Firefly",
        "Imagen 3 de 12",
        "Gemini 7 in orbit",
        "f.lux",
        "flux 12",
        "Sora Tanaka",
        "This is not AI-generated",
        "non-AI-generated",
        "I like to draw things",
        "metadata ai",
        "Use for AI training prohibited",
    ],
)
def test_other_words_are_not_generators(text: str) -> None:
    assert not is_generator(text)


def test_a_grok_signature_is_told_from_a_signature() -> None:
    ((name, value),) = claims("description", "Signature: " + "aB3+" * 20)
    assert name == "description"
    assert "Grok" in value
    assert claims("description", "Signature: Ann Other") == []


def test_settings_alone_are_enough_and_words_are_not() -> None:
    settings = "Steps: 30, CFG scale: 7, Seed: 3"
    assert claims("parameters", settings) == [("parameters", settings)]
    assert claims("comment", "Steps: 12, then turn left") == []


@pytest.mark.parametrize(
    ("text", "expected", "generated"),
    [
        (
            "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia",
            "trainedAlgorithmicMedia: says generated, by a trained model",
            True,
        ),
        (
            "https://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia/",
            "compositeWithTrainedAlgorithmicMedia: says generated in part, by a trained model",
            True,
        ),
        (
            "TRAINEDALGORITHMICMEDIA",
            "trainedAlgorithmicMedia: says generated, by a trained model",
            True,
        ),
        ("digitalCapture", "digitalCapture: says captured by a camera", False),
        ("http://example.org/newTerm", "newTerm", False),
        ("", "", False),
    ],
)
def test_source_types_say_whether_generated(text: str, expected: str, generated: bool) -> None:
    assert source_type(text) == expected
    assert says_generated(text) is generated
