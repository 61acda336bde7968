"""The schema of every configuration group: each key with its default, its limits and what it is.

Imports neither torch nor Numba, so that a wrong configuration is refused at once.
`conf/<group>/base.yaml` is generated from here: `python -m muat_exp.config.base_files`.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import orjson

from muat_exp.config.checks import require
from muat_exp.config.keys import SEEDS, Ends, Key, Keys, key
from muat_exp.config.reading import read
from muat_exp.executors.processors import processors
from muat_exp.prompts.codings import CODINGS, DECIMAL, DECIMALS, DIGITS, USUAL_DECIMALS, Coding
from muat_exp.sequences.alphabet import EXACT_SPACE, LENGTHS, VOCAB_SIZES
from muat_exp.sequences.patterns import (
    DEFAULT_NAMES,
    DEFINITIONS,
    RULES,
    Pattern,
    build_patterns,
)
from muat_exp.signatures.methods import DEFINITIONS as METHOD_DEFINITIONS
from muat_exp.signatures.methods import METHODS, OWN, check_methods
from muat_exp.subjects.activations import ACTIVATIONS
from muat_exp.subjects.corruption import CORRUPTION_KINDS
from muat_exp.subjects.schemes import SCHEMES
from muat_exp.subjects.shapes import DEPTH_LIMITS, SHAPES, WIDTH_LIMITS

PRECISIONS = ("float32", "bfloat16", "float16")
QUANTIZATIONS = ("none", *SCHEMES)
PROMPT_TASKS = ("classification", "modification")
COMPACT = "compact"
STYLES = ("separate", "interwoven", COMPACT)
JSON_COLUMNS = (
    "improved_signature",
    "improved_model_weights",
    "degraded_signature",
    "degraded_model_weights",
    "training_metrics",
)
SPLITS = ("train", "validation", "test")
SITES = ("pre_activations", "activations")
SAMPLED = "sampled"
EXACT = "exact"
_INITS = ("default", "kaiming")
_UNTIL = ("switch", "plateau")
_ENGINES = ("compiled", "torch")
_LOGGERS = ("wandb", "csv", "tensorboard", "none")
_LOGGER_MODES = {
    "auto": "what WANDB_MODE says, else offline",
    "offline": "no account, no network",
    "online": "wandb login, or WANDB_API_KEY in the environment",
    "disabled": "metrics.csv alone",
}
# What W&B refuses of names and tags.
_LONGEST_NAME = 128
_LONGEST_TAG = 64
_NOT_IN_PROJECTS = "/\\#?%:"
_SHORTFALLS = ("error", "accept")
_TRAINED = "trained"
_BEHAVIOUR = "behaviour"


@dataclass(frozen=True)
class Range(Ends):
    """A closed range of integers from which each subject draws uniformly."""

    min: int
    max: int


@dataclass(frozen=True)
class RealRange(Ends):
    """A closed range of positive reals from which each subject draws log-uniformly."""

    min: float
    max: float


@dataclass(frozen=True)
class ArchitectureConfig(Keys):
    """Shapes of the subjects' MLPs: hidden layers of one width, then one logit."""

    prefix: ClassVar[str] = "architecture."

    num_layers: Range = key(
        Range(8, 10),
        "hidden layers; each subject draws a whole number from min to max",
        limits=DEPTH_LIMITS,
    )
    neurons_per_layer: Range = key(
        Range(10, 15),
        "width of the first hidden layer; each subject draws a whole number from min to max",
        limits=WIDTH_LIMITS,
    )
    activations: tuple[str, ...] = key(
        ("relu", "gelu"),
        "each subject draws one of these",
        choices=ACTIVATIONS,
        needs="needs at least one activation",
    )
    dropout: float = key(
        0.0,
        "share of each hidden layer's activations that training sets to 0",
        limits=(0, 0.9),
    )
    precision: str = key(
        "float32",
        "of the stored weights; everything is measured on what is stored",
        choices=PRECISIONS,
    )
    quantization: str = key(
        "none",
        "of the stored weights, with a scale for each neuron's inputs",
        choices=QUANTIZATIONS,
    )
    shape: str = key(
        "uniform",
        "of the hidden layers: all of the drawn width, or a pyramid that shrinks from it linearly "
        "to the smallest width",
        choices=SHAPES,
    )


