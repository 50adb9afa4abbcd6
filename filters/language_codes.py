"""One code for a language, whatever a model calls it.

The rule: the code of ISO 639-1 where the language has one; else, where CLDR counts it as the predominant member of a
macrolanguage with such a code, that code (arb is ar, zsm is ms, lvs is lv, cmn is zh); else the code of ISO 639-3. So
arz, yue and gsw keep codes of their own. Bokmål is ``no``; Serbo-Croatian, whose code is withdrawn, is ``hbs``.
Scripts are no part of it.

Sources: ISO 639-3 (https://iso639-3.sil.org), the aliases "macrolanguage" of CLDR's supplementalMetadata.xml.
"""

from __future__ import annotations

from typing import Final

__all__ = ["code"]


def _pairs(text: str) -> dict[str, str]:
    return {pair[:3]: pair[4:] for pair in text.split()}


_ISO_639_1: Final = _pairs(
    """
    aar:aa abk:ab afr:af aka:ak amh:am ara:ar arg:an asm:as ava:av ave:ae aym:ay aze:az bak:ba bam:bm bel:be ben:bn
    bis:bi bod:bo bos:bs bre:br bul:bg cat:ca ces:cs cha:ch che:ce chu:cu chv:cv cor:kw cos:co cre:cr cym:cy dan:da
    deu:de div:dv dzo:dz ell:el eng:en epo:eo est:et eus:eu ewe:ee fao:fo fas:fa fij:fj fin:fi fra:fr fry:fy ful:ff
    gla:gd gle:ga glg:gl glv:gv grn:gn guj:gu hat:ht hau:ha heb:he her:hz hin:hi hmo:ho hrv:hr hun:hu hye:hy ibo:ig
    ido:io iii:ii iku:iu ile:ie ina:ia ind:id ipk:ik isl:is ita:it jav:jv jpn:ja kal:kl kan:kn kas:ks kat:ka kau:kr
    kaz:kk khm:km kik:ki kin:rw kir:ky kom:kv kon:kg kor:ko kua:kj kur:ku lao:lo lat:la lav:lv lim:li lin:ln lit:lt
    ltz:lb lub:lu lug:lg mah:mh mal:ml mar:mr mkd:mk mlg:mg mlt:mt mon:mn mri:mi msa:ms mya:my nau:na nav:nv nbl:nr
    nde:nd ndo:ng nep:ne nld:nl nno:nn nob:nb nor:no nya:ny oci:oc oji:oj ori:or orm:om oss:os pan:pa pli:pi pol:pl
    por:pt pus:ps que:qu roh:rm ron:ro run:rn rus:ru sag:sg san:sa sin:si slk:sk slv:sl sme:se smo:sm sna:sn snd:sd
    som:so sot:st spa:es sqi:sq srd:sc srp:sr ssw:ss sun:su swa:sw swe:sv tah:ty tam:ta tat:tt tel:te tgk:tg tgl:tl
    tha:th tir:ti ton:to tsn:tn tso:ts tuk:tk tur:tr twi:tw uig:ug ukr:uk urd:ur uzb:uz ven:ve vie:vi vol:vo wln:wa
    wol:wo xho:xh yid:yi yor:yo zha:za zho:zh zul:zu
    """
)
_PREDOMINANT: Final = _pairs(
    """
    als:sq arb:ar ayr:ay azj:az cmn:zh ekk:et esk:ik fat:ak fuc:ff gaz:om gug:gn ike:iu khk:mn kmr:ku knc:kr kng:kg
    kpv:kv lvs:lv nob:no npi:ne ojg:oj ory:or pbu:ps pes:fa plt:mg prs:fa quz:qu src:sc swc:sw swh:sw uzn:uz ydd:yi
    zsm:ms zyb:za
    """
)
_WITHDRAWN: Final = {"nb": "no", "sh": "hbs", "in": "id", "iw": "he", "ji": "yi", "jw": "jv", "mo": "ro", "bh": "bho"}


def code(language: str) -> str:
    """The one code of a language.

    Args:
        language: a code of ISO 639-1 or 639-3, with a script or not: "en", "eng", "eng_Latn", "zho-Hans".
    """
    plain = language.replace("-", "_").split("_", 1)[0].lower()
    plain = _WITHDRAWN.get(plain, plain)
    # Bokmål has a code, and is the predominant member of a macrolanguage with another.
    return _PREDOMINANT.get(plain) or _ISO_639_1.get(plain, plain)
