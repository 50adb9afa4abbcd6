"""Clean text that such filters are known to mistake: pages by what they are about, and tweets by how they speak.

Pages are main texts of ``html_gold``, of which the models have seen none. A page belongs to every group that it has
enough words of; nobody has labelled them, and a few may be worth flagging: every flag counts as false here.
"""

from __future__ import annotations

import gzip
import json
import pydoc
import re
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from warnings import catch_warnings, simplefilter

from pipelines.extract import extract_html

GROUPS = {
    "medical": (
        5,
        "patient patients cancer treatment symptoms disease diagnosis clinical doctor doctors medical surgery therapy "
        "vaccine infection hospital dose breast prostate vaginal sexual hiv contraception pregnancy",
    ),
    "legal": (
        5,
        "court courts judge jury plaintiff defendant lawsuit attorney convicted sentenced prosecutor prosecutors trial "
        "appeal statute criminal murder assault rape police arrested victim testimony crime",
    ),
    "LGBT": (2, "lgbt lgbtq lgbtqia gay lesbian lesbians bisexual transgender trans queer homosexual homophobia gays"),
    "religion and origin": (
        3,
        "muslim muslims islam jewish jews judaism christian christians hindu black african immigrants refugees mosque "
        "synagogue racism racist antisemitism minority minorities ethnic",
    ),
    "security": (
        5,
        "malware vulnerability vulnerabilities exploit hacker hackers ransomware phishing cybersecurity breach",
    ),
}
"""How many words of which list a page of the group has at least."""

DIALECT = frozenset(
    """
    ain't aint finna gon gonna tryna y'all yall dat dis dey dem bruh bro homie wit ima imma tho cuz wanna gotta ya da
    nah lil ight aight shawty yo fam wassup lemme dnt aye
    """.split()  # noqa: SIM905
)


def pages(data: Path) -> dict[str, list[str]]:
    """Main texts, and articles of an encyclopaedia, by group; ``all pages`` and ``news and articles`` beside GROUPS."""
    found: dict[str, list[str]] = {"all pages": [], "news and articles": [], **{name: [] for name in GROUPS}}
    for article, text in [*_pages(data), *((True, text) for text in encyclopaedia(data))]:
        if len(text) < 200:
            continue
        found["all pages"].append(text)
        if article:
            found["news and articles"].append(text)
        words = re.findall(r"[a-z']+", text.lower())
        for name, (least, wanted) in GROUPS.items():
            chosen = frozenset(wanted.split())
            if sum(word in chosen for word in words) >= least:
                found[name].append(text)
    return found


MODULES = """
    abc argparse array ast asynchat asyncio asyncore base64 bisect builtins calendar cmath collections
    collections.abc concurrent.futures contextlib copy csv ctypes dataclasses datetime decimal difflib dis email
    enum fileinput fractions ftplib functools gc glob gzip hashlib heapq hmac html http.client imaplib importlib
    inspect io ipaddress itertools json locale logging lzma mailbox marshal math mimetypes multiprocessing numbers
    operator os pathlib pickle platform plistlib poplib posix pprint pwd pydoc queue random re sched secrets select
    selectors shelve shlex shutil signal smtplib socket socketserver sqlite3 ssl statistics string struct subprocess
    tarfile tempfile textwrap threading time timeit tokenize traceback types typing unittest urllib.parse
    urllib.request uuid warnings wave weakref xml.dom xml.etree.ElementTree xmlrpc.client zipfile zipimport zoneinfo
    _collections_abc _compression _io _py_abc _pyio _weakrefset
""".split()  # noqa: SIM905


def python_docs() -> list[str]:
    """The documentation that Python has of its own modules; the models have seen others' (SymPy's, SQLite's)."""
    found: list[str] = []
    for name in MODULES:
        with suppress(ImportError), catch_warnings():  # some are of older versions
            simplefilter("ignore")
            found.append(pydoc.render_doc(import_module(name), renderer=pydoc.plaintext))  # type: ignore[attr-defined]
    return found


def is_dialect(tweet: str) -> bool:
    """Whether a tweet has a word of African American English, or of speech written as it sounds."""
    return bool(DIALECT.intersection(re.findall(r"[a-z']+", tweet.lower())))


def encyclopaedia(data: Path) -> list[str]:
    """Whole articles of Wikipedia's dump, wiki markup taken off roughly; WikiText, which was trained on, is another."""
    import bz2

    with bz2.open(data / "text" / "enwiki_dump_shortened.xml.bz2", "rt", encoding="utf-8") as file:
        dump = file.read()
    texts = [re.sub(r"\{\{[^{}]*\}\}|<[^>]*>|\[\[|\]\]|'{2,}|&[a-z]+;", " ", one) for one in _WIKI.findall(dump)]
    return [text for text in texts if len(text) > 1000]


_WIKI = re.compile(r"<text[^>]*>(.*?)</text>", re.S)


def _pages(data: Path) -> Iterator[tuple[bool, str]]:
    """Whether a page is an article, and its main text: as labelled where it is, and as our extractor reads it."""
    for folder in ("magic_article", "readability", "trafilatura_a", "wcxb_dev"):
        with gzip.open(data / "html_gold" / folder / "index.jsonl.gz", "rt", encoding="utf-8") as file:
            for row in map(json.loads, file):
                text = row.get("gold_text")
                if text is None:
                    page = gzip.decompress((data / "html_gold" / folder / row["file"]).read_bytes())
                    text = extract_html(page, row.get("url")).text
                yield folder != "wcxb_dev" or row["page_type"] == "article", text
