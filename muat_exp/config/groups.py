"""The schema of every configuration group: types, ranges, combinations, and the hash of what determines the data.

Imports neither torch nor Numba, so that a wrong configuration is refused at once.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from muat_exp.config.checks import require, require_between, require_in, require_names
from muat_exp.config.reading import read
from muat_exp.sequences.alphabet import LENGTHS, VOCAB_SIZES
from muat_exp.sequences.patterns import (
    DEFAULT_NAMES,
    DEFINITIONS,
    RULES,
    Pattern,
    build_patterns,
)
from muat_exp.signatures.methods import METHODS, check_methods
from muat_exp.subjects.activations import ACTIVATIONS
from muat_exp.subjects.corruption import CORRUPTION_KINDS
from muat_exp.subjects.shapes import DEPTH_LIMITS, SHAPES, WIDTH_LIMITS

PRECISIONS = ("float32", "bfloat16", "float16")
QUANTIZATIONS = ("none", "int8", "int4", "ternary", "binary")
PROMPT_TASKS = ("classification", "modification")
STYLES = ("separate", "interwoven")
JSON_COLUMNS = (
    "improved_signature",
    "improved_model_weights",
    "degraded_signature",
    "degraded_model_weights",
    "training_metrics",
)
SPLITS = ("train", "validation", "test")
SITES = ("pre_activations", "activations")
_INITS = ("default", "kaiming")
_UNTIL = ("switch", "plateau")
_ENGINES = ("compiled", "torch")
_LOGGERS = ("wandb", "csv", "tensorboard", "none")
_LOGGER_MODES = ("offline", "online")
DERIVING = ("signature", "render")  # tasks that make a dataset from another
ON_DATASETS = ("validate", *DERIVING, "score", "publish")  # tasks that work on a finished dataset
_TASKS = ("generate", "gather", "dashboard", "probes", *ON_DATASETS)
USED_BY = {  # keys that only some tasks read
    "sweep_dir": ("gather",),
    "dataset_dir": ON_DATASETS,
    "predictions": ("score",),
    "benchmark_set": ("score",),
    "repo": ("publish",),
}
_SHORTFALLS = ("error", "accept")
_REPO_ID = re.compile(
    r"(?!.*(?:--|\.\.))\w(?:[\w.-]{0,94}\w)?/\w(?:[\w.-]{0,94}\w)?(?<!\.git)", re.ASCII
)


def is_repo_id(name: str) -> bool:
    """Whether a text has the form of a repository's name on the Hub, with its owner.

    >>> is_repo_id("someone/muat-pca-10"), is_repo_id("outputs/mine/dataset")
    (True, False)
    """
    return _REPO_ID.fullmatch(name) is not None


@dataclass(frozen=True)
class Range:
    """A closed range of integers from which each subject draws uniformly."""

    min: int
    max: int

    def check(self, name: str, low: int, high: int) -> None:
        """Raises `ConfigurationError` where the range is empty or leaves [low, high]."""
        require(
            self.min <= self.max,
            f"{name}.min is {self.min}, but {name}.max is {self.max}; min must not exceed max.",
        )
        require_between(f"{name}.min", self.min, low, high)
        require_between(f"{name}.max", self.max, low, high)


@dataclass(frozen=True)
class RealRange:
    """A closed range of positive reals from which each subject draws log-uniformly."""

    min: float
    max: float

    def check(self, name: str) -> None:
        """Raises `ConfigurationError` where the range is empty or not positive."""
        require(
            self.min <= self.max,
            f"{name}.min is {self.min}, but {name}.max is {self.max}; min must not exceed max.",
        )
        require(self.min > 0, f"{name}.min is {self.min}; it must be above 0.")


@dataclass(frozen=True)
class ArchitectureConfig:
    """Shapes of the subjects' MLPs: hidden layers, then one logit."""

    num_layers: Range = Range(8, 10)
    neurons_per_layer: Range = Range(10, 15)
    activations: tuple[str, ...] = ("relu", "gelu")
    dropout: float = 0.0
    precision: str = "float32"
    quantization: str = "none"
    shape: str = "uniform"

    def __post_init__(self) -> None:
        self.num_layers.check("architecture.num_layers", *DEPTH_LIMITS)
        self.neurons_per_layer.check("architecture.neurons_per_layer", *WIDTH_LIMITS)
        require(
            len(self.activations) > 0,
            "architecture.activations is empty; it needs at least one activation.",
        )
        for activation in self.activations:
            require_in("architecture.activations", activation, ACTIVATIONS)
        require_between("architecture.dropout", self.dropout, 0, 0.9)
        require_in("architecture.precision", self.precision, PRECISIONS)
        require_in("architecture.quantization", self.quantization, QUANTIZATIONS)
        require_in("architecture.shape", self.shape, SHAPES)


