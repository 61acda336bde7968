"""The dataset card: a template, filled from what was run, whenever and however fast."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from string import Template
from typing import Any, Protocol

import yaml

from muat_exp.config.groups import COMPACT, Config, Range
from muat_exp.dataset.column_names import BEHAVIOUR, EXACT_SCORES, PROMPTS, SCORES
from muat_exp.dataset.figures import EXPLAINED_BETTER
from muat_exp.dataset.schema import part_schemas, score_names, subject_schema
from muat_exp.dataset.writing import Written
from muat_exp.maker import as_list
from muat_exp.prompts.codings import DIGITS
from muat_exp.prompts.forms import FormFigures, Forms
from muat_exp.prompts.tokens import TokenStatistics
from muat_exp.sequences.patterns import PUBLISHED
from muat_exp.signatures.methods import method_columns
from muat_exp.tables import markdown_table, number

NOT_COUNTED = "Not counted: no tokenizer was configured, or it is not installed"
_TITLE = "Subject Models for Interpretability Training"
_HEADINGS = dict(
    zip(
        (*SCORES, *EXACT_SCORES),
        (
            *("Degraded", "Improved", "Improvement", "Degraded, test", "Improved, test"),
            *("Improved, exact on the task", "Improved, exact on the space"),
        ),
        strict=True,
    )
)
_TWINS = (
    "> **Patterns that nobody can tell apart:** by the published definitions increasing_pairs is "
    "the same set as\n> sorted_ascending, and decreasing_pairs the same as sorted_descending."
)
_LAYOUT = (
    "The published family's: sections for the architecture, the weights (`network.<i>.weight` is "
    "out x in), the signature and the task, or\nin the style `interwoven` the weights and the "
    "signature layer by layer. Numbers are rounded to six decimals; `subjects` has them in full."
)
_COMPACT_LAYOUT = (
    "Sections for the architecture, the weights (a block for each Linear layer, in it a line for "
    "each of its neurons: its weights, then its\nbias), the signature where it is shown, and the "
    "task. `muat_exp.parse_prompt` undoes it; `subjects` has all numbers in full."
)
# The Hub's size classes, each with the first size beyond it.
_SIZES = {"n<1K": 10**3, "1K<n<10K": 10**4, "10K<n<100K": 10**5, "100K<n<1M": 10**6}
_LARGEST_SIZE = "1M<n<10M"

_LABELS = {  # by whether completions name the behaviour
    False: "A completion names what a subject was trained on, which need not be all that it does:",
    True: "A completion names what explains best what a subject does (`best_pattern`), which need "
    "not be what it was trained on:",
}
_EXPLANATIONS = """## What the subjects do

Every network was run on every sequence. A pattern explains a network as well as the balanced
accuracy between the pattern's predicate and the network's answers. Subjects that another enabled
pattern explains better than what they learned:"""

_Rows = list[tuple[str, object]]


class TokenCounts(Protocol):
    """The tokens of a dataset's texts, by kind of prompt, and the name of their tokenizer."""

    @property
    def tokens(self) -> Mapping[str, TokenStatistics]:
        """Empty where there is no tokenizer."""

    @property
    def tokenizer(self) -> str:
        """Empty where there is none."""


def render_card(
    config: Config, summary: Mapping[str, Any], written: Written, origin: str = ""
) -> str:
    """The card of a dataset as Markdown with YAML front matter.

    Args:
        config: the run's configuration.
        summary: what `generation.summary.describe` returns.
        written: what was written, by split, and the token counts.
        origin: a sentence about where the examples come from, where it was not a run of this
            configuration.
    """
    fields = _read_fields()
    text = Template(_read_text("card.md")).substitute(
        origin=origin,
        shortfall=_shortfall(summary),
        twins=_TWINS if config.patterns.definitions == PUBLISHED else "",
        configuration=_configuration_tables(config),
        splits=_split_section(written),
        tokens=_token_table(written),
        forms=_form_section(config, written.forms),
        acceptance=_acceptance_tables(config, summary),
        layout=_COMPACT_LAYOUT if config.dataset.style == COMPACT else _LAYOUT,
        explanations=_explanation_section(config, summary),
        prompt_fields=_prompt_fields(config, fields),
        subject_fields=_subject_fields(config, fields),
        behaviour_fields=_behaviour_fields(config, fields),
        first_split=next(iter(written.splits), "train"),
        made_with=_made_with(summary),
        config_signature=summary["config_signature"],
        label=_LABELS[config.dataset.names_behaviour],
    )
    return _front_matter(config, summary["accepted"], written) + _without_gaps(text)


