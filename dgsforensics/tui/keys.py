"""The keys of the review: what each does, its default, and how a settings file changes it.

`[review.keys]` in the user's `config.toml` maps a name from `KEYS` to one key or several with
commas: `next-unlabelled = "space"`. A settings file beside the pictures has no say: it could swap
"AI" and "real".
"""

from collections.abc import Mapping
from dataclasses import dataclass

from textual.binding import Binding
from textual.keys import Keys, key_to_character

from dgsforensics.errors import UsageError


@dataclass(frozen=True, slots=True)
class Key:
    """One thing that a key does."""

    name: str
    keys: str
    """By default; several with commas."""
    action: str
    """Of the board, or with `app.` of the application, as Textual writes it."""
    says: str
    """A word or two, for the footer."""
    help: str = ""
    """A line for the command palette; empty: as in the footer."""
    also: tuple[str, ...] = ()
    """Names of others that the help screen says in one line with it."""
    together: str = ""
    """What all of these do."""


SECTIONS: dict[str, tuple[Key, ...]] = {
    "Label this image": (
        Key("ai", "1,a", "label('ai')", "AI"),
        Key("real", "2,r", "label('real')", "real"),
        Key("unsure", "3,u", "label('unsure')", "unsure"),
        Key("unfit", "4,x", "label('unfit')", "unfit", "not an image to judge"),
        Key("unlabel", "0,backspace", "label('')", "no label", "take the label away"),
        Key("note", "t,enter", "note", "note", "write a note"),
    ),
    "Label its whole group (shift; what the filter hides is left alone)": (
        Key(
            "group-ai",
            "exclamation_mark,A",
            "label_group('ai')",
            "group AI",
            also=("group-real", "group-unsure", "group-unfit"),
            together="all of it",
        ),
        Key("group-real", "at,quotation_mark,R", "label_group('real')", "group real"),
        Key("group-unsure", "number_sign,U", "label_group('unsure')", "group unsure"),
        Key("group-unfit", "dollar_sign,X", "label_group('unfit')", "group unfit"),
        Key(
            *("group", "g", "relation", "group"),
            "what a group is: near-duplicates, same folder, same camera, same software",
            also=("group-only",),
            together="group, it alone",
        ),
        Key("group-only", "G", "only_group", "only group", "list the group alone, or all again"),
    ),
    "Take back": (
        Key(
            "undo",
            "z",
            "undo",
            "undo",
            "undo, without limit",
            also=("redo",),
            together="undo, redo",
        ),
        Key("redo", "y", "redo", "redo"),
    ),
    "Go": (
        Key(
            "next-unlabelled",
            "n,space",
            "unlabelled(1)",
            "next",
            "next unlabelled",
            also=("previous-unlabelled",),
            together="next, previous",
        ),
        Key("previous-unlabelled", "N", "unlabelled(-1)", "previous", "previous unlabelled"),
        Key("down", "down,j", "move(1)", "down", also=("up",), together="down, up"),
        Key("up", "up,k", "move(-1)", "up"),
        Key(
            "page-down",
            "pagedown,ctrl+f",
            "page(1)",
            "page down",
            also=("page-up",),
            together="a page",
        ),
        Key("page-up", "pageup,ctrl+b", "page(-1)", "page up"),
        Key("first", "home", "end(-1)", "first", also=("last",), together="first, last"),
        Key("last", "end", "end(1)", "last"),
    ),
    "The list": (
        Key("filter", "slash", "filter", "filter"),
        Key(
            "verdict",
            "v",
            "choose('next_verdict')",
            "verdict",
            "one verdict after the other, then all",
        ),
        Key("everything", "escape", "everything", "all", "leave the group, or drop the filter"),
        Key(
            "sort",
            "s",
            "choose('next_order')",
            "sort",
            "sort by the next column",
            also=("reverse",),
            together="sort, reverse",
        ),
        Key("reverse", "S", "choose('reversed')", "reverse", "sort the other way round"),
        Key("refresh", "full_stop", "refresh_list", "again", "filter and sort again"),
    ),
    "The picture": (
        Key(
            "zoom-in",
            "plus,equals_sign",
            "viewer('zoom', (1,))",
            "zoom in",
            also=("zoom-out",),
            together="zoom",
        ),
        Key("zoom-out", "minus", "viewer('zoom', (-1,))", "zoom out"),
        Key(
            "actual",
            "c",
            "viewer('actual')",
            "1:1",
            "one pixel to one of the screen",
            also=("fit",),
            together="1:1, fit",
        ),
        Key("fit", "f", "viewer('fit')", "fit"),
        Key(
            "pan-left",
            "H,shift+left",
            "viewer('pan', (-1, 0))",
            "left",
            "move over the picture, with J K L",
            also=("pan-down", "pan-up", "pan-right"),
            together="move over it",
        ),
        Key("pan-down", "J,shift+down", "viewer('pan', (0, 1))", "down"),
        Key("pan-up", "K,shift+up", "viewer('pan', (0, -1))", "up"),
        Key("pan-right", "L,shift+right", "viewer('pan', (1, 0))", "right"),
        Key(
            "beside",
            "b",
            "viewer('compare')",
            "compare",
            "the most similar image beside it",
        ),
        Key("map", "m", "app.map", "map", "which parts moved the score (loads the detector)"),
        Key("open", "o", "open", "open", "in the system's viewer"),
    ),
    "The screen": (
        Key("picture", "w", "layout('picture')", "picture", "the picture alone, or all again"),
        Key("both", "e", "layout('both')", "both", "picture and evidence, or all again"),
        Key("list", "l", "layout('list')", "list", "the list alone, or all again"),
        Key("evidence", "i", "layout('evidence')", "evidence", "in full, or all again"),
        Key(
            "evidence-down",
            "right_square_bracket",
            "viewer('scroll_evidence', (1,))",
            "scroll",
            also=("evidence-up",),
            together="scroll evidence",
        ),
        Key("evidence-up", "left_square_bracket", "viewer('scroll_evidence', (-1,))", "back"),
        Key("dark", "d", "app.dark", "dark", "dark or light"),
        Key(
            "palette", "ctrl+p", "app.command_palette", "commands", "find what a key does by words"
        ),
        Key("help", "question_mark,f1", "app.help", "help"),
        Key("quit", "q,ctrl+q", "app.quit", "quit", also=("interrupt",), together="quit"),
        Key("interrupt", "ctrl+c", "app.quit", "quit"),
    ),
}
KEYS = {key.name: key for keys in SECTIONS.values() for key in keys}
"""By name."""
_LABELS = ("ai", "real", "unsure", "unfit")
FOOTERS: dict[str, tuple[str, ...]] = {
    "Rows": (*_LABELS, "note", "group", "undo", "next-unlabelled", "filter", "picture", "palette"),
    "PicturePane": (*_LABELS, "zoom-in", "actual", "fit", "beside", "map", "open", "picture"),
    "EvidencePane": (*_LABELS, "note", "evidence", "evidence-down", "evidence-up", "both"),
}
"""Names of keys for the last line, by the pane that has the focus."""


