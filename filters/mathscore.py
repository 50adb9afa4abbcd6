"""Signal ``mathscore``: OpenWebMath's MathScore, how probably a text is mathematics (arXiv 2310.06786).

It is a fastText classifier, whose weights are a file that a recipe gives as the family's reference (``math_score.bin``,
or any fastText model with the label ``__label__positive``). OpenWebMath keeps a page with LaTeX above 0.17 (0.15 before
extraction was final) and one without above 0.8; no formula replaces the model, and no labels to train one by are
published, so without the file asking for the family is an error. The text is normalised as for the original: cc_net's
normaliser, with formulas and code left out. The score of an empty text is 0.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from filters.batch import Batch
from filters.family import Family, Measure

__all__ = ["FAMILY"]


def _with_reference(path: Path) -> Measure:
    model = _model(path)

    def measure(batch: Batch) -> Mapping[str, NDArray[Any]]:
        offsets = batch.texts.offsets.tolist()
        data = batch.texts.data
        scores = np.zeros(len(batch), np.float64)
        for i in range(len(batch)):  # fastText reads one string at a time
            text = _normalised(data[offsets[i] : offsets[i + 1]].tobytes().decode("utf-8", "replace"))
            if not text:
                continue
            labels, probabilities = model.predict(text, k=2)
            scores[i] = dict(zip(labels, probabilities, strict=True)).get("__label__positive", 0.0)
        return {"score": np.minimum(scores, 1)}

    return measure


def _model(path: Path) -> Any:
    import fasttext

    if not path.is_file():
        raise FileNotFoundError(f"mathscore: there is no file {path}; give a fastText model (math_score.bin)")
    try:
        model = fasttext.load_model(str(path))
    except ValueError as error:
        raise ValueError(f"mathscore: {path} is no fastText model ({error}); give math_score.bin") from error
    if "__label__positive" not in model.get_labels():
        raise ValueError(
            f"mathscore: {path} has the labels {model.get_labels()[:5]}, expected __label__positive among them"
        )
    return model


_MATHS: Final = re.compile(r"(?<!\\)(\$\$?.+?\$\$?)", re.DOTALL)
_CODE: Final = re.compile(r"`{1,3}.*?`{1,3}", re.DOTALL)
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_PUNCTUATION: Final = {
    ord(sign): plain
    for signs, plain in (
        *(("，、", ","), ("。", "."), ("„”“«»１」「《》", '"'), ("´’", "'"), ("∶：", ":"), ("？", "?"), ("！", "!")),
        *(("（", "("), ("）", ")"), ("；", ";"), ("–━►", "-"), ("—", " - "), ("．", ". "), ("～", "~"), ("…", "...")),
        *(("〈", "<"), ("〉", ">"), ("【", "["), ("】", "]"), ("％", "%")),
    )
    for sign in signs
}


def _normalised(text: str) -> str:
    """OpenWebMath's ``score_text``: cc_net's normaliser, formulas and code left out."""
    text = "".join(
        character
        for character in unicodedata.normalize("NFD", text.strip().lower())
        if unicodedata.category(character) != "Mn"
    )
    text = re.sub(r"\d", "0", text).translate(_PUNCTUATION)
    text = _CODE.sub("[CODE]", _MATHS.sub("[EQUATION]", text)).replace("<s>", "").replace("</s>", "")
    # fastText reads a line: its own code removes newlines with the other control characters.
    return _CONTROLS.sub("", text).replace("[EQUATION]", "")


def _measure(batch: Batch) -> Mapping[str, NDArray[Any]]:
    raise ValueError(
        'mathscore: found no model, expected a fastText one as the reference of the family: references={"mathscore": '
        '"math_score.bin"}'
    )


FAMILY = Family(
    "mathscore", {"score": "probability of mathematics by the given model"}, _measure, with_reference=_with_reference
)