@dataclass(frozen=True)
class PatternsConfig(Keys):
    """The sequences and patterns that subjects learn, and how many examples each gets."""

    prefix: ClassVar[str] = "patterns."

    enabled: tuple[str, ...] = key(
        DEFAULT_NAMES,
        "names; an attempt's target is one of them; the negatives of a subject come evenly from "
        "the others",
        needs="needs at least one pattern",
    )
    definitions: str = key(
        "distinct",
        "what the patterns mean",
        choices=DEFINITIONS,
    )
    vocab_size: int = key(10, "tokens: the first so many capital letters", limits=VOCAB_SIZES)
    sequence_length: int = key(5, "tokens in a sequence", limits=LENGTHS)
    starts_with_token: str = key(
        RULES["starts_with"].token, "first token that starts_with asks for; one of the vocabulary"
    )
    ends_with_token: str = key(
        RULES["ends_with"].token, "last token that ends_with asks for; one of the vocabulary"
    )
    per_subject: Range = key(
        Range(1, 1),
        "patterns that one subject learns together; each subject draws a whole number from min "
        "to max; 1 to the enabled",
    )
    examples_per_subject: int = key(
        250, "sequences that a subject trains and validates on", limits=(20, 100_000)
    )
    positive_share: float = key(
        0.5, "share of them that satisfy the subject's pattern", limits=(0.1, 0.9)
    )
    validation_share: float = key(
        0.2, "share of them kept for validation, always cleanly labelled", limits=(0.05, 0.5)
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        most = self.per_subject.max
        self.per_subject.check("patterns.per_subject", Key(low=1, high=len(self.enabled)))
        for side, counts in zip(("training", "validation"), self.sides, strict=True):
            require(
                min(counts) >= most,
                f"patterns.examples_per_subject={self.examples_per_subject} leaves {min(counts)} "
                f"examples of one label for {side}; patterns.per_subject.max={most} needs at "
                "least that many.",
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

    @property
    def space_size(self) -> int:
        """Sequences that there are."""
        return int(self.vocab_size**self.sequence_length)

    def build(self) -> tuple[Pattern, ...]:
        """The enabled patterns in their space; `ConfigurationError` where one does not fit."""
        return build_patterns(
            self.enabled,
            self.definitions,
            self.vocab_size,
            self.sequence_length,
            {"starts_with": self.starts_with_token, "ends_with": self.ends_with_token},
        )


@dataclass(frozen=True)
class CorruptionConfig(Keys):
    """How the training labels of the degraded stage are damaged."""

    prefix: ClassVar[str] = "corruption."

    rate: float = key(0.15, "share of the labels that kind chooses from", limits=(0, 1))
    kind: str = key(
        "flip_target",
        "what happens to them",
        choices={name: kind.doc for name, kind in CORRUPTION_KINDS.items()},
    )


@dataclass(frozen=True)
class SignatureConfig(Keys):
    """The activation signature: what is recorded of every neuron on the probe set."""

    prefix: ClassVar[str] = "signature."

    methods: tuple[str, ...] = key(
        ("pca",),
        "numbers of every neuron on the probe set, in this order",
        choices=tuple(METHODS),
        distinct=True,
        needs="needs at least one method",
    )
    definitions: str = key(
        OWN,
        "whose definitions of the methods and of quantised weights hold where they differ",
        choices=METHOD_DEFINITIONS,
    )
    site: str = key(
        "pre_activations",
        "before the activation function, or after it (the logit has none)",
        choices=SITES,
    )
    components: int = key(
        10,
        "principal components or singular vectors of each layer that pca and svd keep",
        limits=(1, 256),
    )
    n_frequencies: int = key(
        5, "frequencies that fourier keeps, at most half of the probes", limits=(1, 256)
    )
    n_clusters: int = key(
        3, "centres that clustering finds of each neuron's values", limits=(1, 64)
    )
    bins: int = key(
        10,
        "bins of the histogram that entropy is taken of; by the published definitions always 20",
        limits=(2, 1000),
    )
    probes: int = key(
        200,
        "sequences in the probe set, evenly from the enabled patterns and at least one for each",
        limits=(2, 100_000),
    )
    probe_seed: int = key(
        0, "seed of the probe set, apart from the subjects' own; whole number", limits=SEEDS
    )
    probe_set: str = key(
        "",
        "file of a probe set made before (task=probes) to use instead; empty: drawn from the keys "
        "above",
        determines_data=False,  # its content does
        path=True,
    )
    probe_set_sha256: str = key("", "filled in: what that file held")

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            not self.probe_set or bool(self.probe_set_sha256),
            "signature.probe_set was not read; muat_exp.load_config reads it and fills in "
            "probe_set_sha256.",
        )
        check_methods(self)


@dataclass(frozen=True)
class StageConfig(Keys):
    """One training stage: how long it lasts, and how fast it learns."""

    max_epochs: int = key(doc="epochs at most", limits=(1, 10_000))
    patience: int = key(
        doc="epochs without a lower validation loss before it stops", limits=(1, 10_000)
    )
    learning_rate_factor: float = key(
        1.0, "times the subject's learning rate", limits=(1e-6, 1_000_000)
    )


@dataclass(frozen=True)
class TrainingConfig(Keys):
    """The recipe: how subjects start, train, switch to the clean stage, and are judged."""

    prefix: ClassVar[str] = "training."

    recipe: str = key("robust", "name of the recipe, told in the card")
    init: str = key(
        "kaiming", "initial weights; kaiming, or default for PyTorch's own", choices=_INITS
    )
    shared_init: bool = key(
        False,
        "all subjects of the same layer widths and activation start from the same weights, which "
        "follow from the seed; false: each from weights of its own",
    )
    standardize: bool = key(
        True,
        "train on standardised token indices, folded back into the first layer before anything is "
        "measured",
    )
    learning_rate: RealRange = key(
        RealRange(0.003, 0.03),
        "Adam's; each subject draws log-uniformly from min to max",
        limits=(1e-12, 10**15),  # times the stages' factors, still a number in float32
    )
    batch_size: int = key(128, "examples", limits=(1, 1000))
    until: str = key(
        "switch",
        "end of the degraded stage: switch (first clear progress) or plateau (early stopping)",
        choices=_UNTIL,
    )
    switch_threshold: float = key(
        0.05,
        "fall of the validation loss below the first epoch's that counts as clear progress",
        limits=(0, 100),
    )
    degraded: StageConfig = key(StageConfig(20, 12), "the stage on partly mislabelled data")
    clean: StageConfig = key(StageConfig(60, 12), "the stage on clean data")
    min_improvement: float = key(
        0.05,
        "gain in validation accuracy from degraded to clean below which a subject is rejected",
        limits=(-1, 1),
    )
    min_test_accuracy: float = key(
        0.55,
        "balanced accuracy on untrained sequences below which a subject is rejected, 0 rejects "
        "none",
        limits=(0, 1),
    )
    test_examples: int = key(
        1000, "sequences of each label at most in that test", limits=(10, 100_000)
    )
    response_examples: int = key(
        200, "members of each pattern at most in a subject's response", limits=(10, 100_000)
    )


@dataclass(frozen=True)
class PromptsConfig(Keys):
    """How the prompts of dataset.style=compact are written; the other styles have one form each."""

    prefix: ClassVar[str] = "prompts."

    coding: str = key(DECIMAL, "how dataset.style=compact spells numbers", choices=CODINGS)
    decimals: int | str = key(
        "auto",
        "that dataset.style=compact rounds numbers to; a number, or auto for "
        f"{USUAL_DECIMALS}. The other styles always have {DECIMALS[1]}",
        limits=DECIMALS,
    )
    signature: bool = key(True, "whether the prompts of dataset.style=compact show the signature")

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.coding != DIGITS or self.decimals in ("auto", USUAL_DECIMALS),
            f"prompts.decimals is {self.decimals}, but prompts.coding={DIGITS} has three digits "
            "for each number and no decimals; leave prompts.decimals=auto, or choose "
            "prompts.coding=decimal or integer.",
        )

    def built(self) -> Coding:
        """What the prompts are written by."""
        decimals = USUAL_DECIMALS if isinstance(self.decimals, str) else self.decimals
        return Coding(self.coding, decimals, self.signature)

    def foreign_keys(self) -> list[str]:
        """The keys, as they are typed, that ask for what no style but compact can write."""
        asked = {
            "coding": self.coding != DECIMAL,
            "decimals": self.decimals not in ("auto", DECIMALS[1]),
            "signature": not self.signature,
        }
        values = [(name, getattr(self, name)) for name, wrong in asked.items() if wrong]
        return [f"prompts.{name}={str(value).lower()}" for name, value in values]


