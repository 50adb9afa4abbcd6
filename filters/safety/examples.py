"""The labelled texts that the models are trained and judged on, read from the folder of evaluation data.

A label is 1, 0, or -1 where a set says nothing of a category: what one set calls neither hate nor rudeness is 0
throughout, but a tweet that it calls rude may be many things that it was not asked about. Ordinary prose, questions
and answers, program code and its documentation ("self" harms nobody there), and short sentences in 204 languages stand
for the web; all their labels are 0. No page of ``html_gold`` is among them: on those the false positives are counted.
"""

from __future__ import annotations

import gzip
import html
import json
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from filters.safety.taxonomy import categories

__all__ = ["FILES", "FOLDS", "Examples", "clean_tweet", "examples", "neutral_sentences"]

FOLDS: Final = 5

FILES: Final = {
    "safety/davidson_hate_offensive_8k.jsonl.gz": "MIT",
    "safety/openai_moderation_1680.jsonl.gz": "MIT",
    "safety/harmbench_text_400.jsonl.gz": "MIT",
    "safety/xstest_prompts.jsonl.gz": "CC-BY-4.0",
    "posttrain/dolly_hhrlhf_small.jsonl.gz": "CC-BY-SA-3.0 and MIT",
    "posttrain/self_instruct_seed_tasks.jsonl.gz": "Apache-2.0",
    "text/wikitext2_valid.txt.gz": "CC-BY-SA-3.0",
    "text/stackexchange_redpajama_sample.jsonl.gz": "CC-BY-SA",
    "text/nltk_inaugural.jsonl.gz": "public domain",
    "text/nltk_state_union.jsonl.gz": "public domain",
    "text/nltk_genesis.jsonl.gz": "public domain",
    "text/nltk_shakespeare.jsonl.gz": "public domain",
    "books/the-adventures-of-sherlock-holmes.jsonl.gz": "public domain",
    "books/pride-and-prejudice.jsonl.gz": "public domain",
    "langid/flores200_dev_first300.jsonl.gz": "CC-BY-SA-4.0",
    "code/thealgorithms_python_a.jsonl.gz": "MIT",
    "math/hott_book_tex.jsonl.gz": "CC-BY-SA-3.0",
    "sites/sqlite3_doc.tar.xz": "public domain",
    "sites/sympy_doc_math.tar.xz": "BSD-3-Clause",
}
"""What is read, and its licence."""

_OPENAI: Final = {
    "hate_speech": ("H", "H2"),
    "adult_sexual_material": ("S", "S3"),
    "graphic_violence": ("V", "V2"),
    "harassment": ("HR",),
    "self_harm": ("SH",),
    "sexual_content_minors": ("S3",),
}
"""Our category: the labels of which any one makes it 1 (all of them known and 0 make it 0)."""

_HARMBENCH: Final = {
    "chemical_biological": "dangerous_materials",
    "cybercrime_intrusion": "cybercrime",
    "misinformation_disinformation": "deception",
    "harassment_bullying": "harassment",
    "illegal": "illegal_activities",
}

_XSTEST_UNSAFE: Final = {
    "contrast_discr": "discrimination",
    "contrast_homonyms": "illegal_activities",
    "contrast_figurative_language": "illegal_activities",
    "contrast_safe_targets": "illegal_activities",
    "contrast_safe_contexts": "illegal_activities",
    "contrast_definitions": "illegal_activities",
}
"""The unsafe prompts that belong to one category; of the others nothing is said."""

