"""datatrove's decontamination (12-grams, its defaults) of texts; in datatrove's environment, no import of this package.

Its indexer wants lighteval's tasks; here its own function hashes the items it is given.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from datatrove.data import Document
from datatrove.pipeline.decont.n_grams import NGramsDecontConfig, NGramsDecontFilter, NGramsDecontIndexer
from datatrove.utils.hashing import create_hash_func
from datatrove.utils.word_tokenizers import load_word_tokenizer


def main() -> None:
    given = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    config = NGramsDecontConfig(find_query_ngrams=bool(given["query"]))
    maker = SimpleNamespace(
        config=config, tokenizer=load_word_tokenizer("eng"), hash_func=create_hash_func(config.hash_config)
    )
    hashes: set[int] = set()
    for question, answer in given["items"]:
        hashes.update(NGramsDecontIndexer.compute_hashes(maker, answer, question))  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory() as folder:
        np.array(list(hashes), dtype=config.hash_config.np_descr).tofile(Path(folder) / "items.index.hashes")
        checker = NGramsDecontFilter(folder, config)
        checker.filter(Document(text="One text before, so that nothing is loaded while the others are timed.", id="0"))
        hit = {name: sum(checker.filter(Document(text=text, id="1")) is not True for text in texts)
               for name, texts in given["planted"].items()}  # fmt: skip
        start = time.process_time()
        for number, text in enumerate(given["texts"]):
            checker.filter(Document(text=text, id=str(number)))
        seconds = time.process_time() - start
    print(json.dumps({"seconds": seconds, "hit": hit, "hashes": len(hashes)}))


main()