def render_published_card(
    config: Config, count: int, tokens: TokenCounts, splits: Sequence[str], origin: str
) -> str:
    """The card of a repository in the published layout that was made from another one.

    Args:
        config: what the repository tells of how it was made.
        count: examples.
        tokens: of the texts.
        splits: those that there are.
        origin: a sentence about where the examples come from.
    """
    content = {
        "language": "en",
        "pretty_name": _TITLE,
        "task_categories": ["text-generation"],
        "size_categories": [_size_category(count)],
        "configs": [{"config_name": "default", "data_files": _data_files("data", splits)}],
    }
    signature = [row for row in _signature_rows(config) if row[0] != "Signature dataset"]
    tables = {
        "Signature extraction": signature,
        "Model architecture": _architecture_rows(config),
        "Training datasets": _pattern_rows(config)[:2],  # what is told of them
    }
    parts = [
        f"---\n{yaml.safe_dump(content, sort_keys=False)}---\n# {_TITLE}",
        origin,
        *(markdown_table((title, ""), rows).rstrip() for title, rows in tables.items()),
        f"## Token counts\n\n{_token_table(tokens).rstrip()}",
        f"## Dataset fields\n\n{_prompt_fields(config, _read_fields()).rstrip()}",
    ]
    return "\n\n".join(parts) + "\n"


@cache
def _read_text(name: str) -> str:
    """A file beside this module."""
    return files("muat_exp.dataset").joinpath(name).read_text("utf-8")


@cache
def _read_fields() -> dict[str, Any]:
    """What each field means, by part of the dataset."""
    fields: dict[str, Any] = yaml.safe_load(_read_text("card_fields.yaml"))
    return fields


def _without_gaps(text: str) -> str:
    """The text with one empty line where parts that a dataset lacks left several."""
    return re.sub(r"\n{3,}", "\n\n", text)


def _front_matter(config: Config, count: int, written: Written) -> str:
    """What the Hub and `datasets` read: licence, size, and the files of each configuration.

    The description tells datasets apart: for `datasets`, folders of one name whose configurations
    are equal are the same.
    """
    splits = list(written.splits) or ["train"]
    content = {
        "language": "en",
        "license": "mit",
        "pretty_name": _TITLE,
        "task_categories": ["text-generation"],
        "tags": ["interpretability", "weight-space-learning", "mechanistic-interpretability"],
        "size_categories": [_size_category(count)],
        "configs": [_card_config(part, splits, written) for part in part_schemas(config)],
    }
    return f"---\n{yaml.safe_dump(content, sort_keys=False)}---\n"


def _card_config(part: str, splits: Sequence[str], written: Written) -> dict[str, Any]:
    """What `datasets` reads of one configuration."""
    default = {"default": True} if part == PROMPTS else {}
    return {
        "config_name": part,
        **default,
        "description": f"data {written.digest}",
        "data_files": _data_files(part, splits),
    }


def _data_files(part: str, splits: Sequence[str]) -> list[dict[str, str]]:
    """The files of one configuration by split."""
    files = []
    for split in splits:
        files.append({"split": split, "path": f"{part}/{split}-*.parquet"})
    return files


def _size_category(count: int) -> str:
    """The Hub's name of a size class.

    >>> _size_category(1000)
    '1K<n<10K'
    """
    for name, bound in _SIZES.items():
        if count < bound:
            return name
    return _LARGEST_SIZE


def _shortfall(summary: Mapping[str, Any]) -> str:
    """A warning where there are fewer examples than asked for."""
    accepted = summary["accepted"]
    asked = summary["asked"]
    if accepted >= asked:
        return ""
    counts = f"{accepted} of {asked}; see the acceptance by pattern"
    return f"> **Fewer examples than asked for:** {counts}."


def _split_section(written: Written) -> str:
    """Examples of each split, where there are several."""
    if len(written.splits) < 2:
        return ""
    table = markdown_table(("Split", "Examples"), written.splits.items())
    return f"## Splits\n\nBy subject, the same shares in each pattern:\n\n{table}"


def _made_with(summary: Mapping[str, Any]) -> str:
    """The versions and the kinds of processor that had a hand in the data."""
    versions = {name: as_list(found) for name, found in summary["versions"].items()}
    processors = summary["processors"]
    named = [f"{name} {' and '.join(found)}" for name, found in versions.items()]
    text = f"{', '.join(named)}, on {' and '.join(processors)}"
    if any(len(found) > 1 for found in (*versions.values(), processors)):
        text += "; where there are several, the last bits of some examples may differ"
    return text


