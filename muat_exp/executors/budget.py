"""How much memory work takes, and how much of it is done at a time within `memory_gib`.

Estimates count the arrays of the largest network that a configuration allows, at the moment when
most of them are there; Python and its packages come on top. None of it changes a subject: the
budget decides how many are trained, rendered or written at a time. How many examples share a row
group follows from the configuration alone, so that a file's bytes do not depend on the budget.
"""

import math
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property

from muat_exp.config.checks import require
from muat_exp.config.groups import Config
from muat_exp.executors.threads import SMALLEST
from muat_exp.signatures.methods import method_columns
from muat_exp.subjects.architecture import Architecture
from muat_exp.subjects.shapes import hidden_widths

# Cohorts at a time: while one waits for Python or the disk, the other keeps the workers busy.
IN_FLIGHT = 2
EVALUATED = 256  # examples that a network is evaluated on at a time, at most
_LARGEST_COHORT = 2048  # nothing gets faster beyond it
_MOST_NUMBERS = 2**31 - 1  # of one column of lists: their offsets have 32 bits
_ROW_GROUP = 200  # examples: fewer cost a third more time to write, and again to read
_GROUP_BYTES = 3 * 2**25  # of a row group's texts: of large networks it holds fewer examples
_BATCHES = 4  # that a row group is rendered in
_GIB = 2**30
_PLANNED = 0.75  # share of the budget: the rest is what allocators keep for later

# Bytes for each parameter at the end of the clean stage: the weights that the degraded stage ended
# with and stored, those in training, Adam's two means, the best weights, the folded ones, and the
# comparison with what has diverged.
_TRAINED = 34
# Further ones where weights are rounded, quantised, or trained by PyTorch.
_ROUNDED = {"float32": 0, "float16": 2, "bfloat16": 12}
_QUANTIZED = 4
_TORCH = 12
_TORCH_LAYER = 16_000  # bytes of a layer's objects in PyTorch, tensors apart
_STORED = 64  # bytes for each parameter of an example whose networks are read or measured again
_NUMBER = 4  # bytes of a float32
_DRAWN = 33  # bytes for each training row while its label is drawn
_LAYER = 200  # bytes of a layer's place in the tables
_SUBJECT = 4000  # bytes of a subject's metrics and of its columns without lists
_SEQUENCE = 28  # bytes of a sequence's group while all sequences are sorted into groups
_ANSWERS = 3  # times that a subject's answers are there: counted, put together, in a column
_EPOCH = 48  # bytes of an epoch of a history that is kept

_TEXT_OF_WEIGHT = 18  # characters in a prompt
_TEXT_OF_PROFILE = 12  # likewise, of a number of a signature
_JSON_NUMBER = 15  # characters in a JSON column
_JSON_EPOCH = 250
_JSON_NEURON = 1000  # bytes of a neuron's profile before it is text
_TEXT = 8000  # characters of the rest of an example's texts

# Bytes for each character of a batch: as Python's strings and then Arrow's as well; of examples
# that wait, as Arrow's; of a row group, as Arrow's and in the buffers of its writer.
_RENDERED = 2.5
_WAITING = 1.3
_WRITTEN = 2.5
# Bytes for each character of a text whose tokens are counted, by what `dataset.tokenizer` names.
_COUNTED = {"none": 0, "llama3": 4}
_COUNTED_BY_FILE = 300