_PEOPLE: Final = """
    Muslims|Jews|Christians|Hindus|Buddhists|Sikhs|atheists|Catholics|gay people|lesbians|bisexual
    people|transgender people|queer people|gay men|Black people|white people|Asian
    people|Latinos|Mexicans|Arabs|Africans|African Americans| Native
    Americans|Roma|immigrants|refugees|women|men|girls|boys|disabled people|deaf people|blind people|autistic
    people|old people|young people|poor people|Chinese people|Indians|Pakistanis|Russians|Ukrainians|Israelis|
    Palestinians|Turks|Kurds|Poles|Germans|Japanese people|Koreans|Nigerians|Somalis
"""
_NEUTRAL: Final = """
    {} live in every part of the city.|Many {} work in our hospital.|The festival was organised by {}.|We
    interviewed {} about their daily life.|My neighbours are {} and we get on well.|{} vote at about the same
    rate as everyone else.|The book tells the history of {} in Europe.|{} were among the first to move
    here.|Some of my best students are {}.|The law protects {} from unfair treatment.|A new centre for {}
    opened on Monday.|{} celebrate the holiday with their families.| I met a group of {} at the library.|The
    survey asked {} how they travel to work.|{}|The play is about {} in the 1920s.| {} and their friends came
    to the concert.|Why do {} need their own magazine?|The museum shows art made by {}.|More {} than ever
    study medicine.|Two {} were killed in the attack on the station.|Police are looking for a man who attacked
    {} near the park.| The court heard that he had threatened {} for years.|He was charged with a hate crime
    against {}.|The report counts attacks on {} in ten cities.|Who of the {} was late for work?|Neither of the
    {} was seen at the scene of the crime.|One of the {} was arrested after the robbery, the paper wrote.|The
    bombing killed eleven {} and hurt many more.|In 1938 the state took the property of {} and drove them from
    the country.|Insults against {} are reported more often than before.| Some {} are poor and some are rich,
    like everyone else.
"""


_ADJECTIVES: Final = """
    Muslim|Jewish|Christian|Hindu|Buddhist|Sikh|Catholic|Mormon|atheist|gay|lesbian|bisexual|transgender|queer
    |Black|white|Asian|Latino|Mexican|Arab|African|Chinese|Indian|Pakistani|Russian|Ukrainian|Israeli|Palestin
    ian|Turkish|Kurdish|Polish|German|Japanese|Korean|Nigerian|Somali|deaf|blind|autistic|disabled
"""
_NEUTRAL_ONE: Final = """
    {}|A {} person.|A {} man and a woman were talking in the office.|My {} friend came to dinner on
    Saturday.|I am {}.|I am a proud {} woman.|She is {} and works as a nurse.|The {} student was early and the
    teacher was late.|They had a {} wedding in May.|His father is {} and his mother is not.|A {} woman spoke
    about her work and her family.|We want to know what the {} person thinks of the new rule.|He grew up in a
    {} family near the river.|Is your neighbour {}?|A {} man waited with another man at the bus stop, and they
    talked about the weather and the news.|The {} boy was asked about the meeting, though he had not been
    there.|My {} roommate cooks better than I do.|{} history month begins on Monday.
"""


class Examples(NamedTuple):
    """Texts with what is known of each."""

    texts: list[str]
    labels: NDArray[np.int8]
    """(texts, categories): 1, 0, or -1 for unknown."""
    sets: NDArray[np.str_]
    """The set that each is of."""
    folds: NDArray[np.int64]
    """0 to FOLDS - 1; texts that were made from one another share theirs."""


def examples(data: Path) -> Examples:
    """Read all of it.

    Args:
        data: the folder of evaluation data.

    Raises:
        FileNotFoundError: one of FILES is not there.
    """
    missing = [name for name in FILES if not (data / name).is_file()]
    if missing:
        raise FileNotFoundError(f"{data}: found no {missing[0]}; give the folder of evaluation data that has it")
    texts: list[str] = []
    labels: list[NDArray[np.int8]] = []
    sets: list[str] = []
    folds: list[int] = []
    for read in (_davidson, _openai, _harmbench, _xstest, _prose, _languages, _identities):
        for name, text, group, label in read(data):
            if text.strip():
                texts.append(text)
                labels.append(label)
                sets.append(name)
                folds.append(int.from_bytes(blake2b(group.encode(), digest_size=4).digest()) % FOLDS)
    return Examples(texts, np.stack(labels), np.array(sets), np.array(folds))


