"""MathML as TeX."""

from __future__ import annotations

import pytest

from pipelines.extract.page.mathml import tex


@pytest.mark.parametrize(
    ("mathml", "expected"),
    [
        ("<mi>x</mi>", "$x$"),
        ("<msup><mi>x</mi><mn>2</mn></msup><mo>+</mo><mn>1</mn>", "$x^2+1$"),
        ("<msup><mi>e</mi><mrow><mo>−</mo><mi>x</mi></mrow></msup>", "$e^{-x}$"),
        ("<mfrac><mi>a</mi><mrow><mi>b</mi><mo>+</mo><mi>c</mi></mrow></mfrac>", r"$\frac{a}{b+c}$"),
        ("<msqrt><mn>2</mn></msqrt>", r"$\sqrt{2}$"),
        ("<mroot><mi>x</mi><mn>3</mn></mroot>", r"$\sqrt[3]{x}$"),
        (
            "<munderover><mo>∑</mo><mrow><mi>i</mi><mo>=</mo><mn>0</mn></mrow><mi>n</mi></munderover><msub><mi>a</mi>"
            "<mi>i</mi></msub>",
            r"$\sum_{i=0}^na_i$",
        ),
        ("<mi>α</mi><mo>≤</mo><mi>sin</mi><mi>β</mi>", r"$\alpha \leq \sin \beta$"),
        ("<mover><mi>x</mi><mo>¯</mo></mover>", r"$\bar{x}$"),
        (
            "<mtable><mtr><mtd><mn>1</mn></mtd><mtd><mn>0</mn></mtd></mtr><mtr><mtd><mn>0</mn></mtd><mtd><mn>1</mn>"
            "</mtd></mtr></mtable>",
            r"$\begin{matrix} 1 & 0 \\ 0 & 1 \end{matrix}$",
        ),
        ("<mfenced><mi>a</mi><mi>b</mi></mfenced>", r"$\left(a,b\right)$"),
        ("<mi mathvariant='bold'>v</mi>", r"$\mathbf{v}$"),
        ("<mtext>if </mtext><mi>x</mi>", r"$\text{if }x$"),
        ("<semantics><mi>x</mi><annotation>no</annotation></semantics>", "$x$"),
        ("<msub><mi>x</mi></msub>", "$x$"),
        ("", ""),
    ],
)
def test_presentation(mathml: str, expected: str) -> None:
    assert tex(f"<math>{mathml}</math>".encode()) == expected


def test_display() -> None:
    assert tex(b'<math display="block"><mi>x</mi></math>') == "$$x$$"


def test_depth_is_bounded() -> None:
    assert "x" in tex(b"<math>" + b"<mrow>" * 200 + b"<mi>x</mi>" + b"</mrow>" * 200 + b"</math>")


def test_what_is_no_mathml() -> None:
    for markup in (b"", b"<math", b"\xff<math><mi>\xff</mi></math>", b"<math></math>"):
        assert isinstance(tex(markup), str)