@dataclass(frozen=True)
class Budget:
    """What a configuration's work takes, in bytes, and how much of it fits `memory_gib`.

    Attributes:
        config: the run's configuration.
    """

    config: Config

    @cached_property
    def largest(self) -> Architecture:
        """The largest network that the configuration allows."""
        shape = self.config.architecture
        depth = shape.num_layers.max
        widths = hidden_widths(shape.shape, depth, shape.neurons_per_layer.max)
        return Architecture(self.config.patterns.sequence_length, widths, shape.activations[0])

    @property
    def cohort_size(self) -> int:
        """Subjects that are trained together: as configured, else as many as fit.

        A table of them has lists with offsets of 32 bits, which bounds both.
        """
        bound = max(1, _MOST_NUMBERS // self._longest_list)
        given = self.config.cohort_size
        if isinstance(given, int):
            return min(given, bound)
        sizes = range(1, min(_LARGEST_COHORT, bound) + 1)
        fitting = bisect_right(sizes, self._memory, key=self._training_bytes)
        return max(1, fitting)

    @property
    def row_group(self) -> int:
        """Examples in a row group of the dataset's files; the same whatever the budget is."""
        return max(1, min(_ROW_GROUP, _GROUP_BYTES // self.text_bytes))

    @property
    def batch(self) -> int:
        """Examples that a thread reads and renders at a time."""
        return -(-self.row_group // _BATCHES)

    @property
    def batches(self) -> int:
        """Such batches under way at a time."""
        writer = self._writer_bytes if self.writes_behind else 0
        left = self._memory - writer - self._waiting_bytes
        return max(1, int(left / self._batch_bytes))

    @property
    def checks(self) -> int:
        """Row groups under way at a time where a dataset is checked: read, and rendered again."""
        strings = self.row_group * self.text_bytes
        each = self._batch_of(self.row_group) + strings
        return max(1, int(self._memory / each))

    @property
    def writes_behind(self) -> bool:
        """Whether one row group is written while the next one is rendered."""
        return self._writer_bytes + self._waiting_bytes + self._batch_bytes <= self._memory

    def require_room(self) -> None:
        """Raises `ConfigurationError` where the least work at a time does not fit."""
        self._require(
            self._training_bytes(1),
            "training a single subject",
            "make the networks, their data or the probe set smaller",
        )
        self._require(
            max(self._writer_bytes, self._waiting_bytes + self._batch_bytes),
            "rendering and writing a single example",
            "make the networks smaller, or ask for fewer texts and dataset.tokenizer=none",
        )

    def _require(self, least: float, work: str, advice: str) -> None:
        """Raises `ConfigurationError` where some work does not fit, which takes so many bytes."""
        shape = self.config.architecture
        needed = math.ceil((least + self._space_bytes) / _PLANNED / _GIB * 100) / 100
        require(
            least <= self._memory,
            f"memory_gib is {self.config.memory_gib:g}, but {work} of up to "
            f"{shape.num_layers.max} layers of {shape.neurons_per_layer.max} neurons needs "
            f"memory_gib={needed:g}; raise it, or {advice}.",
        )

    @property
    def _memory(self) -> float:
        """Bytes that are planned with."""
        return _PLANNED * self.config.memory_gib * _GIB - self._space_bytes

    @property
    def _signature(self) -> int:
        """Numbers of a signature."""
        config = self.config
        methods = method_columns(config.signature, len(config.patterns.enabled))
        return self.largest.neurons * sum(columns for _, columns in methods)

    @property
    def _epochs(self) -> int:
        """Epochs of a history that is kept."""
        recipe = self.config.training
        kept = self.config.dataset.needs_history
        return (recipe.degraded.max_epochs + recipe.clean.max_epochs) * kept

    @property
    def _longest_list(self) -> int:
        """Numbers in the longest list of a subject's record, or bytes of its answers."""
        lists = (self.largest.parameters, self._signature, 4 * self._epochs)
        return max(*lists, self._answer_bytes)

    @property
    def _data_bytes(self) -> int:
        """A subject's sequences, and its labels while they are drawn."""
        patterns = self.config.patterns
        training, validation = map(sum, patterns.sides)
        sequences = (training + 2 * validation) * patterns.sequence_length
        return sequences + _DRAWN * training

    @property
    def _signature_bytes(self) -> int:
        """A subject's signatures, each put together from its parts."""
        shown = 3 if self.config.dataset.needs_degraded_signature else 2
        return shown * _NUMBER * self._signature

    @property
    def _subject_bytes(self) -> int:
        """One subject in training."""
        shape = self.config.architecture
        each = _TRAINED + _ROUNDED[shape.precision] + _QUANTIZED * (shape.quantization != "none")
        layers = len(self.largest.layers)
        torch = self.config.engine == "torch"
        return (
            (each + _TORCH * torch) * self.largest.parameters
            + (_LAYER + _TORCH_LAYER * torch) * layers
            + self._data_bytes
            + self._signature_bytes
            + _EPOCH * self._epochs
            + _ANSWERS * self._answer_bytes
            + _SUBJECT
        )

    @property
    def _thread_bytes(self) -> int:
        """What one thread works with while it trains, tests or profiles a subject."""
        config = self.config
        depth = self.largest.num_layers
        width = self.largest.neurons_per_layer
        examples = max(config.training.batch_size, EVALUATED)
        activations = (2 * depth + 4) * width * examples * _NUMBER
        probes = width * config.signature.probes * ((depth + 3) * _NUMBER + 2 * 8)
        covariances = 6 * 8 * width**2
        tested = config.patterns.examples_per_subject + 2 * config.training.test_examples
        seen = tested * (4 * 8 + config.patterns.sequence_length)
        gradient = _NUMBER * self.largest.parameters
        return max(activations + gradient, probes + covariances, activations + seen)

    def _training_bytes(self, size: int) -> int:
        """The cohorts of so many subjects that are under way at a time, and the threads."""
        chunks = IN_FLIGHT * -(-size // SMALLEST)
        threads = min(self.config.threads, chunks)
        return IN_FLIGHT * size * self._subject_bytes + threads * self._thread_bytes

    @property
    def _answer_bytes(self) -> int:
        """A subject's answers to all sequences, where they are kept."""
        kept = self.config.dataset.behaviour
        return -(-self.config.patterns.space_size // 8) if kept else 0

    @property
    def _space_bytes(self) -> int:
        """All sequences and their groups while these are made, where networks are run on them."""
        patterns = self.config.patterns
        each = 2 * patterns.sequence_length + _SEQUENCE
        return each * patterns.space_size if self.config.exact else 0

    @property
    def _texts(self) -> dict[str, int]:
        """Characters of an example's text of each kind of prompt, its completion included."""
        weights = _TEXT_OF_WEIGHT * self.largest.parameters
        prompt = weights + _TEXT_OF_PROFILE * self._signature + _TEXT
        texts = {"classification": prompt, "modification": prompt + weights}
        return {task: texts[task] for task in self.config.dataset.tasks}

    @property
    def _counting_bytes(self) -> int:
        """What counting the tokens of the longest text takes."""
        each = _COUNTED.get(self.config.dataset.tokenizer, _COUNTED_BY_FILE)
        return each * max(self._texts.values())

    @property
    def text_bytes(self) -> int:
        """An example's texts, whose prompts and completions stand in two columns each.

        And its answers to all sequences, where they are written.
        """
        columns = {
            "improved_model_weights": _JSON_NUMBER * self.largest.parameters,
            "degraded_model_weights": _JSON_NUMBER * self.largest.parameters,
            "improved_signature": _JSON_NUMBER * self._signature,
            "degraded_signature": _JSON_NUMBER * self._signature,
            "training_metrics": _JSON_EPOCH * self._epochs,
        }
        texts = 2 * sum(self._texts.values())
        columns_bytes = sum(columns[name] for name in self.config.dataset.columns)
        return texts + columns_bytes + self._answer_bytes

    @property
    def _batch_bytes(self) -> float:
        """A batch that is rendered, and its thread."""
        return self._batch_of(self.batch)

    def _batch_of(self, examples: int) -> float:
        """So many examples whose networks are measured again and rendered, and their thread."""
        arrays = _STORED * self.largest.parameters + 3 * self._signature_bytes + self._data_bytes
        profiles = _JSON_NEURON * self.largest.neurons
        strings = examples * self.text_bytes
        texts = max(_RENDERED * strings, strings + self._counting_bytes)
        return texts + examples * arrays + profiles + self._thread_bytes

    @property
    def _waiting_bytes(self) -> float:
        """Examples that are rendered and wait for the rest of their row group."""
        return _WAITING * (self.row_group - self.batch) * self.text_bytes

    @property
    def _writer_bytes(self) -> float:
        """A row group that is put together and written."""
        return _WRITTEN * self.row_group * self.text_bytes
