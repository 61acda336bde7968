"""The dataset card: the published tables, filled from what was run. Nothing in it depends on time, place or speed."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from muat_exp.config.groups import Config
from muat_exp.dataset.schema import SCORES, subject_schema
from muat_exp.dataset.writing import Written
from muat_exp.sequences.patterns import PUBLISHED
from muat_exp.signatures.methods import method_columns

_FRONT_MATTER = """---
language: en
task_categories: [text-generation]
tags: [interpretability, weight-space-learning, mechanistic-interpretability]
size_categories: [{size}]
configs:
  - config_name: prompts
    default: true
    description: data {digest}
    data_files: [{prompts}]
  - config_name: subjects
    description: data {digest}
    data_files: [{subjects}]
---
"""
_PURPOSE = """# Subject Models for Interpretability Training

Examples for training an *interpreter* to identify what patterns a model classifies as positive, based on an activation
signature: trained model + signature -> pattern identification. Each example is one small MLP, trained first on partly
mislabelled data (degraded), then on clean data (improved).
"""
_TASKS = {
    "classification": [
        ("classification_prompt", "input prompt with the improved model's weights and signature"),
        ("classification_completion", "target completion identifying the pattern"),
        ("classification_text", "prompt + completion"),
    ],
    "modification": [
        (
            "modification_prompt",
            "input prompt with the degraded model's weights and signature, and the pattern to learn",
        ),
        (
            "modification_completion",
            "target completion: the improved model's weights as one JSON object",
        ),
        ("modification_text", "prompt + completion"),
    ],
}
_FIELDS = [
    ("example_id", "unique identifier of the example, the subject's number"),
    (
        "metadata",
        "JSON: target_pattern (whose labels were corrupted), degraded_accuracy, improved_accuracy, improvement, model_config, "
        "corruption_stats, selected_patterns, precision, quantization, config_signature; and test_accuracy, response, "
        "activation, seed, subject_index, tasks_included",
    ),
]
_COLUMNS = {
    "improved_signature": "JSON: the improved model's signature by layer, neuron and method",
    "improved_model_weights": "JSON: the improved model's configuration and weights",
    "degraded_signature": "JSON: the degraded model's signature",
    "degraded_model_weights": "JSON: the degraded model's configuration and weights",
    "training_metrics": "JSON: losses and accuracies of every epoch of both stages, and a summary",
}
_SUBJECT_FIELDS = [
    ("example_id", "as above"),
    (
        "target_pattern, selected_patterns",
        "the pattern whose labels were corrupted; all patterns that the subject learned",
    ),
    (
        "num_layers, neurons_per_layer, activation, learning_rate",
        "hidden layers, their width, activation, Adam's rate",
    ),
    (
        "degraded_accuracy, improved_accuracy, improvement",
        "on clean validation data, before and after the clean stage",
    ),
    (
        "degraded_test_accuracy, test_accuracy",
        "balanced accuracy on fresh sequences, degraded and improved",
    ),
    ("response", "share of each enabled pattern's members that the network calls positive"),
    ("switch_epoch, clean_epoch", "epochs that the degraded and the improved weights are from"),
    ("corrupted_labels, corruption_candidates", "labels changed, and labels that could have been"),
    (
        "weights, degraded_weights",
        "float32, each Linear layer's weight (out x in) and bias in turn",
    ),
    ("signature", "float32, neurons x columns row by row, neurons layer by layer, the logit last"),
]
_OPTIONAL_SUBJECT_FIELDS = {
    "degraded_signature": "the same of the degraded weights",
    "history": "float32, four numbers an epoch: training loss and accuracy, validation loss and accuracy; degraded stage first",
    "degraded_epochs": "how many of these epochs are the degraded stage's",
}
NOT_COUNTED = "Not counted: no tokenizer was configured, or it is not installed"
_LOADING = """## Loading

```python
from datasets import load_dataset

prompts = load_dataset("path/to/this/folder", split="{split}")
subjects = load_dataset("path/to/this/folder", "subjects", split="{split}")

import muat_exp

network = muat_exp.load_subjects("path/to/this/folder")[0].to_module()  # a plain nn.Sequential
```
"""
_REASONS = """An attempt is rejected as `never_learned` (its validation loss did not fall enough in the degraded stage),
`no_improvement` (the clean stage gained too little accuracy), `unlearned` (it failed the test on fresh sequences) or
`diverged` (its numbers blew up).
"""
_TWINS = """> **Patterns that nobody can tell apart:** by the published definitions increasing_pairs is the same set as
> sorted_ascending, and decreasing_pairs the same as sorted_descending.
"""
_CAVEATS = """## What the accuracies mean

