"""What a repository in the published layout was made with, as a configuration of this program.

Nothing tells all of it: what its tables show is taken from there, and what they don't show, the
enabled patterns and their meaning above all, from its own `config.yaml` or its prompts.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from muat_exp.config.groups import Config, from_dict
from muat_exp.config.keys import SEEDS
from muat_exp.dataset.published.examples import Example, Methods
from muat_exp.documents import LONGEST_YAML, parse_yaml
from muat_exp.errors import ConfigurationError, DatasetError, DocumentError, shown
from muat_exp.opening import read_file, reason
from muat_exp.prompts.sections import LAYERS, TASK
from muat_exp.sequences.patterns import NAMES, PUBLISHED, RULES
from muat_exp.subjects.architecture import Architecture
from muat_exp.subjects.shapes import SHAPES, hidden_widths

SETTINGS = "config.yaml"
_PATTERN = re.compile(r"^- (\w+): (.*)$", re.MULTILINE)  # a line of the task section
# The keys of `signature` that say how many numbers per neuron a method has.
_SIZES = {
    "pca": "components",
    "svd": "components",
    "fourier": "n_frequencies",
    "clustering": "n_clusters",
}


def read_settings(folder: Path) -> dict[str, Any]:
    """The predecessor's own configuration of a repository; nothing where there is none.

    Raises:
        DatasetError: it can't be read.
    """
    path = folder / SETTINGS
    if not path.exists():
        return {}
    try:
        values = parse_yaml(read_file(path, LONGEST_YAML, folder))
    except OSError as error:
        raise DatasetError(f"{path} can't be read: {reason(error)}.") from error
    except DocumentError as error:
        raise DatasetError(f"{path}: {error}") from error
    return values if isinstance(values, dict) else {}


def enabled_patterns(settings: Mapping[str, Any], prompt: str) -> tuple[str, ...]:
    """The enabled patterns: of the predecessor's configuration, or those that a prompt lists."""
    named: object = settings
    for key in ("dataset", "patterns", "enabled_patterns"):
        named = named.get(key) if isinstance(named, dict) else None
    if isinstance(named, list) and named and all(name in NAMES for name in named):
        return tuple(dict.fromkeys(named))
    return tuple(name for name in listed_patterns(prompt) if name in NAMES)


def listed_patterns(prompt: str) -> dict[str, str]:
    """The patterns that a prompt's task lists, and what it says of each."""
    _, _, task = prompt.partition(f"## {TASK}\n")
    return dict(_PATTERN.findall(task))


def definitions_of(listed: Mapping[str, str]) -> str:
    """What the patterns mean: the published meaning, unless a prompt says this program's own."""
    twins = [name for name, rule in RULES.items() if rule.published and name in listed]
    distinct = bool(twins) and all(listed[name] == RULES[name].description for name in twins)
    return "distinct" if distinct else PUBLISHED


class Observed:
    """What the examples of a repository show, one after another.

    Attributes:
        methods: those of the signatures; nothing where there are none.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.methods: Methods = ()
        self._architectures: dict[Architecture, None] = {}
        self._same: dict[str, object] = {}
        self._seeds: set[int] = set()

    def add(self, example: Example) -> None:
        """Takes in an example.

        Raises:
            DatasetError: it is of another space than the ones before it.
        """
        self._architectures[example.architecture] = None
        self._seeds.add(_seed_of(example))
        here = {
            "vocab_size": example.vocab_size,
            "sequence_length": example.architecture.features,
            "dropout_rate": example.dropout,
            "precision": example.metadata.get("precision", "float32"),
            "quantization": example.metadata.get("quantization", "none"),
        }
        for name, value in here.items():
            first = self._same.setdefault(name, value)
            if value != first:
                raise DatasetError(
                    f"its {name} is {shown(value)}; that of the first example is {shown(first)}."
                )

    def config(
        self, enabled: Collection[str], prompt: str, probes: int, dataset: Mapping[str, Any]
    ) -> Config:
        """The configuration.

        Args:
            enabled: the enabled patterns.
            prompt: one of the prompts.
            probes: how many there are; 0 where they are not told.
            dataset: keys of the group `dataset`.

        Raises:
            DatasetError: something is not what this program can have.
        """
        common = len(self._seeds) == 1  # the predecessor draws one for each example
        style = "interwoven" if f"## {LAYERS}\n" in prompt else "separate"
        values = {
            "seed": next(iter(self._seeds)) if common else 0,
            "architecture": self._architecture(),
            "patterns": {
                "enabled": list(enabled),
                "definitions": definitions_of(listed_patterns(prompt)),
                "vocab_size": self._same["vocab_size"],
                "sequence_length": self._same["sequence_length"],
            },
            "signature": self._signature() | ({"probes": probes} if probes else {}),
            "training": {"recipe": PUBLISHED},
            "dataset": {
                **dataset,
                "balance": False,
                "style": style,
            },
        }
        try:
            return from_dict(values)
        except ConfigurationError as error:
            raise DatasetError(f"{self.folder} can't be read as a dataset: {error}") from error

    def _architecture(self) -> dict[str, Any]:
        """Keys of the group `architecture`: the ranges that hold all shapes."""
        depths = [one.num_layers for one in self._architectures]
        widths = [one.neurons_per_layer for one in self._architectures]
        return {
            "num_layers": {"min": min(depths), "max": max(depths)},
            "neurons_per_layer": {"min": min(widths), "max": max(widths)},
            "activations": _distinct(one.activation for one in self._architectures),
            "dropout": self._same["dropout_rate"],
            "precision": self._same["precision"],
            "quantization": self._same["quantization"],
            "shape": self._shape(),
        }

    def _shape(self) -> str:
        """The family of shapes that all architectures are of."""
        for shape in SHAPES:
            if all(_is_of(one, shape) for one in self._architectures):
                return shape
        widths = next(one for one in self._architectures if not _is_of(one, "uniform")).widths_text
        raise DatasetError(
            f"{self.folder}: a network has hidden layers of {widths} neurons; "
            f"they must be of one of the shapes {', '.join(SHAPES)}."
        )

    def _signature(self) -> dict[str, Any]:
        """Keys of the group `signature`: the methods, and how many numbers they have."""
        if not self.methods:
            return {}
        columns = dict(self.methods)
        keys: dict[str, Any] = {"methods": list(columns), "definitions": PUBLISHED}
        keys |= {_SIZES[name]: columns[name] for name in columns if name in _SIZES}
        return keys


def _seed_of(example: Example) -> int:
    """The random seed that an example tells; 0 where it tells none that could be one here."""
    seed = example.model.get("random_seed")
    low, high = SEEDS
    return seed if type(seed) is int and low <= seed <= high else 0


def _is_of(architecture: Architecture, shape: str) -> bool:
    """Whether an architecture is of a family of shapes."""
    depth = architecture.num_layers
    return hidden_widths(shape, depth, architecture.neurons_per_layer) == architecture.widths


def _distinct(values: Iterable[str]) -> list[str]:
    """Each of some values once, in their order."""
    return list(dict.fromkeys(values))
