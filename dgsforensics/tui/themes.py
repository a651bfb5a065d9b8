"""The colours of the screen, dark and light.

All are among the 256 that most terminals have, so that nothing is lost where there are no more, and
every text stands 4.5 to 1 or better against its ground (WCAG 2), which a test computes.
"""

from textual.theme import Theme

from dgsforensics import choices


def _theme(name: str, *, dark: bool, **colours: str) -> Theme:
    """Return a theme of these colours; Textual would mix others from them, of any contrast."""
    text, muted, bar = colours["text"], colours["muted"], colours["bar"]
    names = {
        "text": text,
        "text-muted": muted,
        "text-disabled": muted,
        "text-primary": text,
        "text-error": colours["error"],
        "text-warning": colours["warning"],
        "text-success": colours["success"],
        "text-accent": colours["accent"],
        "footer-foreground": text,
        "footer-background": colours["panel"],
        "footer-key-foreground": colours["accent"],
        "footer-key-background": colours["panel"],
        "footer-description-foreground": text,
        "footer-description-background": colours["panel"],
        "input-cursor-background": text,
        "input-cursor-foreground": colours["ground"],
        "input-selection-background": bar,
        "input-selection-foreground": "#ffffff",
        "block-cursor-foreground": "#ffffff",
        "block-cursor-background": bar,
    }
    return Theme(
        name=name,
        primary=bar,
        secondary=bar,
        accent=colours["accent"],
        error=colours["error"],
        warning=colours["warning"],
        success=colours["success"],
        foreground=text,
        background=colours["ground"],
        surface=colours["ground"],
        panel=colours["panel"],
        dark=dark,
        variables=names,
    )


THEMES = {
    choices.Theme.DARK: _theme(
        "dgsf-dark",
        dark=True,
        ground="#121212",
        panel="#262626",
        text="#e4e4e4",
        muted="#b2b2b2",
        bar="#005f87",
        error="#ff8787",
        warning="#ffd75f",
        success="#87d787",
        accent="#87d7ff",
    ),
    choices.Theme.LIGHT: _theme(
        "dgsf-light",
        dark=False,
        ground="#eeeeee",
        panel="#d0d0d0",
        text="#1c1c1c",
        muted="#444444",
        bar="#005f87",
        error="#af0000",
        warning="#5f5f00",
        success="#005f00",
        accent="#00005f",
    ),
}
"""By what is asked for."""