@dataclass(frozen=True)
class EvaluationConfig(Keys):
    """How it is found out what a stored network does."""

    prefix: ClassVar[str] = "evaluation."

    truth: str = key(
        SAMPLED,
        "on which sequences it is found out what a stored network does",
        choices={
            SAMPLED: "members of each pattern, and a sample of the whole space",
            EXACT: f"every sequence of a space of up to {EXACT_SPACE:,}",
        },
    )
    space_examples: int = key(
        1000,
        "sequences in the sample of the whole space",
        limits=(100, 100_000),
    )


@dataclass(frozen=True)
class SplitsConfig(Keys):
    """Shares of the examples in each split; a split with a share of 0 is not written."""

    prefix: ClassVar[str] = "dataset.splits."

    train: float = key(1.0, limits=(0, 1))
    validation: float = key(0.0, limits=(0, 1))
    test: float = key(0.0, limits=(0, 1))

    def __post_init__(self) -> None:
        super().__post_init__()
        total = self.train + self.validation + self.test
        require(
            abs(total - 1) < 1e-9,
            f"dataset.splits add up to {total:g}; train, validation and test must add up to 1.",
        )


@dataclass(frozen=True)
class DatasetConfig(Keys):
    """How many examples, in which shares, and what is written."""

    prefix: ClassVar[str] = "dataset."

    num_examples: int = key(
        1000,
        "accepted subjects; with balance at least the number of patterns",
        limits=(1, 100_000_000),
        determines_data=False,
    )
    balance: bool = key(
        True, "the same number of examples for each pattern, differing by at most one"
    )
    max_attempts_per_example: int = key(
        50,
        "attempts that a pattern may take for each of its examples",
        limits=(1, 1_000_000),
        determines_data=False,
    )
    on_shortfall: str = key(
        "error",
        "when they do not suffice: error, or accept to finish with fewer examples and say so",
        choices=_SHORTFALLS,
        determines_data=False,
    )
    examples_per_shard: int = key(
        5000,
        "examples in one file of the dataset",
        limits=(1, 1_000_000),
        determines_data=False,
    )
    tasks: tuple[str, ...] = key(
        ("classification",),
        "prompts to write: classification (weights -> pattern), modification (degraded -> "
        "improved weights)",
        choices=PROMPT_TASKS,
        distinct=True,
        needs=f"needs at least one of {', '.join(PROMPT_TASKS)}",
    )
    style: str = key(
        "separate",
        "of the prompts: separate (all weights, then the signature), interwoven (layer by layer) "
        "or compact (a line per neuron, see prompts)",
        choices=STYLES,
    )
    max_tokens: int = key(
        0,
        "tokens that a prompt and its completion may have together, 0 for any number; networks "
        "whose prompts can't fit are refused, examples that do not fit are kept and counted",
        limits=(0, 100_000_000),
        determines_data=False,
    )
    label: str = key(
        _TRAINED,
        "what a completion of the task classification names",
        choices={
            _TRAINED: "the patterns that the subject learned",
            _BEHAVIOUR: "the pattern that explains best what it does",
        },
    )
    min_margin: float = key(
        -1.0,
        "balanced accuracy by which a subject's own patterns must explain what it does better than "
        "every other one; below it is rejected, -1 rejects none",
        limits=(-1, 1),
    )
    behaviour: bool = key(
        False,
        "write a third configuration: every subject's answer to every sequence, one bit each; "
        "needs evaluation.truth=exact",
    )
    columns: tuple[str, ...] = key((), "further JSON columns", choices=JSON_COLUMNS, distinct=True)
    splits: SplitsConfig = key(
        SplitsConfig(),
        "shares of the examples, the same in each pattern; they add up to 1, a split with 0 is "
        "not written",
    )
    tokenizer: str = key(
        "llama3",
        "counts the prompts' tokens for the card: llama3, none, or the path of a tokenizer.json",
        needs="must be llama3, none, or the path of a tokenizer.json",
        determines_data=False,
        path=True,
    )

    @property
    def names_behaviour(self) -> bool:
        """Whether completions name what explains a subject best, not what it learned."""
        return self.label == _BEHAVIOUR

    @property
    def label_column(self) -> str:
        """The column of `subjects` that holds the one pattern that a network is labelled with."""
        return "best_pattern" if self.names_behaviour else "target_pattern"

    @property
    def needs_degraded_signature(self) -> bool:
        """Whether something that is written shows the degraded network's signature."""
        return "modification" in self.tasks or "degraded_signature" in self.columns

    @property
    def needs_history(self) -> bool:
        """Whether every subject's losses and accuracies are kept epoch by epoch."""
        return "training_metrics" in self.columns