_Row = tuple[str, str, str, NDArray[np.int8]]


def _label(rest: int, **known: int) -> NDArray[np.int8]:
    names = list(categories())
    label = np.full(len(names), rest, np.int8)
    for name, value in known.items():
        label[names.index(name)] = value
    return label


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def clean_tweet(tweet: str) -> str:
    """A tweet without its marks, so that no model learns what a tweet looks like in place of what it says."""
    tweet = html.unescape(html.unescape(tweet))
    tweet = re.sub(r"https?://\S+|\bRT\b|@\w+:?|[\"“”]", " ", tweet)
    tweet = re.sub(r"[!?.]{2,}", lambda run: run[0][0], re.sub(r"[\U0001f000-\U0001ffff\u2600-\u27bf]+", " ", tweet))
    return " ".join(tweet.strip(" !.:").split())


def _davidson(data: Path) -> Iterator[_Row]:
    for row in _rows(data / "safety/davidson_hate_offensive_8k.jsonl.gz"):
        text = clean_tweet(row["tweet"])
        kind = ("hate", "offensive", "neither")[int(row["class"])]
        label = _label(0) if kind == "neither" else _label(-1, hate_speech=int(kind == "hate"))
        yield f"davidson {kind}", text, "".join(filter(str.isalpha, text.lower()))[:30], label


def _openai(data: Path) -> Iterator[_Row]:
    for number, row in enumerate(_rows(data / "safety/openai_moderation_1680.jsonl.gz")):
        known: dict[str, int] = {}
        for name, keys in _OPENAI.items():
            values = [row.get(key) for key in keys]
            known[name] = 1 if 1 in values else -1 if None in values else 0
        clean = all(value == 0 for value in known.values())
        yield "openai moderation", row["prompt"], f"openai {number}", _label(0 if clean else -1, **known)


def _harmbench(data: Path) -> Iterator[_Row]:
    for row in _rows(data / "safety/harmbench_text_400.jsonl.gz"):
        name = _HARMBENCH.get(row["SemanticCategory"])
        if name is not None:
            yield "harmbench", row["Behavior"], row["BehaviorID"], _label(-1, **{name: 1})


def _xstest(data: Path) -> Iterator[_Row]:
    for row in _rows(data / "safety/xstest_prompts.jsonl.gz"):
        safe = row["label"] == "safe"
        name = _XSTEST_UNSAFE.get(row["type"])
        label = _label(0) if safe else _label(-1) if name is None else _label(-1, **{name: 1})
        yield "xstest safe" if safe else "xstest unsafe", row["prompt"], f"xstest {row['focus'].lower()}", label


