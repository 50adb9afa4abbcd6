"""datatrove's DocumentTokenizer, from documents to its file of token ids; runs in datatrove's own environment."""

from __future__ import annotations

import json
import sys
import tempfile
import time

from datatrove.data import Document
from datatrove.pipeline.tokens import DocumentTokenizer
from datatrove.utils.logging import logger

logger.remove()
with open(sys.argv[1], encoding="utf-8") as file:  # noqa: PTH123
    texts = json.load(file)
times = []
for turn in range(1 + int(sys.argv[4])):
    # The first turn, on a few texts, loads what is loaded at first.
    documents = [Document(text=text, id=str(number)) for number, text in enumerate(texts if turn else texts[:20])]
    with tempfile.TemporaryDirectory() as folder:
        step = DocumentTokenizer(
            folder, tokenizer_name_or_path=sys.argv[2], eos_token=sys.argv[3], shuffle_documents=False
        )
        step.tokenizer  # noqa: B018  # it is read here, once
        began = time.process_time()
        step.run(iter(documents), 0, 1)
        if turn:
            times.append(time.process_time() - began)
print(json.dumps(times))
