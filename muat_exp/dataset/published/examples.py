"""One example of a repository in the published layout: its texts and JSON as numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from muat_exp.config.groups import PROMPT_TASKS
from muat_exp.dataset.published.files import METADATA
from muat_exp.documents import parse_json_object
from muat_exp.errors import DatasetError, DocumentError, PromptError, shown
from muat_exp.prompts.parsing import ParsedPrompt, parse_prompt, parse_weights
from muat_exp.subjects.activations import ACTIVATIONS
from muat_exp.subjects.architecture import Architecture, Layer

Profiles = dict[int, dict[str, NDArray[np.float32]]]  # a signature by layer and method
Methods = tuple[tuple[str, int], ...]  # names, and numbers per neuron
_Weights = dict[str, NDArray[np.float32]]
# Where each network's weights stand: as JSON with all digits that were kept, or in a text.
_WEIGHTS = {
    "improved": ("improved_model_weights", "modification_completion", "classification_prompt"),
    "degraded": ("degraded_model_weights", "modification_prompt"),
}
_SIGNATURES = {
    "improved": ("improved_signature", "classification_prompt"),
    "degraded": ("degraded_signature", "modification_prompt"),
}


@dataclass(frozen=True)
class Example:
    """One row, read when it is asked for.

    Every property raises `DatasetError` for what is not as it has to be; the sentence begins with
    the column.

    Attributes:
        row: the published columns by name.
    """

    row: Mapping[str, Any]

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """The metadata."""
        try:
            return parse_json_object(self._text(METADATA).encode())
        except DocumentError as error:
            raise DatasetError(f"{METADATA}: {error}") from error

    @cached_property
    def model(self) -> dict[str, Any]:
        """What the metadata say of the network; nothing where they say nothing."""
        model = self.metadata.get("model_config", {})
        if not isinstance(model, dict):
            raise DatasetError(f"{METADATA}: model_config is {shown(model)}; it must be an object.")
        return model

    @cached_property
    def prompt(self) -> ParsedPrompt:
        """The first prompt of the row."""
        name = self.source([f"{task}_prompt" for task in PROMPT_TASKS])
        if not name:
            raise DatasetError("it has no prompt.")
        return self._parsed(name)

    @property
    def vocab_size(self) -> int:
        """Number of tokens: of the metadata, or of the prompt."""
        value = self.model.get("vocab_size")
        return value if type(value) is int else self.prompt.vocab_size

    @property
    def dropout(self) -> float:
        """That the network was trained with: of the metadata, or of the prompt."""
        value = self.model.get("dropout_rate")
        return value if is_number(value) else self.prompt.dropout

    @cached_property
    def architecture(self) -> Architecture:
        """The shape of its weights, with the activation of the metadata or of the prompt."""
        named = self.model.get("activation_type")
        activation = self.prompt.activation if named is None else named
        if activation not in ACTIVATIONS:
            allowed = f"it must be one of {', '.join(ACTIVATIONS)}"
            raise DatasetError(f"{METADATA}: activation_type is {shown(activation)}; {allowed}.")
        arrays = list(self.named_weights("improved").values())  # each layer's weight, then its bias
        widths = tuple(len(bias) for bias in arrays[1::2])
        if len(widths) < 2:
            raise DatasetError("its network has no hidden layer.")
        return Architecture(arrays[0].shape[1], widths[:-1], activation)

    @property
    def selected_patterns(self) -> list[str]:
        """All patterns that it learned: of the metadata, or else the target alone."""
        selected = self.metadata.get("selected_patterns", [self.target_pattern])
        if not isinstance(selected, list) or not all(isinstance(name, str) for name in selected):
            raise DatasetError(
                f"{METADATA}: selected_patterns is {shown(selected)}; it must be a list."
            )
        return selected

    @property
    def target_pattern(self) -> str:
        """The pattern whose labels were corrupted."""
        target = self.metadata.get("target_pattern")
        if not isinstance(target, str):
            raise DatasetError(f"{METADATA}: target_pattern is {shown(target)}; it must be a text.")
        return target

    def number(self, name: str) -> float | None:
        """A number of the metadata; None where it is absent or none."""
        value = self.metadata.get(name)
        return float(value) if is_number(value) else None

    def has(self, name: str) -> bool:
        """Whether a column is there and has a value here."""
        return self.row.get(name) is not None

    def source(self, columns: Sequence[str]) -> str:
        """The first of some columns that has a value here; empty where none has."""
        return next((name for name in columns if self.has(name)), "")

    def weights(self, stage: str) -> NDArray[np.float32] | None:
        """The flat weights of a stage, improved or degraded; None where no column has them."""
        if not self.source(_WEIGHTS[stage]):
            return None
        weights = self.named_weights(stage)
        expected = self.architecture.shapes
        for name in {**expected, **weights}:
            found = weights[name].shape if name in weights else None
            if found != expected.get(name):
                wanted = f"its improved network needs {expected.get(name)}"
                raise DatasetError(f"{name} of its {stage} network has shape {found}; {wanted}.")
        return np.concatenate([values.ravel() for values in weights.values()])

    def named_weights(self, stage: str) -> _Weights:
        """Weights and biases of a stage by name, layer by layer."""
        return self._named_weights[stage]

    @cached_property
    def _named_weights(self) -> dict[str, _Weights]:
        """The weights of the stages that have any, by stage."""
        sources = {stage: self.source(columns) for stage, columns in _WEIGHTS.items()}
        if not sources["improved"]:
            raise DatasetError(f"there are no weights in {', '.join(_WEIGHTS['improved'])}.")
        return {stage: self._read_weights(name) for stage, name in sources.items() if name}

    def _read_weights(self, name: str) -> _Weights:
        """The weights of a column."""
        try:
            return parse_weights(self._text(name))
        except PromptError as error:
            raise DatasetError(f"{name}: {error}") from error

    def profiles(self, stage: str) -> Profiles | None:
        """The signature of a stage; None where no column has it."""
        name = self.source(_SIGNATURES[stage])
        if not name:
            return None
        if name.endswith("_prompt"):
            return self._parsed(name).signature or None
        try:
            return _read_signature(parse_json_object(self._text(name).encode()), self.architecture)
        except (DocumentError, DatasetError) as error:
            raise DatasetError(f"{name}: {error}") from error

    def _parsed(self, name: str) -> ParsedPrompt:
        """What a prompt says."""
        try:
            return parse_prompt(self._text(name))
        except PromptError as error:
            raise DatasetError(f"{name}: {error}") from error

    def _text(self, name: str) -> str:
        """The text of a column."""
        value = self.row[name]
        if not isinstance(value, str):
            raise DatasetError(f"{name} has a null where a text is needed.")
        return value


def is_number(value: object) -> TypeGuard[float]:
    """Whether a JSON value is a number."""
    return type(value) in (int, float)


def methods_of(profiles: Profiles) -> Methods:
    """The methods of a signature and their numbers per neuron, as its first layer has them."""
    return _layer_methods(next(iter(profiles.values())))


def _layer_methods(layer: Mapping[str, NDArray[np.float32]]) -> Methods:
    """The methods of one layer and their numbers per neuron."""
    return tuple((name, 1 if array.ndim == 1 else array.shape[1]) for name, array in layer.items())


def flat_signature(
    profiles: Profiles, architecture: Architecture, methods: Methods
) -> NDArray[np.float32]:
    """A signature row by row: `(neurons * columns,)`, the neurons layer by layer, the logit last.

    Raises:
        DatasetError: a layer has other methods, or other numbers of them.
    """
    blocks = []
    for layer in architecture.layers:
        values = profiles[layer.module]
        found = _layer_methods(values)
        if set(found) != set(methods):
            raise DatasetError(
                f"its signature has {_listed(found)} in layer {layer.module}; "
                f"that of the first example has {_listed(methods)}."
            )
        columns = [values[name] for name, _ in methods]
        blocks.append(np.column_stack(columns).ravel())
    return np.concatenate(blocks)


def _listed(methods: Methods) -> str:
    """Methods in a sentence.

    >>> _listed((("mean", 1), ("pca", 10)))
    'mean, pca (10)'
    """
    return ", ".join(name if width == 1 else f"{name} ({width})" for name, width in methods)


def _read_signature(content: Mapping[str, Any], architecture: Architecture) -> Profiles:
    """The signature of a JSON column; its layers and neurons may stand in any order."""
    layers = content.get("neuron_activations")
    names = [str(layer.module) for layer in architecture.layers]
    if not isinstance(layers, dict) or layers.keys() != set(names):
        raise DatasetError(
            f"neuron_activations must be an object of the layers {', '.join(names)}."
        )
    return {
        layer.module: _read_layer(layers[name], layer)
        for name, layer in zip(names, architecture.layers, strict=True)
    }


def _read_layer(content: object, layer: Layer) -> dict[str, NDArray[np.float32]]:
    """The numbers of a layer's neurons by method: `(neurons,)`, or `(neurons, columns)`."""
    profiles = content.get("neuron_profiles") if isinstance(content, dict) else None
    neurons = [str(neuron) for neuron in range(layer.fan_out)]
    if not isinstance(profiles, dict) or profiles.keys() != set(neurons):
        raise DatasetError(
            f"layer {layer.module} must have neuron_profiles of {len(neurons)} neurons."
        )
    rows = [profiles[neuron] for neuron in neurons]
    names = list(rows[0]) if isinstance(rows[0], dict) else []
    if not names or not all(isinstance(row, dict) and row.keys() == set(names) for row in rows):
        raise DatasetError(f"all neurons of layer {layer.module} must have the same methods.")
    return {name: _numbers([row[name] for row in rows], name, layer) for name in names}


def _numbers(values: list[object], name: str, layer: Layer) -> NDArray[np.float32]:
    """The numbers of a method, one or a list of them for each neuron, as an array."""
    rows = [value if isinstance(value, list) else [value] for value in values]
    lengths = {len(row) for row in rows}
    flat = [number for row in rows for number in row]
    if len(lengths) != 1 or not flat or not all(type(number) in (int, float) for number in flat):
        raise DatasetError(
            f"{name} of layer {layer.module} must have equally many numbers per neuron."
        )
    with np.errstate(over="ignore"):
        array = np.array(rows, np.float64).astype(np.float32)
    if not np.isfinite(array).all():
        raise DatasetError(f"{name} of layer {layer.module} has a number that float32 can't hold.")
    return array if isinstance(values[0], list) else array[:, 0]