def _prose(data: Path) -> Iterator[_Row]:
    label = _label(0)
    for name in ("dolly_hhrlhf_small", "self_instruct_seed_tasks"):
        for number, row in enumerate(_rows(data / f"posttrain/{name}.jsonl.gz")):
            for text in _asked(row):
                yield "instructions", text, f"{name} {number}", label
    sources: tuple[tuple[str, str, Callable[[Path], Iterable[str]], int], ...] = (
        ("encyclopaedia", "text/wikitext2_valid.txt.gz", _wikitext, 2000),
        ("questions", "text/stackexchange_redpajama_sample.jsonl.gz", _texts, 400),
        ("speeches", "text/nltk_inaugural.jsonl.gz", _texts, 500),
        ("speeches", "text/nltk_state_union.jsonl.gz", _texts, 800),
        ("literature", "text/nltk_genesis.jsonl.gz", _texts, 300),
        ("literature", "text/nltk_shakespeare.jsonl.gz", _texts, 500),
        ("literature", "books/the-adventures-of-sherlock-holmes.jsonl.gz", _xhtml, 1000),
        ("literature", "books/pride-and-prejudice.jsonl.gz", _xhtml, 500),
        ("code", "code/thealgorithms_python_a.jsonl.gz", _texts, 1500),
        ("code", "code/thealgorithms_python_a.jsonl.gz", _signatures, 1500),
        ("mathematics", "math/hott_book_tex.jsonl.gz", _texts, 500),
        ("documentation", "sites/sqlite3_doc.tar.xz", _pages, 1000),
        ("documentation", "sites/sympy_doc_math.tar.xz", _pages, 1500),
    )
    for name, file, read, most in sources:
        parts = [(number, part) for number, text in enumerate(read(data / file)) for part in _parts(text)]
        for k in range(0, len(parts), max(1, len(parts) // most)):
            yield name, parts[k][1], f"{file} {parts[k][0]}", label


def _asked(row: dict[str, Any]) -> list[str]:
    """Instructions and answers; Anthropic's harmless prompts, which are among them, are left out: many ask for harm."""
    if "instances" in row:
        return [row["instruction"], *(f"{one['input']}\n{one['output']}".strip() for one in row["instances"])]
    prompt = row["prompt"].partition("### Instruction:")[2].partition("### Response:")[0].strip()
    return [] if "Human:" in row["prompt"] else [prompt, row["response"]]


def _wikitext(path: Path) -> Iterable[str]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [line.replace(" @-@ ", "-").strip() for line in file if len(line) > 80]


def _texts(path: Path) -> Iterable[str]:
    return [row["text"] for row in _rows(path)]


def _xhtml(path: Path) -> Iterable[str]:
    return [html.unescape(re.sub(r"<[^>]+>", "", row["xhtml"])) for row in _rows(path)]


def _signatures(path: Path) -> Iterable[str]:
    """Methods as documentation lists them: a line each, eight to a text."""
    for text in _texts(path):
        lines = re.findall(r"def (\w+\(self[^)]*\))", text)
        for k in range(0, len(lines), 8):
            yield "\n".join(lines[k : k + 8])


def _pages(path: Path) -> Iterable[str]:
    """The text of the pages of an archive, roughly: without scripts, styles and tags."""
    found: list[str] = []
    with tarfile.open(path) as archive:
        for member in archive:
            stream = archive.extractfile(member) if member.name.endswith(".html") else None
            if stream is not None:
                page = stream.read().decode("utf-8", "replace")
                page = re.sub(r"(?is)<(script|style|head)\b.*?</\1>", " ", page)
                found.append(html.unescape(re.sub(r"<[^>]+>", " ", page)))
    return found


def _parts(text: str) -> Iterator[str]:
    """Pieces of about 300 letters, cut behind sentences."""
    held = ""
    for sentence in re.split(r"(?<=[.!?])\s+", " ".join(text.split())):
        held = f"{held} {sentence}".strip()
        if len(held) > 300:
            yield held[:2000]
            held = ""
    if len(held) > 40:
        yield held[:2000]


def _languages(data: Path) -> Iterator[_Row]:
    label = _label(0)
    for row in _rows(data / "langid/flores200_dev_first300.jsonl.gz"):
        most = 300 if row["lang"] == "eng_Latn" else 10
        for number, sentence in enumerate(row["sentences"][:most]):
            yield "sentences in 204 languages", sentence, f"flores {number}", label


def neutral_sentences() -> list[tuple[str, str]]:
    """Sentences that name a group of people and say nothing bad, with the group that each names."""
    found: list[tuple[str, str]] = []
    for names, frames in ((_PEOPLE, _NEUTRAL), (_ADJECTIVES, _NEUTRAL_ONE)):
        people, sentences = (" ".join(text.split()).split("|") for text in (names, frames))
        found += [(one.strip(), frame.strip().format(one.strip())) for one in people for frame in sentences]
    return found


def _identities(_: Path) -> Iterator[_Row]:
    label = _label(0)
    for one, sentence in neutral_sentences():
        yield "identity words", sentence, f"identity {one}", label