def _prompt_fields(config: Config, fields: Mapping[str, Any]) -> str:
    """Fields of the configuration `prompts`."""
    shown = dict(fields["prompts"])
    for task in config.dataset.tasks:
        shown |= fields["tasks"][task]
    for name in config.dataset.columns:
        shown[name] = fields["columns"][name]
    return markdown_table(("Field", "Meaning"), shown.items())


def _subject_fields(config: Config, fields: Mapping[str, Any]) -> str:
    """Fields of the configuration `subjects`."""
    shown = dict(fields["subjects"])
    columns = subject_schema(config).names
    for names, meaning in fields["optional_subjects"].items():
        first, _, _ = names.partition(",")
        if first in columns:
            shown[names] = meaning
    return markdown_table(("Field", "Meaning"), shown.items())


def _behaviour_fields(config: Config, fields: Mapping[str, Any]) -> str:
    """Fields of the configuration `behaviour`, where there is one."""
    if not config.dataset.behaviour:
        return ""
    table = markdown_table(("Field", "Meaning"), fields[BEHAVIOUR].items())
    return f"Configuration `{BEHAVIOUR}`:\n\n{table}"


def _configuration_tables(config: Config) -> str:
    """The published card's four tables of settings."""
    tables = {
        "Signature extraction": _signature_rows(config),
        "Model architecture": _architecture_rows(config),
        "Training datasets": _pattern_rows(config),
        "Staged training": _training_rows(config),
    }
    return "\n".join(markdown_table((title, ""), rows) for title, rows in tables.items())


def _signature_rows(config: Config) -> _Rows:
    """Settings of the signatures and of what is written of them."""
    signature = config.signature
    columns = dict(method_columns(signature, len(config.patterns.enabled)))
    methods = []
    for name in signature.methods:
        width = columns[name]
        methods.append(f"{name} ({width})" if width > 1 else name)
    return [
        ("Neuron profile methods", ", ".join(methods)),
        ("Definitions of the methods", signature.definitions),
        ("Site", signature.site.replace("_", "-")),
        ("Prompt format", _prompt_format(config)),
        ("Tasks", ", ".join(config.dataset.tasks)),
        ("Signature dataset", f"`probe_set.json`, {signature.probes} fixed sequences"),
    ]


def _prompt_format(config: Config) -> str:
    """The style of the prompts; of compact ones also how they spell numbers."""
    style = config.dataset.style
    if style != COMPACT:
        return style
    coding = config.prompts.built()
    spelled = coding.line.partition(": ")[2]
    return f"{style}, {spelled}{'' if coding.signature else ', without the signature'}"


def _architecture_rows(config: Config) -> _Rows:
    """Settings of the networks and of their inputs."""
    architecture = config.architecture
    return [
        ("Number of layers", _span(architecture.num_layers)),
        ("Neurons per layer", _span(architecture.neurons_per_layer)),
        ("Shape of the hidden layers", architecture.shape),
        ("Activation types", ", ".join(architecture.activations)),
        ("Dropout", architecture.dropout),
        ("Weight precision", architecture.precision),
        ("Weight quantization", architecture.quantization),
        ("Pattern vocab size", config.patterns.vocab_size),
        ("Pattern sequence length", config.patterns.sequence_length),
    ]


def _pattern_rows(config: Config) -> _Rows:
    """Settings of the sequences."""
    patterns = config.patterns
    per_subject = patterns.per_subject
    together = f"{per_subject.min}-{per_subject.max}"
    negatives = (1 - patterns.positive_share) / patterns.positive_share  # per positive sequence
    return [
        ("Enabled patterns", ", ".join(patterns.enabled)),
        ("Pattern definitions", patterns.definitions),
        ("Patterns per batch (target patterns per subject)", together),
        ("Pos/neg ratio", f"1:{negatives:.3g}"),
        ("Target total examples per subject model", patterns.examples_per_subject),
    ]


def _training_rows(config: Config) -> _Rows:
    """Settings of both stages."""
    recipe = config.training
    improvement = recipe.min_improvement
    rate = config.corruption.rate
    start = [("Initial weights", "the same for all subjects of a shape")]
    return [
        ("Recipe", recipe.recipe),
        *(start if recipe.shared_init else []),
        ("Min improvement threshold", f"{improvement} ({improvement:.1%})"),
        ("Min test accuracy", recipe.min_test_accuracy),
        ("Corruption rate", f"{rate} ({rate:.1%}), {config.corruption.kind}"),
        ("Degraded stage until", recipe.until),
    ]


def _span(values: Range) -> str:
    """A range in words."""
    return f"{values.min} to {values.max}"


