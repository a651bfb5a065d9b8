"""The keys of the review: no key does two things, and a settings file cannot make it so."""

import pytest
from textual.binding import BindingsMap

from dgsforensics import settings
from dgsforensics.errors import UsageError
from dgsforensics.judgements import Judgement
from dgsforensics.tui.keys import KEYS, SECTIONS, bindings, remapped, spelled

DEFAULTS = [part for key in KEYS.values() for part in key.keys.split(",")]


def test_no_default_does_two_things() -> None:
    assert len(DEFAULTS) == len(set(DEFAULTS))
    assert remapped({}) == {}


def test_every_key_is_named_once_and_says_what_it_does() -> None:
    names = [key.name for keys in SECTIONS.values() for key in keys]
    assert names == list(KEYS) and len(names) == len(set(names))
    for key in KEYS.values():
        assert key.keys and key.action and key.says
        assert all(part == part.strip() != "" for part in key.keys.split(","))


def test_every_judgement_has_a_key_and_one_for_the_group() -> None:
    for number, judgement in enumerate(Judgement, 1):
        assert KEYS[judgement.value].action == f"label('{judgement}')"
        assert KEYS[judgement.value].keys.split(",")[0] == str(number)
        assert KEYS[f"group-{judgement}"].action == f"label_group('{judgement}')"


def test_textual_takes_them_all() -> None:
    made = BindingsMap(bindings())
    assert set(made.key_to_bindings) == set(DEFAULTS)
    for name, key in KEYS.items():
        for part in key.keys.split(","):
            assert [(b.id, b.action) for b in made.key_to_bindings[part]] == [(name, key.action)]


def test_a_settings_file_changes_some_and_leaves_the_rest() -> None:
    keymap = remapped({"ai": "f5", "next-unlabelled": "n, tab ,space", "real": "a"})
    assert keymap == {"ai": "f5", "next-unlabelled": "n,tab,space", "real": "a"}
    made = BindingsMap(bindings())
    made.apply_keymap(keymap)
    by_key = {key: [b.id for b in found] for key, found in made.key_to_bindings.items()}
    assert by_key["a"][0] == "real" and by_key["f5"][0] == "ai" and by_key["tab"] == by_key["n"]
    assert not {"1", "2", "r"} & set(by_key)
    assert by_key["3"] == ["unsure"]


def test_two_keys_may_be_swapped() -> None:
    made = BindingsMap(bindings())
    made.apply_keymap(remapped({"ai": "2", "real": "1", "undo": "y", "redo": "z"}))
    found = {key: {b.id for b in made.key_to_bindings[key]} for key in "12yz"}
    assert found == {"1": {"real"}, "2": {"ai"}, "y": {"undo"}, "z": {"redo"}}


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"aj": "a"}, "no key 'aj'"),
        ({"AI": "a"}, "no key 'AI'"),
        ({"label('ai')": "a"}, "no key"),
        ({"ai": ""}, "ai needs a key"),
        ({"ai": " "}, "ai needs a key"),
        ({"ai": "a,"}, "ai needs a key"),
        ({"ai": ",,"}, "ai needs a key"),
        ({"ai": 1}, "ai needs a key"),
        ({"ai": ["a", "b"]}, "ai needs a key"),
        ({"ai": {}}, "ai needs a key"),
        ({"ai": True}, "ai needs a key"),
        ({"ai": "2"}, "2 would be both ai and real"),
        ({"ai": "f5,2"}, "2 would be both ai and real"),
        ({"quit": "a"}, "a would be both ai and quit"),
        ({"ai": "f5,f5"}, "f5 would be both ai and ai"),
        ({"ai": "f5", "real": "f5"}, "f5 would be both ai and real"),
        ({"ai": "f5", "undo": " f5 "}, "f5 would be both ai and undo"),
    ],
)
def test_what_cannot_be_is_said(chosen: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        remapped(chosen)
    assert caught.value.message.startswith("[review.keys]: ") and message in caught.value.message


def test_what_was_mistyped_is_told_what_there_is() -> None:
    with pytest.raises(UsageError) as caught:
        remapped({"nxt": "a"})
    assert caught.value.hint is not None and "next-unlabelled" in caught.value.hint


def test_keys_from_the_users_own_file() -> None:
    file = settings.user_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text('[review.keys]\nai = "f5"\n"next-unlabelled" = "tab"\n')
    assert remapped(settings.table("review", "keys")) == {"ai": "f5", "next-unlabelled": "tab"}


def test_keys_are_spelled_as_on_a_keyboard() -> None:
    assert spelled("1,a") == "1 a"
    assert spelled("exclamation_mark,A") == "! A"
    assert spelled("up,k") == "↑ k"
    assert spelled("ctrl+q") == "^Q"
    assert spelled("f9") == "f9"
    for key in KEYS.values():
        for glyph in spelled(key.keys).split(" "):
            assert "_" not in glyph and "+" not in glyph[1:], key.name


@pytest.mark.parametrize(("given", "meant"), [("!", "exclamation_mark"), ("+", "plus"), ("ä", "ä")])
def test_a_character_stands_for_its_key(given: str, meant: str) -> None:
    others = {name: "f9" for name, key in KEYS.items() if meant in key.keys.split(",")}
    assert remapped({**others, "undo": given})["undo"] == meant


@pytest.mark.parametrize("given", ["spcae", "Ctrl+A", "hyper+a", "a b", "ctrl+"])
def test_what_is_no_key_is_refused(given: str) -> None:
    with pytest.raises(UsageError, match="is no key"):
        remapped({"undo": given})


def test_a_character_that_does_something_already_is_seen_as_its_key() -> None:
    with pytest.raises(UsageError, match="exclamation_mark would be both"):
        remapped({"undo": "!"})
