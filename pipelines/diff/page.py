"""Two runs' difference as one page."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2
from markupsafe import Markup

from pipelines.diff.text import pair, tallied, value
from pipelines.report import figures
from pipelines.storage import write_bytes

if TYPE_CHECKING:
    from pipelines.diff.diff import Difference


def render(found: Difference) -> str:
    """Lay a difference out as HTML; text not ours is escaped, and no script runs."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update({"count": figures.count, "visible": figures.visible, "value": value})
    template = resources.files("pipelines.diff").joinpath("templates", "diff.html").read_text("utf-8")
    style = resources.files("pipelines.report").joinpath("templates", "page.css").read_text("utf-8")
    return environment.from_string(template).render(told=found, style=Markup(style), pair=pair, tallied=tallied)


def write(found: Difference, path: Path) -> None:
    """Write the page, whole or not at all."""
    write_bytes(path, render(found).encode("utf-8", "replace"))