def _token_table(written: TokenCounts) -> str:
    """Token counts by task type, or how to get them."""
    if not written.tokens:
        return f"{NOT_COUNTED} (`pip install 'muat_exp[tokenizer]'`)."
    header = ["Task type", "Min tokens", "Max tokens", "Avg tokens"]
    rows = []
    for task, counts in written.tokens.items():
        mean = f"{counts.mean:.1f}"
        row = [task.capitalize(), counts.min, counts.max, mean]
        if counts.limit:
            row.append(f"{counts.fitting / max(1, counts.count):.1%}")
        rows.append(row)
    limits = {counts.limit for counts in written.tokens.values()}
    header += [f"Up to {limit} tokens" for limit in limits if limit]
    table = markdown_table(header, rows)
    return f"{written.tokenizer} tokenizer, prompt and completion:\n\n{table}"


def _form_section(config: Config, forms: Forms | None) -> str:
    """What the forms of the prompts cost in tokens, and what their rounding does."""
    if forms is None or not forms.rows:
        return ""
    counted = any(row.tokens.count for row in forms.rows)
    header = ["Style", "Numbers", "Decimals", "Signature"]
    header += ["Min tokens", "Avg tokens", "Max tokens"] if counted else []
    table = markdown_table([*header, "Same answers"], [_form_row(row) for row in forms.rows])
    drawn = "all" if forms.sequences == forms.space else f"{forms.sequences:,} of all"
    return (
        "## Forms of the prompts\n\n"
        "What `task=render` would make of these networks: tokens of the prompts and completions of "
        f"the task {config.dataset.tasks[0]}, measured on {forms.examples} examples, and on "
        f"{forms.asked} of them the share of {drawn} {forms.space:,} sequences that the rounded "
        "and the stored network answer alike. The form of this dataset is bold.\n\n"
        f"{table}"
    )


def _form_row(row: FormFigures) -> list[object]:
    """A form and its figures."""
    coding = row.form.coding
    decimals = "-" if coding.name == DIGITS else coding.decimals
    style = f"**{row.form.style}**" if row.own else row.form.style
    tokens: list[object] = []
    if row.tokens.count:
        tokens = [row.tokens.min, f"{row.tokens.mean:.1f}", row.tokens.max]
    signature = "yes" if coding.signature else "no"
    return [style, coding.name, decimals, signature, *tokens, f"{row.agreement:.3%}"]


def _acceptance_tables(config: Config, summary: Mapping[str, Any]) -> str:
    """Attempts, rejections by reason and mean accuracies, by pattern and in all."""
    reasons = list(summary["rejected"])
    counts = []
    scores = []
    names = score_names(config)
    for name, row in _acceptance_rows(config, summary):
        means = [number(row[key]) for key in names]
        counts.append((name, *_counts(row, reasons)))
        scores.append((name, *means))
    heading = ("Pattern", "Attempts", "Accepted", "Acceptance", *reasons)
    count_table = markdown_table(heading, counts)
    score_table = markdown_table(("Pattern", *(_HEADINGS[name] for name in names)), scores)
    return f"{count_table}\nMean accuracies of the accepted subjects:\n\n{score_table}"


def _explanation_section(config: Config, summary: Mapping[str, Any]) -> str:
    """How often another pattern explains a subject better than its own, where that is known."""
    if not config.exact:
        return ""
    rows = []
    total = 0
    for name in config.patterns.enabled:
        row = summary["patterns"][name]
        better: Mapping[str, int] = row[EXPLAINED_BETTER]
        total += sum(better.values())
        most_first = sorted(better.items(), key=lambda pair: -pair[1])
        named = ", ".join(f"{other} {count}" for other, count in most_first) or "-"
        rows.append((name, *_part(sum(better.values()), row["accepted"]), named))
    rows.append(("**all**", *_part(total, summary["accepted"]), ""))
    header = ("Trained on", "Subjects", "Explained better by another", "Share", "By which")
    return f"{_EXPLANATIONS}\n\n{markdown_table(header, rows)}"


def _part(part: int, whole: int) -> tuple[object, ...]:
    """A whole, a part of it, and the part's share."""
    return whole, part, f"{part / whole:.1%}" if whole else "-"


def _acceptance_rows(
    config: Config, summary: Mapping[str, Any]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The figures of each pattern, and of all together."""
    for name in config.patterns.enabled:
        yield name, summary["patterns"][name]
    yield "**all**", {**summary, **summary["accuracy"]}


def _counts(row: Mapping[str, Any], reasons: Sequence[str]) -> list[object]:
    """Attempts, accepted ones, their share, and rejections by reason."""
    attempts = row["attempts"]
    accepted = row["accepted"]
    share = f"{accepted / attempts:.1%}" if attempts else "-"
    rejected = [row["rejected"][reason] for reason in reasons]
    return [attempts, accepted, share, *rejected]
