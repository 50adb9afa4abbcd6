"""The models that come with Pomona: for their speed. Scores are those of models that never saw the page's host."""

from __future__ import annotations

from extracting import run  # type: ignore[import-not-found]

from pipelines.extract import extract_html

run({"auto": lambda body, url: extract_html(body, url).text})