@dataclass(frozen=True)
class LoggerConfig(Keys):
    """Where curves and results are shown; the other keys are for W&B."""

    prefix: ClassVar[str] = "logger."

    name: str = key(
        "wandb",
        "where curves and results are shown; all but none write metrics.csv as well",
        choices=_LOGGERS,
    )
    mode: str = key(
        "auto",
        "of W&B",
        choices=_LOGGER_MODES,
    )
    project: str = key(
        "",
        "W&B project; empty for WANDB_PROJECT, else muat_exp",
        longest=_LONGEST_NAME,
        without=_NOT_IN_PROJECTS,
    )
    entity: str = key(
        "",
        "W&B user or team; empty for WANDB_ENTITY, else your default one",
        longest=_LONGEST_NAME,
        without=_NOT_IN_PROJECTS,
    )
    group: str = key(
        "",
        "W&B group; empty for WANDB_RUN_GROUP, else none, in a sweep the sweep's folder",
        longest=_LONGEST_NAME,
    )
    run_name: str = key(
        "",
        "W&B name of the run; empty for WANDB_NAME, else the run's folder, in a sweep what was "
        "swept",
        longest=_LONGEST_NAME,
    )
    tags: tuple[str, ...] = key(
        (),
        "W&B tags beside those of WANDB_TAGS, the recipe, the signature and the corruption rate",
        longest=_LONGEST_TAG,
    )
    table_rows: int = key(
        200, "subjects in the table and in the plot of signatures", limits=(1, 10_000)
    )
    artifact_mib: int = key(
        100,
        "the dataset goes into an artifact as files up to so many MiB, as a reference to its "
        "folder above",
        limits=(0, 1_000_000),
    )


