"""AsciiMath as TeX: formulas of asciimath.org's own page, and pages that hold some."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.extract import extract_html
from pipelines.extract.page.asciimath import MAX_LENGTH, replaced, tex

PROSE = "<p>The sum of the first cubes is a square, as everybody who has added some of them up will have seen.</p>" * 4


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("sum_(i=1)^n i^3=((n(n+1))/2)^2", r"$\sum_{i=1}^ni^3=\left(\frac{n(n+1)}{2}\right)^2$"),
        ("f(x)=sum_(n=0)^oo(f^((n))(a))/(n!)(x-a)^n", r"$f(x)=\sum_{n=0}^{\infty}\frac{f^{(n)}(a)}{n!}(x-a)^n$"),
        ("int_0^1f(x)dx", r"$\int_0^1f(x)dx$"),
        (
            "[[a,b],[c,d]]((n),(k))",
            r"$\left[\begin{matrix} a & b \\ c & d \end{matrix}\right]\left(\begin{matrix} n \\ k \end{matrix}\right)$",
        ),
        (
            "x/x={(1,if x!=0),(text{undefined},if x=0):}",
            r"$\frac{x}{x}=\left\{\begin{matrix} 1 & \text{ if }x\ne0 \\ \text{undefined} & \text{ if }x=0 "
            r"\end{matrix}\right.$",
        ),
        ("lim_(h->0)(f(x+h)-f(x))/h", r"$\lim_{h\to0}\frac{f(x+h)-f(x)}{h}$"),
        ("AA x in CC (sqrt(x^2) = |x|)", r"$\forall x\in\mathbb{C}(\sqrt{x^2}=|x|)$"),
        ("|x|/2", r"$\frac{|x|}{2}$"),
        ("{x|x>0}", r"$\{x\mid x>0\}$"),
        ("(0,1]", "$(0,1]$"),
        ("x^-1+x_-2", "$x^{-1}+x_{-2}$"),
        ("root(3)(x)", r"$\sqrt[3]{x}$"),
        ("hat(ab) bb A", r"$\hat{ab}\mathbf{A}$"),
        ('"if " alpha<=beta', r"$\text{if }\alpha\le\beta$"),
        ("sinx", r"$\sin x$"),
        ("a)b", "$a)b$"),
        ("   ", ""),
    ],
)
def test_formulas(formula: str, expected: str) -> None:
    assert tex(formula) == expected


@pytest.mark.parametrize("nested", ["(", "|(", "((a),(", "[[a,b],[", "sqrt(", "x_(", "1/(", "{", "frac(1)("])
@pytest.mark.timeout(60)
def test_depth_costs_no_more_than_length(nested: str) -> None:
    assert "x" in tex(nested * 400 + "x" + ")" * 400)
    assert "x" in tex(nested * 400 + "x")


def test_length_is_bounded() -> None:
    assert tex("x" * (MAX_LENGTH + 1)) == f"${'x' * (MAX_LENGTH + 1)}$"


@given(st.text(st.sampled_from("ab12()[]{}|/^_,:<>=+-*\\\"~!@'. xosqrtfracint"), max_size=60))
def test_nothing_is_raised_and_letters_are_kept(formula: str) -> None:
    told = tex(formula)
    assert told.startswith("$") or not formula.strip()
    assert {one for one in formula if one.isdigit()} <= set(told)


def test_backticks_of_a_page_that_names_the_script() -> None:
    page = f"""<html><head><script src="https://example.org/ASCIIMathML.js"></script></head><body><article><h1>Cubes</h1>
        {PROSE}<p>In short, `sum_(i=1)^n i^3=((n(n+1))/2)^2` holds for every number, and everybody may check that.</p>
        <pre>echo `date`</pre>{PROSE}</article></body></html>"""
    text = extract_html(page.encode()).text
    assert r"In short, $\sum_{i=1}^ni^3=\left(\frac{n(n+1)}{2}\right)^2$ holds" in text
    assert "echo `date`" in text
    plain = extract_html(page.replace("ASCIIMathML", "other").encode()).text
    assert "In short, `sum_(i=1)^n" in plain


def test_scripts_of_mathjax() -> None:
    page = f"""<body><article><h1>Halves</h1>{PROSE}<p>The half of it is
        <script type="math/asciimath">x/2</script> as everybody knows who has ever cut a cake in two.</p>
        {PROSE}</article></body>"""
    found = extract_html(page.encode())
    assert r"The half of it is $\frac{x}{2}$ as everybody" in found.text
    assert found.math_count == 1


def test_lines_do_not_share_a_formula() -> None:
    assert replaced("a ` b\nc ` d") == "a ` b\nc ` d"
