"""Pages for the fuzzer: made by a grammar of tags, attributes and text, then damaged as bytes.

Everything is drawn through Hypothesis, so that what fails is made smaller, kept in its database and tried again.
"""

from __future__ import annotations

from hypothesis import strategies as st

from pipelines.extract.page.names import ATTRIBUTES, RENDERED_MATH, ROLES, TAGS

WORDS = (
    "the", "river", "of", "a", "town", "and", "1984", "water", "Überschwemmung", "文章", "の", "text", "is",
    "Read more", "©", "x", "E=mc", "a < b", "price: 5", "…", "\u00a0", "\ufffc", "\u200b", "\u0085", "𝛼", "é", "$$x$$",
    r"\(y\)", "\n\n",
)  # fmt: skip
PIECES = (
    "<", ">", "</", "/>", "<!", "<!--", "-->", "--!>", "<!-->", "<?", "<![CDATA[", "]]>", "</>", "<a", "<p", "</p", "=",
    "'", '"', " ", "\n", "\t", "\r", "\f", "\0", "&", "&#", "&#x", ";", "&amp", "&nGt;", "&NotSquareSubset;", "&#0;",
    "&#xD800;", "&#x110000;", "&#128;", "&#99999999999;", "&nbsp;", "&Gt;x", "<br>", "<br><br>", "</br>", "<hr>",
    "<title>", "</title>", "<head>", "</head>", "<body>", "</body>", "<html lang=en>", "<frameset>", "<plaintext>",
    "<script>", "</script>", "<script type=math/tex>", "<script type='math/tex; mode=display'>", "<style>", "</style>",
    "<script type=application/ld+json>", '{"@type":"Article","headline":"H"}', '{"@graph":[{"@type":"WebPage"}]}',
    "[[[", '"\\ud800"', "<noscript>", "</noscript>", "<textarea>", "</textarea>", "<iframe>", "</iframe>", "<xmp>",
    "</xmp>", "<math>", "</math>", "<math", "</math", "<math alttext=", "<math display=\"block\">", "<annotation",
    " encoding='application/x-tex'>", "</annotation>", "<mi>x</mi>", "<mfrac><mi>a</mi><mn>2</mn></mfrac>",
    "<msup><mi>x</mi><mn>2</mn></msup>", "<img class=tex alt='x^2'>", "<img src=//latex.codecogs.com/x alt=y>",
    "<div class=math>", "<table>", "</table>", "<tr>", "<td>", "<th>", "</td>", "<caption>", "<tbody>", "<li>", "<ul>",
    "</ul>", "<pre>", "</pre>", "<code>", "</code>", "<select>", "<svg>", "</svg>", "<template>", "</template>",
    "<a href=x>", "</a>", "<b>", "</b>", "<h1>", "</h2>", "<button>", "<my-tag>", "</my-tag>", "<mjx-container>",
    "<mjx-math>", "<meta name=robots content=noai>", "<meta charset=utf-16>", "<meta name=author content='&#x41;'>",
    "<link rel=license href=l>", "<time datetime=2020-01-02>", "\ufeff", "\ud800", "\x1f", "\x7f",
)  # fmt: skip

_VALUES = st.sampled_from([
    "", "content", "nav menu", "article-body", "sideBar", "katex-html", "MathJax", "math", "tex", "display:none",
    "visibility : hidden", ": : ; :", "true", "hidden", "x" * 40, "a b c d e f g h i j k l m n o p q r s t u v w x y z",
    "og:title", "og:type", "article", "robots", "tdm-reservation", "1", "license", "//h.test/l", "é", "&quot;", "&#1;",
    "application/ld+json", "math/tex", *RENDERED_MATH, *ROLES,
])  # fmt: skip
_NAMES = st.sampled_from([*ATTRIBUTES[1:], "alttext", "display", "onclick", "data-x", "=", "A" * 30])
_QUOTES = st.sampled_from(['"', "'", "", '" ', "' "])


@st.composite
def _attribute(draw: st.DrawFn) -> str:
    quote = draw(_QUOTES)
    return f" {draw(_NAMES)}={quote}{draw(_VALUES)}{quote}"


@st.composite
def _tag(draw: st.DrawFn) -> str:
    name = draw(st.sampled_from(TAGS[1:]))
    return f"<{name}{''.join(draw(st.lists(_attribute(), max_size=3)))}{draw(st.sampled_from(['>', '>', '/>', '']))}"


_TEXT = st.lists(st.sampled_from(WORDS), min_size=1, max_size=12).map(" ".join)
_LEAF = st.one_of(_TEXT, st.sampled_from(PIECES), _tag(), st.sampled_from(TAGS[1:]).map("</{}>".format))


def _around(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(
        st.sampled_from(TAGS[1:]), st.lists(_attribute(), max_size=2), st.lists(inner, max_size=5)
    ).map(lambda made: f"<{made[0]}{''.join(made[1])}>{''.join(made[2])}</{made[0]}>")  # fmt: skip


_NODES = st.recursive(_LEAF, _around, max_leaves=12)


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """A few changes to bytes: cut, left out, repeated, turned round, put in, overwritten, one bit turned."""
    data = whole
    for _ in range(draw(st.integers(0, 4))):
        kind = draw(st.integers(0, 7))
        low = draw(st.integers(0, len(data)))
        high = min(len(data), low + draw(st.integers(0, 200)))
        if kind == 0:
            data = data[:low]
        elif kind == 1:
            data = data[:low] + data[high:]
        elif kind == 2:
            data = data[:high] + data[low:high] * draw(st.integers(0, 40)) + data[high:]
        elif kind == 3:
            data = data[:low] + data[low:high][::-1] + data[high:]
        elif kind == 4:
            data = data[:low] + draw(st.binary(max_size=8)) + data[low:]
        elif kind == 5:
            data = data[:low] + draw(st.binary(max_size=8)) + data[low + 4 :]
        elif kind == 6 and low < len(data):
            data = data[:low] + bytes([data[low] ^ 1 << draw(st.integers(0, 7))]) + data[low + 1 :]
        elif kind == 7:
            data = data[:low] + draw(st.sampled_from(PIECES)).encode("utf-8", "surrogatepass") + data[low:]
    return data


@st.composite
def pages(draw: st.DrawFn) -> bytes:
    """A page, more or less."""
    whole = "".join(draw(st.lists(_NODES, max_size=12)))
    encoding = draw(st.sampled_from(["utf-8"] * 6 + ["cp1252", "utf-16", "gb18030", "shift_jis"]))
    data = whole.encode(encoding, "surrogatepass" if encoding.startswith("utf") else "replace")
    return draw(damaged(data))
