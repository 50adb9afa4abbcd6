"""Names of what is counted of a block, in the order of its columns."""

from __future__ import annotations

from typing import Final

from pipelines.extract.page.names import Within

FLAGS: Final = tuple(int(flag) for flag in Within if flag not in (Within.HEADING, Within.LINK, Within.STRONG))

OWN: Final = (
    "words", "bytes", "link_share", "links", "punctuation", "commas", "sentences", "ending", "stop_share", "capitals",
    "digits", "word_bytes", "symbols", "separators", "copyright", "digit_first", "breaks", "at_sign", "strong_share",
    "upper_share", "lines", "repeats",
)  # fmt: skip
PLACE: Final = (
    "heading", "depth", "siblings", "sibling_place", "place", "words_before", "words_after", "title_share",
    "title_covered", "after_h1", "since_heading", "since_h1", "page_words", "page_blocks", "page_link_share",
    "page_paragraph_share", "page_articles", "page_main", "says_article", "says_product", "says_forum", "says_list",
)  # fmt: skip
TABLES: Final = (
    "own_names", "own_names_min", "parent_names", "grandparent_names", "path_min", "path_max", "path_sum", "tag_pair",
    "tag_path", "word_mean", "word_min", "word_max", "short_text", "first_word",
)  # fmt: skip
AROUND: Final = tuple(
    f"{where}_{what}"
    for where in ("parent", "grandparent", "third", "fourth")
    for what in ("words", "link_share", "punctuation", "blocks", "page_share")
)
SIMILAR: Final = ("similar", "similar_words", "similar_share", "similar_link_share", "similar_stop_share")
NEAR: Final = tuple(
    f"{where}_{what}"
    for where in ("previous", "second_previous", "next", "second_next")
    for what in ("words", "link_share", "ending", "heading", "stop_share", "same_parent")
)
FLAG_NAMES: Final = tuple(f"in_{Within(flag).name or flag}".lower() for flag in FLAGS)
FIRST: Final = (*OWN, *PLACE, *TABLES, *AROUND, *SIMILAR, *NEAR, *FLAG_NAMES)
"""Names of the features that the first model sees, in order."""

# First column of each kind.
PLACE_AT: Final = len(OWN)
TABLES_AT: Final = PLACE_AT + len(PLACE)
AROUND_AT: Final = TABLES_AT + len(TABLES)
SIMILAR_AT: Final = AROUND_AT + len(AROUND)
NEAR_AT: Final = SIMILAR_AT + len(SIMILAR)
FLAGS_AT: Final = NEAR_AT + len(NEAR)