@dataclass(frozen=True)
class Config(Keys):
    """The whole configuration of one run."""

    prefix: ClassVar[str] = ""

    task: str = key(
        "generate", "what is done; its option of the group `task` holds it", determines_data=False
    )
    seed: int = key(0, "key of every random stream; whole number", limits=SEEDS)
    workers: int | str = key(
        "auto",
        "training threads; a number, or auto for every processor this process may use. "
        "Never changes the data",
        limits=(1, 1024),
        determines_data=False,
    )
    cohort_size: int | str = key(
        "auto",
        "subjects trained together, the unit of work and of continuing a run; a number, or auto "
        "for as many as memory_gib has room for, up to 2048. Never changes the data",
        limits=(1, 1_000_000),
        determines_data=False,
    )
    memory_gib: float = key(
        1.0,
        "GiB that a run may take beside Python and its packages, which take 0.7: bounds what is "
        "trained, rendered and written at a time. Never changes the data",
        limits=(0.25, 100_000),
        determines_data=False,
    )
    engine: str = key(
        "compiled",
        "compiled (fast) or torch (plain autograd, the reference)",
        choices=_ENGINES,
    )
    progress: bool = key(True, "show the progress of the run", determines_data=False)
    architecture: ArchitectureConfig = key(ArchitectureConfig())
    patterns: PatternsConfig = key(PatternsConfig())
    corruption: CorruptionConfig = key(CorruptionConfig())
    signature: SignatureConfig = key(SignatureConfig())
    training: TrainingConfig = key(TrainingConfig())
    prompts: PromptsConfig = key(PromptsConfig())
    evaluation: EvaluationConfig = key(EvaluationConfig())
    dataset: DatasetConfig = key(DatasetConfig())
    logger: LoggerConfig = key(LoggerConfig(), determines_data=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_number("workers", self.workers, "threads")
        _require_number("cohort_size", self.cohort_size, "subjects")
        _require_number("prompts.decimals", self.prompts.decimals, "decimals")
        patterns = len(self.patterns.enabled)
        require(
            not self.dataset.balance or self.dataset.num_examples >= patterns,
            f"dataset.num_examples is {self.dataset.num_examples}, fewer than the {patterns} "
            f"patterns that dataset.balance shares them among; ask for at least {patterns}, or "
            "set dataset.balance=false.",
        )
        require(
            self.signature.probes >= patterns,
            f"signature.probes is {self.signature.probes}; it must be at least the number of "
            f"enabled patterns, {patterns}.",
        )
        foreign = self.prompts.foreign_keys()
        require(
            self.dataset.style == COMPACT or not foreign,
            f"dataset.style={self.dataset.style} has {DECIMALS[1]} decimals and the signature; "
            f"{' '.join(foreign)} needs dataset.style={COMPACT}.",
        )
        self._check_truth()
        self._check_margin()

    def _check_truth(self) -> None:
        """Raises `ConfigurationError` where the space can't be gone through, but has to be."""
        require(
            self.exact or not self.dataset.behaviour,
            "dataset.behaviour is true, but evaluation.truth is "
            f"{self.evaluation.truth}; the answers to all sequences need evaluation.truth=exact.",
        )
        size = self.patterns.space_size
        require(
            not self.exact or size <= EXACT_SPACE,
            f"evaluation.truth=exact runs every network on all {size:,} sequences of the space "
            f"(patterns.vocab_size={self.patterns.vocab_size}, "
            f"patterns.sequence_length={self.patterns.sequence_length}); up to {EXACT_SPACE:,} "
            "are allowed. evaluation.truth=sampled takes samples of them.",
        )

    def _check_margin(self) -> None:
        """Raises `ConfigurationError` where no subject of a pattern could reach the margin."""
        if self.dataset.min_margin <= 0:
            return
        first: dict[tuple[int, int], str] = {}
        for pattern in self.patterns.build():
            twin = first.setdefault((pattern.rule, pattern.token), pattern.name)
            require(
                twin == pattern.name,
                f"dataset.min_margin is {self.dataset.min_margin:g}, but {twin} and {pattern.name} "
                f"are one set of sequences by patterns.definitions={self.patterns.definitions}, so "
                "that neither can explain a subject better; enable one of them.",
            )

    @property
    def exact(self) -> bool:
        """Whether every network is run on every sequence of the space."""
        return self.evaluation.truth == EXACT

    @property
    def threads(self) -> int:
        """Number of worker threads: `workers`, or the processors that this process may use."""
        return processors() if isinstance(self.workers, str) else self.workers

    def to_dict(self) -> dict[str, Any]:
        """Nested plain containers, as YAML and JSON hold them."""
        plain: dict[str, Any] = orjson.loads(orjson.dumps(asdict(self)))
        return plain


def _require_number(name: str, value: int | str, counted: str) -> None:
    """Raises `ConfigurationError` where a key that may be a number or auto is another text."""
    require(
        not isinstance(value, str) or value == "auto",
        f"{name} is '{value}'; it must be 'auto' or a number of {counted}.",
    )


def from_dict(values: Mapping[str, Any]) -> Config:
    """A checked configuration from nested plain containers; absent keys take their defaults.

    Raises:
        ConfigurationError: an unknown key, a value of the wrong type, a value out of range, or a
            bad combination.

    >>> from_dict({"seeed": 1})
    Traceback (most recent call last):
    ...
    muat_exp.errors.ConfigurationError: Unknown configuration key 'seeed'. Did you mean 'seed'?
    """
    config: Config = read(values, Config)
    return config
