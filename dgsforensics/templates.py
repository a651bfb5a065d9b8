"""Pages and cards from templates, which lie beside the modules that fill them in.

What is put into a page (HTML, SVG, XML) is text there: nothing in it is markup, and control
characters are shown as escapes. So it is in a card (Markdown), but for what Markdown itself takes
for more than text; the template quotes that in tables.
"""

import html
from collections.abc import Callable
from functools import cache
from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from dgsforensics.wording import printable


def page(template: str, /, **values: object) -> str:
    """Return a page or a part of one, from `<room>/<file>`; all that is put in is escaped."""
    return _environment(_in_page).get_template(template).render(values)


def markdown(template: str, /, **values: object) -> str:
    """Return a text in Markdown, without any HTML in what is put in."""
    return _environment(_in_markdown).get_template(template).render(values)


def text(template: str, /, **values: object) -> str:
    """Return the same to be read as it is: what is put in stays as it was."""
    return _environment(_in_text).get_template(template).render(values)


@cache
def _environment(shown: Callable[[object], object]) -> Environment:
    made = Environment(
        loader=FunctionLoader(_source),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["cell"] = _cell
    return made


def _source(name: str) -> str:
    return files("dgsforensics").joinpath(f"{name}.jinja").read_text(encoding="utf-8")


def _in_page(value: object) -> object:
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _in_markdown(value: object) -> object:
    return value if isinstance(value, Markup) else Markup(html.escape(str(value), quote=False))


def _in_text(value: object) -> object:
    return value if isinstance(value, Markup) else Markup(str(value))


def _cell(value: object) -> str:
    """Return a value for a cell of a Markdown table; nothing in it ends the cell."""
    return "-" if value is None else str(value).replace("|", "\\|")
