"""LaTeX's commands and environments by what becomes of them in a text (see `latex.py`)."""

from __future__ import annotations

SECTIONS = {
    "part": 1,
    "chapter": 1,
    "section": 2,
    "subsection": 3,
    "subsubsection": 4,
    "paragraph": 5,
    "subparagraph": 6,
}
"""Commands that begin a section, and the level of its heading."""

MATH = frozenset(
    {"math", "displaymath", "equation", "align", "alignat", "flalign", "gather", "multline", "eqnarray", "subequations",
     "dmath", "IEEEeqnarray", "tikzcd", "xymatrix", "prooftree", "mathpar"}
)  # fmt: skip
"""Environments of mathematics (also with a star)."""

UNNUMBERED = frozenset({"math", "displaymath", "equation", "dmath"})
"""Those that say nothing beyond their dollar signs."""

DROPPED_ENVIRONMENTS = frozenset(
    {"thebibliography", "references", "comment", "tikzpicture", "picture", "filecontents", "pspicture", "CCSXML",
     "IEEEbiography", "IEEEbiographynophoto", "titlepage", "pgfpicture", "theindex", "biblist"}
)  # fmt: skip

DROPPED = {
    **dict.fromkeys(
        ["label", "ref", "eqref", "pageref", "autoref", "cref", "Cref", "nameref", "vref", "cite", "citep", "citet",
         "citealp", "citealt", "citeauthor", "citeyear", "citeyearpar", "parencite", "textcite", "autocite", "footcite",
         "Citet", "Citep", "nocite", "bibliography", "bibliographystyle", "addbibresource", "includegraphics", "input",
         "include", "usepackage", "documentclass", "documentstyle", "RequirePackage", "pagestyle", "thispagestyle",
         "pagenumbering", "vspace", "hspace", "index", "thanks", "title", "author", "date", "affiliation", "email",
         "address", "institute", "keywords", "pacs", "hypersetup", "graphicspath", "color", "bibitem", "footnotetext",
         "phantom", "hphantom", "vphantom", "hypertarget", "theoremstyle", "newcounter",
         "stepcounter", "refstepcounter", "numberwithin", "allowdisplaybreaks", "newlabel", "special", "vskip", "hskip",
         "linespread", "fontsize", "includeonly", "subfile", "import", "captionsetup", "lstset", "thmref", "tikzset",
         "usetikzlibrary", "PACS", "subjclass", "ead", "orcid", "marginpar", "todo", "caption",
         "fontshape", "fontseries", "fontfamily", "fontencoding", "pagecolor",
         "geometry", "newgeometry"],
        1,
    ),
    **dict.fromkeys(["setcounter", "addtocounter", "addtolength", "markboth", "fontsize", "rule",
                     "setlength", "DeclareFontFamily", "addcontentsline"], 2),
    **dict.fromkeys(["newif", "centering", "raggedright", "maketitle", "tableofcontents", "listoffigures", "appendix",
                     "listoftables", "printbibliography", "printindex", "protect", "left", "right", "hfill", "vfill",
                     "hline", "newblock", "leavevmode", "relax", "bf", "it", "em", "rm", "tt", "sc", "sf", "sl",
                     "small", "large", "Large", "LARGE", "huge", "Huge", "tiny", "scriptsize", "footnotesize",
                     "normalsize", "bfseries", "itshape", "ttfamily", "scshape", "boldmath", "samepage"], 0),
    **dict.fromkeys(["newenvironment", "renewenvironment"], 3),
}  # fmt: skip
"""Commands that leave nothing, with the number of their arguments."""

KEPT_LAST = {
    **dict.fromkeys(["href", "textcolor", "colorbox", "hyperlink", "hyperref", "foreignlanguage", "raisebox", "parbox",
                     "scalebox", "resizebox", "texorpdfstring"], 2),
    **dict.fromkeys(["multicolumn", "multirow"], 3),
}  # fmt: skip
"""Commands of which the last argument is the text, with the number of their arguments."""

STRUCTURE = frozenset({*SECTIONS, *DROPPED, *KEPT_LAST, "item", "footnote", "begin", "end", "par", "emph", "textbf"})
"""Commands that keep their meaning here, whatever a document makes of their look."""

THEOREMS = {
    "theorem": "Theorem", "thm": "Theorem", "lemma": "Lemma", "lem": "Lemma", "proposition": "Proposition",
    "prop": "Proposition", "corollary": "Corollary", "cor": "Corollary", "definition": "Definition",
    "defn": "Definition",
    "remark": "Remark", "rem": "Remark", "rmk": "Remark", "example": "Example", "ex": "Example", "exercise": "Exercise",
    "proof": "Proof", "conjecture": "Conjecture", "claim": "Claim", "notation": "Notation", "question": "Question",
    "situation": "Situation", "assumption": "Assumption", "axiom": "Axiom", "fact": "Fact",
}  # fmt: skip
"""Environments that are called something, where the document does not say what."""

SYMBOLS = {
    "ldots": "…", "dots": "…", "textellipsis": "…", "S": "§", "P": "¶", "copyright": "©", "pounds": "£", "ss": "ß",
    "ae": "æ", "AE": "Æ", "oe": "œ", "OE": "Œ", "o": "ø", "O": "Ø", "l": "ł", "L": "Ł", "aa": "å", "AA": "Å", "i": "ı",
    "j": "ȷ", "dag": "†", "ddag": "‡", "TeX": "TeX", "LaTeX": "LaTeX", "LaTeXe": "LaTeX2e", "textendash": "–",
    "textemdash": "—", "textquoteleft": "‘", "textquoteright": "’", "textquotedblleft": "“", "textquotedblright": "”",
    "textbackslash": "\\", "textasciitilde": "~", "textasciicircum": "^", "textbar": "|", "textless": "<",
    "textgreater": ">", "textdegree": "°", "textregistered": "®", "texttrademark": "™", "textperiodcentered": "·",
    "textbullet": "•", "quad": " ", "qquad": " ", "enspace": " ", "space": " ", "thinspace": " ", "qed": "∎",
    "qedsymbol": "∎", "slash": "/", "euro": "€", "texteuro": "€", "textunderscore": "_", "guillemotleft": "«",
    "guillemotright": "»", "dh": "ð", "th": "þ",
}  # fmt: skip

ACCENTS = {
    "'": "\u0301", "`": "\u0300", "^": "\u0302", '"': "\u0308", "~": "\u0303", "=": "\u0304", ".": "\u0307",
    "u": "\u0306", "v": "\u030c", "H": "\u030b", "c": "\u0327", "d": "\u0323", "b": "\u0331", "k": "\u0328",
    "r": "\u030a",
}  # fmt: skip
"""Accent commands and their combining characters."""
