"""Real texts that every system is given: the gold texts of POMONA_DATA, or what pydoc knows."""

from __future__ import annotations

import gzip
import json
import os
import pydoc
import pydoc_data.topics
from collections.abc import Iterator
from pathlib import Path

# Modules whose help text is long, and whose import does nothing else.
_MODULES = """
argparse array ast asyncio base64 bisect calendar cmath codecs collections collections.abc concurrent.futures
configparser contextlib copy csv ctypes dataclasses datetime decimal difflib dis doctest email enum fractions
functools gettext glob gzip hashlib heapq hmac html http.client http.server imaplib inspect io ipaddress
itertools json locale logging math mimetypes multiprocessing numpy numpy.linalg operator optparse os pathlib
pickle platform pprint random re sched secrets shelve shutil signal smtplib socket sqlite3 ssl statistics
string struct subprocess tarfile tempfile textwrap threading time timeit tokenize trace traceback types typing
unicodedata unittest urllib.parse urllib.request uuid venv warnings wave weakref xml.dom xml.etree.ElementTree
zipfile zlib
""".split()  # noqa: SIM905


def texts(limit: int) -> tuple[str, list[str]]:
    """What the texts are, and about ``limit`` of them, spread over all, always the same."""
    folder = os.environ.get("POMONA_DATA")
    what = "gold main text of real pages (html_gold)" if folder else "pydoc topics and module help"
    found = list(_gold(Path(folder)) if folder else _pydoc())
    return what, found[:: max(1, len(found) // limit)]


def _gold(folder: Path) -> Iterator[str]:
    for index in sorted((folder / "html_gold").glob("*/index.jsonl.gz")):
        with gzip.open(index, "rt", encoding="utf-8") as file:
            for line in file:
                text = json.loads(line).get("gold_text")
                if text:
                    yield text


def _pydoc() -> Iterator[str]:
    yield from (text for _, text in sorted(pydoc_data.topics.topics.items()))
    for name in _MODULES:
        yield pydoc.render_doc(name, renderer=pydoc.plaintext)
