"""dolma's Gopher and C4 taggers."""

from __future__ import annotations

import timing
from dolma.core.data_types import Document
from dolma.taggers.c4 import FasterC4Tagger
from dolma.taggers.gopher import GopherTaggerV2

TAGGERS = {"gopher": [GopherTaggerV2()], "c4": [FasterC4Tagger()]}
TAGGERS["gopher + c4"] = [*TAGGERS["gopher"], *TAGGERS["c4"]]


def tagged(name: str):
    def work(texts: list[str]) -> None:
        for number, text in enumerate(texts):
            for tagger in TAGGERS[name]:
                tagger.predict(Document(source="", version="", id=str(number), text=text))

    return work


timing.run({name: tagged(name) for name in TAGGERS})