@dataclass(frozen=True)
class PatternsConfig:
    """The sequences and patterns that subjects learn, and how many examples each gets."""

    enabled: tuple[str, ...] = DEFAULT_NAMES
    definitions: str = "distinct"
    vocab_size: int = 10
    sequence_length: int = 5
    starts_with_token: str = RULES["starts_with"].token
    ends_with_token: str = RULES["ends_with"].token
    per_subject: Range = Range(1, 1)
    examples_per_subject: int = 250
    positive_share: float = 0.5
    validation_share: float = 0.2

    def __post_init__(self) -> None:
        require_in("patterns.definitions", self.definitions, tuple(DEFINITIONS))
        require_between("patterns.vocab_size", self.vocab_size, *VOCAB_SIZES)
        require_between("patterns.sequence_length", self.sequence_length, *LENGTHS)
        require(len(self.enabled) > 0, "patterns.enabled is empty; it needs at least one pattern.")
        self.per_subject.check("patterns.per_subject", 1, len(self.enabled))
        require_between("patterns.examples_per_subject", self.examples_per_subject, 20, 100_000)
        require_between("patterns.positive_share", self.positive_share, 0.1, 0.9)
        require_between("patterns.validation_share", self.validation_share, 0.05, 0.5)
        for side, (positives, negatives) in (
            ("training", self.sides[0]),
            ("validation", self.sides[1]),
        ):
            require(
                min(positives, negatives) >= self.per_subject.max,
                f"patterns.examples_per_subject={self.examples_per_subject} leaves {min(positives, negatives)} examples of one "
                f"label for {side}; patterns.per_subject.max={self.per_subject.max} needs at least that many.",
            )
        self.build()

    @property
    def sides(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """(positives, negatives) of the training side and of the validation side."""
        positives = round(self.examples_per_subject * self.positive_share)
        negatives = self.examples_per_subject - positives
        validation = (
            round(positives * self.validation_share),
            round(negatives * self.validation_share),
        )
        return (positives - validation[0], negatives - validation[1]), validation

    def build(self) -> tuple[Pattern, ...]:
        """The enabled patterns in their sequence space; raises `ConfigurationError` where one does not fit."""
        return build_patterns(
            self.enabled,
            self.definitions,
            self.vocab_size,
            self.sequence_length,
            {"starts_with": self.starts_with_token, "ends_with": self.ends_with_token},
        )


@dataclass(frozen=True)
class CorruptionConfig:
    """How the training labels of the degraded stage are damaged."""

    rate: float = 0.15
    kind: str = "flip_target"

    def __post_init__(self) -> None:
        require_between("corruption.rate", self.rate, 0, 1)
        require_in("corruption.kind", self.kind, tuple(CORRUPTION_KINDS))


@dataclass(frozen=True)
class SignatureConfig:
    """The activation signature: what is recorded of every neuron on the probe set."""

    methods: tuple[str, ...] = ("pca",)
    site: str = "pre_activations"
    components: int = 10
    n_frequencies: int = 5
    n_clusters: int = 3
    bins: int = 10
    probes: int = 200
    probe_seed: int = 0
    probe_set: str = ""
    probe_set_sha256: str = ""

    def __post_init__(self) -> None:
        require(len(self.methods) > 0, "signature.methods is empty; it needs at least one method.")
        require_names("signature.methods", self.methods, tuple(METHODS))
        require_in("signature.site", self.site, SITES)
        require_between("signature.components", self.components, 1, 256)
        require_between("signature.n_frequencies", self.n_frequencies, 1, 256)
        require_between("signature.n_clusters", self.n_clusters, 1, 64)
        require_between("signature.bins", self.bins, 2, 1000)
        require_between("signature.probes", self.probes, 2, 100_000)
        require_between("signature.probe_seed", self.probe_seed, 0, 2**63 - 1)
        read = not self.probe_set or bool(self.probe_set_sha256)
        require(
            read,
            "signature.probe_set was not read; muat_exp.load_config reads it and fills in probe_set_sha256.",
        )
        check_methods(self)


@dataclass(frozen=True)
class StageConfig:
    """One training stage: at most `max_epochs`, stopped after `patience` epochs without a lower validation loss."""

    max_epochs: int
    patience: int
    learning_rate_factor: float = 1.0

    def check(self, name: str) -> None:
        """Raises `ConfigurationError` where a number is out of range."""
        require_between(f"{name}.max_epochs", self.max_epochs, 1, 10_000)
        require_between(f"{name}.patience", self.patience, 1, 10_000)
        require(
            self.learning_rate_factor > 0,
            f"{name}.learning_rate_factor is {self.learning_rate_factor}; it must be above 0.",
        )


@dataclass(frozen=True)
class TrainingConfig:
    """The recipe: how subjects start, train, switch from the degraded to the clean stage, and are judged."""

    recipe: str = "robust"
    init: str = "kaiming"
    standardize: bool = True
    learning_rate: RealRange = RealRange(0.003, 0.03)
    batch_size: int = 128
    until: str = "switch"
    switch_threshold: float = 0.05
    degraded: StageConfig = StageConfig(20, 12)
    clean: StageConfig = StageConfig(60, 12)
    min_improvement: float = 0.05
    min_test_accuracy: float = 0.55
    test_examples: int = 1000
    response_examples: int = 200

    def __post_init__(self) -> None:
        require_in("training.init", self.init, _INITS)
        require_in("training.until", self.until, _UNTIL)
        self.learning_rate.check("training.learning_rate")
        require_between("training.batch_size", self.batch_size, 1, 1000)
        require_between("training.switch_threshold", self.switch_threshold, 0, 100)
        self.degraded.check("training.degraded")
        self.clean.check("training.clean")
        require_between("training.min_improvement", self.min_improvement, -1, 1)
        require_between("training.min_test_accuracy", self.min_test_accuracy, 0, 1)
        require_between("training.test_examples", self.test_examples, 10, 100_000)
        require_between("training.response_examples", self.response_examples, 10, 100_000)


@dataclass(frozen=True)
class SplitsConfig:
    """Shares of the examples in each split; a split with a share of 0 is not written."""

    train: float = 1.0
    validation: float = 0.0
    test: float = 0.0

    def __post_init__(self) -> None:
        shares = asdict(self)
        for name, share in shares.items():
            require_between(f"dataset.splits.{name}", share, 0, 1)
        total = sum(shares.values())
        require(
            abs(total - 1) < 1e-9,
            f"dataset.splits add up to {total:g}; train, validation and test must add up to 1.",
        )


@dataclass(frozen=True)
class DatasetConfig:
    """How many examples, in which shares, and what is written."""

    num_examples: int = 1000
    balance: bool = True
    max_attempts_per_example: int = 50
    on_shortfall: str = "error"
    examples_per_shard: int = 5000
    tasks: tuple[str, ...] = ("classification",)
    style: str = "separate"
    columns: tuple[str, ...] = ()
    splits: SplitsConfig = field(default_factory=SplitsConfig)
    tokenizer: str = "llama3"

    def __post_init__(self) -> None:
        require_between("dataset.num_examples", self.num_examples, 1, 100_000_000)
        require_between(
            "dataset.max_attempts_per_example", self.max_attempts_per_example, 1, 1_000_000
        )
        require_in("dataset.on_shortfall", self.on_shortfall, _SHORTFALLS)
        require_between("dataset.examples_per_shard", self.examples_per_shard, 1, 1_000_000)
        require(
            len(self.tasks) > 0,
            f"dataset.tasks is empty; it needs at least one of {', '.join(PROMPT_TASKS)}.",
        )
        require_names("dataset.tasks", self.tasks, PROMPT_TASKS)
        require_in("dataset.style", self.style, STYLES)
        require_names("dataset.columns", self.columns, JSON_COLUMNS)
        require(
            bool(self.tokenizer),
            "dataset.tokenizer is empty; it must be llama3, none, or the path of a tokenizer.json.",
        )

    @property
    def needs_degraded_signature(self) -> bool:
        """Whether something that is written shows the degraded network's signature."""
        return "modification" in self.tasks or "degraded_signature" in self.columns

    @property
    def needs_history(self) -> bool:
        """Whether every subject's losses and accuracies are kept epoch by epoch."""
        return "training_metrics" in self.columns


@dataclass(frozen=True)
class LoggerConfig:
    """Where curves and results are shown; the other keys are for W&B."""

    name: str = "wandb"
    mode: str = "offline"
    project: str = "muat_exp"
    entity: str = ""
    group: str = ""
    run_name: str = ""
    tags: tuple[str, ...] = ()
    table_rows: int = 200
    artifact_mib: int = 100

    def __post_init__(self) -> None:
        require_in("logger.name", self.name, _LOGGERS)
        require_in("logger.mode", self.mode, _LOGGER_MODES)
        require(
            bool(self.project), "logger.project is empty; it must be the name of a W&B project."
        )
        require_between("logger.table_rows", self.table_rows, 1, 10_000)
        require_between("logger.artifact_mib", self.artifact_mib, 0, 1_000_000)


@dataclass(frozen=True)
class Config:
    """The whole configuration of one run."""

    task: str = "generate"
    sweep_dir: str = ""
    dataset_dir: str = ""
    predictions: str = ""
    benchmark_set: str = ""
    repo: str = ""
    private: bool = False
    dry_run: bool = False
    seed: int = 0
    workers: int | str = "auto"
    cohort_size: int = 2048
    engine: str = "compiled"
    progress: bool = True
    architecture: ArchitectureConfig = field(default_factory=ArchitectureConfig)
    patterns: PatternsConfig = field(default_factory=PatternsConfig)
    corruption: CorruptionConfig = field(default_factory=CorruptionConfig)
    signature: SignatureConfig = field(default_factory=SignatureConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    dataset: DatasetConfig = field(default_factory=DatasetConfig)
    logger: LoggerConfig = field(default_factory=LoggerConfig)

    def __post_init__(self) -> None:
        require_in("task", self.task, _TASKS)
        require(
            self.task != "gather" or bool(self.sweep_dir),
            "task=gather needs sweep_dir=<the folder of a multirun>.",
        )
        on_dataset = self.task not in ON_DATASETS or bool(self.dataset_dir)
        require(
            on_dataset,
            f"task={self.task} needs dataset=<the folder of a dataset, or its name on the Hub>.",
        )
        scored = self.task != "score" or bool(self.predictions)
        require(
            scored,
            "task=score needs predictions=<a .jsonl or .parquet file with example_id and completion>.",
        )
        require(
            self.task != "publish" or bool(self.repo),
            "task=publish needs repo=<owner>/<name>, a dataset on the Hub.",
        )
        require(
            not self.repo or is_repo_id(self.repo),
            f"repo is '{self.repo}'; it must be <owner>/<name>, each of up to 96 letters, digits and '_', with single '-' and "
            "'.' between them, and without '.git' at the end.",
        )
        require_between("seed", self.seed, 0, 2**63 - 1)
        require_between("cohort_size", self.cohort_size, 1, 1_000_000)
        require_in("engine", self.engine, _ENGINES)
        if isinstance(self.workers, str):
            require(
                self.workers == "auto",
                f"workers is '{self.workers}'; it must be 'auto' or a number of threads.",
            )
        else:
            require_between("workers", self.workers, 1, 1024)
        patterns = len(self.patterns.enabled)
        require(
            not self.dataset.balance or self.dataset.num_examples >= patterns,
            f"dataset.num_examples is {self.dataset.num_examples}, fewer than the {patterns} patterns that dataset.balance "
            f"shares them among; ask for at least {patterns}, or set dataset.balance=false.",
        )
        require(
            self.signature.probes >= patterns,
            f"signature.probes is {self.signature.probes}; it must be at least the number of enabled patterns, {patterns}.",
        )

    @property
    def threads(self) -> int:
        """Number of worker threads: `workers`, or the processors that this process may use."""
        return len(os.sched_getaffinity(0)) if isinstance(self.workers, str) else self.workers

    def to_dict(self) -> dict[str, Any]:
        """Nested plain containers, as YAML and JSON hold them."""
        return json.loads(json.dumps(asdict(self)))  # type: ignore[no-any-return]


def from_dict(values: Mapping[str, Any]) -> Config:
    """A checked configuration from nested plain containers; absent keys take their defaults.

    Raises:
        ConfigurationError: an unknown key, a value of the wrong type, a value out of range, or a bad combination.

    >>> from_dict({"tasks": []})
    Traceback (most recent call last):
    ...
    muat_exp.errors.ConfigurationError: Unknown configuration key 'tasks'. Did you mean 'dataset.tasks'?
    """
    return read(values, Config)  # type: ignore[no-any-return]