The validation accuracies are the best of many epochs on few examples and flatter. `test_accuracy` is measured once, on
sequences that the subject never trained or validated on. Some patterns are hard at this size: filter by `test_accuracy`
or `response` where it matters.

A completion names what a subject was trained on, which need not be all that it does: patterns overlap (every alternating
sequence of odd length is a palindrome), and a badly learned one spills over. `response` says how a subject answers to
each pattern.
"""


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table."""
    lines = [
        "| " + " | ".join(map(str, cells)) + " |"
        for cells in (header, ["---"] * len(header), *rows)
    ]
    return "\n".join(lines) + "\n"


def number(value: float | None, digits: int = 3) -> str:
    """A figure with fixed digits, or a dash."""
    return "-" if value is None else f"{value:.{digits}f}"


def _size_category(count: int) -> str:
    """The Hub's name of a size class.

    >>> _size_category(1000)
    '1K<n<10K'
    """
    bounds = [(1000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (10**6, "100K<n<1M")]
    return next((name for bound, name in bounds if count < bound), "1M<n<10M")


def render_card(
    config: Config, summary: Mapping[str, Any], written: Written, origin: str = ""
) -> str:
    """The card of a dataset as Markdown with YAML front matter.

    Args:
        config: the run's configuration.
        summary: what `pipeline.describe` returns; one without `patterns` leaves out the acceptance.
        written: what was written, by split, and the token counts.
        origin: a sentence about where the examples come from, where it was not a run of this configuration.
    """
    first = next(iter(written.splits), "train")
    sections = [
        _front_matter(summary["accepted"], written) + _PURPOSE,
        origin and f"{origin}\n",
        _shortfall(summary),
        _TWINS if config.patterns.definitions == PUBLISHED else "",
        "## Configuration\n\n" + _configuration_tables(config),
        _split_table(written),
        "## Token counts\n\n" + _token_table(written),
        "## Acceptance by pattern\n\n" + _acceptance_tables(config, summary) + "\n" + _REASONS,
        _CAVEATS,
        "## Fields\n\n" + _field_tables(config),
        _LOADING.format(split=first),
        f"Made with muat_exp {summary['versions']['muat_exp']}; config_signature `{summary['config_signature']}`; "
        "the resolved configuration is in `config.yaml`, the probe sequences in `probe_set.json`.\n",
    ]  # fmt: skip
    return "\n".join(section for section in sections if section)


def _front_matter(count: int, written: Written) -> str:
    """What the Hub and `datasets` read: language, size, and the files of each configuration and split.

    The description tells datasets apart: for `datasets`, folders of one name whose configurations are equal are the same.
    """
    files = {
        part: ", ".join(
            f"{{split: {split}, path: {part}/{split}-*.parquet}}"
            for split in written.splits or ("train",)
        )
        for part in ("prompts", "subjects")
    }
    return _FRONT_MATTER.format(size=_size_category(count), digest=written.digest, **files)


def _split_table(written: Written) -> str:
    """Examples of each split, where there are several."""
    if len(written.splits) < 2:
        return ""
    rows = table(("Split", "Examples"), written.splits.items())
    return f"## Splits\n\nBy subject, the same shares in each pattern:\n\n{rows}"


def _field_tables(config: Config) -> str:
    """Fields of both configurations."""
    prompts = [*_FIELDS, *(field for task in config.dataset.tasks for field in _TASKS[task])]
    prompts += [(name, _COLUMNS[name]) for name in config.dataset.columns]
    names = subject_schema(config).names
    subjects = _SUBJECT_FIELDS + [
        field for field in _OPTIONAL_SUBJECT_FIELDS.items() if field[0] in names
    ]
    return (
        "Configuration `prompts` (default):\n\n" + table(("Field", "Meaning"), prompts)
        + "\nConfiguration `subjects`:\n\n" + table(("Field", "Meaning"), subjects)
    )  # fmt: skip


def _shortfall(summary: Mapping[str, Any]) -> str:
    """A warning where there are fewer examples than asked for."""
    if summary["accepted"] >= summary["asked"]:
        return ""
    return f"> **Fewer examples than asked for:** {summary['accepted']} of {summary['asked']}; see the acceptance by pattern.\n"


def _span(values: Any) -> str:
    """A range in words."""
    return f"{values.min} to {values.max}"


def _configuration_tables(config: Config) -> str:
    """The published card's four tables of settings."""
    patterns = config.patterns
    recipe = config.training
    rate = config.corruption.rate
    columns = dict(method_columns(config.signature, len(patterns.enabled)))
    methods = [
        f"{name} ({columns[name]})" if columns[name] > 1 else name
        for name in config.signature.methods
    ]
    groups: dict[str, list[tuple[str, Any]]] = {
        "Signature extraction": [
            ("Neuron profile methods", ", ".join(methods)),
            ("Site", config.signature.site.replace("_", "-")),
            ("Prompt format", config.dataset.style),
            ("Tasks", ", ".join(config.dataset.tasks)),
            ("Signature dataset", f"`probe_set.json`, {config.signature.probes} fixed sequences"),
        ],
        "Model architecture": [
            ("Number of layers", _span(config.architecture.num_layers)),
            ("Neurons per layer", _span(config.architecture.neurons_per_layer)),
            ("Shape of the hidden layers", config.architecture.shape),
            ("Activation types", ", ".join(config.architecture.activations)),
            ("Dropout", config.architecture.dropout),
            ("Weight precision", config.architecture.precision),
            ("Weight quantization", config.architecture.quantization),
            ("Pattern vocab size", patterns.vocab_size),
            ("Pattern sequence length", patterns.sequence_length),
        ],
        "Training datasets": [
            ("Enabled patterns", ", ".join(patterns.enabled)),
            ("Pattern definitions", patterns.definitions),
            (
                "Patterns per batch (target patterns per subject)",
                f"{patterns.per_subject.min}-{patterns.per_subject.max}",
            ),
            ("Pos/neg ratio", f"1:{(1 - patterns.positive_share) / patterns.positive_share:.3g}"),
            ("Target total examples per subject model", patterns.examples_per_subject),
        ],
        "Staged training": [
            ("Recipe", recipe.recipe),
            (
                "Min improvement threshold",
                f"{recipe.min_improvement} ({recipe.min_improvement:.1%})",
            ),
            ("Min test accuracy", recipe.min_test_accuracy),
            ("Corruption rate", f"{rate} ({rate:.1%}), {config.corruption.kind}"),
            ("Degraded stage until", recipe.until),
        ],
    }
    return "\n".join(table((name, ""), rows) for name, rows in groups.items())


def _token_table(written: Written) -> str:
    """Token counts by task type, or how to get them."""
    if not written.tokens:
        return f"{NOT_COUNTED} (`pip install 'muat_exp[tokenizer]'`).\n"
    rows = [
        (task.capitalize(), each.min, each.max, f"{each.mean:.1f}")
        for task, each in written.tokens.items()
    ]
    counts = table(("Task type", "Min tokens", "Max tokens", "Avg tokens"), rows)
    return f"{written.tokenizer} tokenizer, prompt and completion:\n\n" + counts


def _acceptance_tables(config: Config, summary: Mapping[str, Any]) -> str:
    """Attempts, rejections by reason and mean accuracies, by pattern and in all."""
    reasons = list(summary["rejected"])
    rows = []
    scores = []
    everything = {**summary, **summary["accuracy"]}
    for name, row in [
        *((name, summary["patterns"][name]) for name in config.patterns.enabled),
        ("**all**", everything),
    ]:
        share = f"{row['accepted'] / row['attempts']:.1%}" if row["attempts"] else "-"
        rows.append(
            (
                name,
                row["attempts"],
                row["accepted"],
                share,
                *(row["rejected"][reason] for reason in reasons),
            )
        )
        scores.append((name, *(number(row[key]) for key in SCORES)))
    counts = table(("Pattern", "Attempts", "Accepted", "Acceptance", *reasons), rows)
    header = ("Pattern", "Degraded", "Improved", "Improvement", "Degraded, test", "Improved, test")
    return counts + "\nMean accuracies of the accepted subjects:\n\n" + table(header, scores)