def bindings() -> list[Binding | tuple[str, str] | tuple[str, str, str]]:
    """Return the bindings for Textual; the ids are the names."""
    return [
        Binding(key.keys, key.action, key.says, show=False, id=key.name) for key in KEYS.values()
    ]


def remapped(chosen: Mapping[str, object]) -> dict[str, str]:
    """Return a keymap for Textual from a settings file.

    Raises `UsageError` for a name that is not known, for what is no key, and for a key that would
    then do two things.
    """
    for name, keys in chosen.items():
        if name not in KEYS:
            raise UsageError(f"[review.keys]: no key {name!r}", f"known: {', '.join(KEYS)}")
        if not isinstance(keys, str) or not all(part.strip() for part in keys.split(",")):
            raise UsageError(f"[review.keys]: {name} needs a key, or several with commas")
    keymap = {
        name: ",".join(_known(name, part.strip()) for part in str(keys).split(","))
        for name, keys in chosen.items()
    }
    taken: dict[str, str] = {}
    for name, key in KEYS.items():
        for part in keymap.get(name, key.keys).split(","):
            if part in taken:
                raise UsageError(
                    f"[review.keys]: {part} would be both {taken[part]} and {name}",
                    f"give {taken[part]} or {name} another key",
                )
            taken[part] = name
    return keymap


def _known(name: str, part: str) -> str:
    """Return a key by the name that Textual has for it: `!` is `exclamation_mark`."""
    [binding] = Binding.make_bindings([Binding(part, "")])
    *modifiers, key = binding.key.split("+")
    named = {known.value for known in Keys} | _DEFAULTS
    if not set(modifiers) <= _MODIFIERS or not (key in named or key_to_character(key)):
        raise UsageError(
            f"[review.keys]: {name}: {part!r} is no key",
            "keys are written as f2, space, ctrl+g, shift+left, or the character itself",
        )
    return binding.key


def first_key(name: str, keymap: Mapping[str, str]) -> str:
    """Return the first key of what has this name, as it is mapped now, spelled."""
    return spelled(keymap.get(name, KEYS[name].keys)).split(" ")[0]


def spelled(keys: str) -> str:
    """Return keys as they are written on a keyboard."""
    return " ".join(_GLYPHS.get(part, part) for part in keys.split(","))


ARROWS = [
    Binding(key, f"screen.viewer('pan', ({dx}, {dy}))", show=False)
    for key, dx, dy in (("left", -1, 0), ("right", 1, 0), ("up", 0, -1), ("down", 0, 1))
]
"""Of a picture with the focus: they move over it, and not through the list."""
_MODIFIERS = {"ctrl", "shift", "alt"}
_DEFAULTS = {part for key in KEYS.values() for part in key.keys.split(",")}
_GLYPHS = {
    **{"exclamation_mark": "!", "at": "@", "quotation_mark": '"', "number_sign": "#"},
    **{"dollar_sign": "$", "slash": "/", "full_stop": ".", "question_mark": "?", "plus": "+"},
    **{"right_square_bracket": "]", "left_square_bracket": "["},
    **{"equals_sign": "=", "minus": "-", "escape": "Esc", "backspace": "Backspace", "f1": "F1"},
    **{"enter": "Enter", "space": "Space", "up": "↑", "down": "↓", "pageup": "PgUp"},
    **{"pagedown": "PgDn", "home": "Home", "end": "End", "shift+left": "⇧←", "shift+right": "⇧→"},
    **{"shift+up": "⇧↑", "shift+down": "⇧↓", "ctrl+q": "^Q", "ctrl+p": "^P", "ctrl+c": "^C"},
    **{"ctrl+f": "^F", "ctrl+b": "^B"},
}
