"""What each form of the prompts costs in tokens, and what its rounding does to the networks.

Both are measured on a sample of a dataset's examples that follows from their numbers, so that it is
the same whoever measures: tokens on up to 32 of them, answers on fewer, as these take as long for
one network as the texts of many.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from muat_exp.config.groups import COMPACT, Config, PromptsConfig
from muat_exp.errors import DatasetError
from muat_exp.executors.base import Executor
from muat_exp.executors.budget import Budget
from muat_exp.kernels.truth import ask
from muat_exp.prompts.codings import DECIMALS, DIGITS, INTEGER, PLAIN, USUAL_DECIMALS, Coding
from muat_exp.prompts.compact import rounded_weights
from muat_exp.prompts.rendering import Renderer
from muat_exp.prompts.tokens import NONE, TokenStatistics
from muat_exp.subjects.architecture import recorded_architecture, recorded_networks
from muat_exp.subjects.population import Population

_RENDERED = 32  # examples whose texts are counted, at most
_RENDERED_NUMBERS = 500_000  # parameters that these have together, at most, or a single one
_ALWAYS_ASKED = 2  # networks, however few examples there are
_EXAMPLES_PER_ASKED = 1500  # for each further one
_ASKED = 8  # networks at most
_PRODUCTS = 1_200_000_000  # multiplications that the asked may take together, with one rounding
_PRODUCTS_OF_ONE = 2_000_000_000  # those of a single one: fewer sequences are drawn then
_WHOLE_SPACE = 200_000  # most sequences of a space that is gone through
_DRAWN = 100_000  # sequences of a larger one
_FEWEST = 1000  # sequences, however large a network is


class Form(NamedTuple):
    """A style, and its spelling of numbers."""

    style: str
    coding: Coding


class FormFigures(NamedTuple):
    """What was measured of a form.

    Attributes:
        form: which.
        own: whether the dataset's prompts have it.
        tokens: of prompts with their completions; without any where they are not counted.
        agreement: share of the sequences on which rounded and stored network call the same
            positive.
    """

    form: Form
    own: bool
    tokens: TokenStatistics
    agreement: float


class Forms(NamedTuple):
    """Every form's figures, and what they were measured on.

    Attributes:
        rows: the figures.
        examples: whose texts were counted.
        asked: networks among them that were asked.
        sequences: that they were asked about.
        space: how many there are.
    """

    rows: list[FormFigures]
    examples: int
    asked: int
    sequences: int
    space: int


def own_form(config: Config) -> Form:
    """The form of a dataset's prompts; other styles than compact have six decimals."""
    style = config.dataset.style
    return Form(style, config.prompts.built() if style == COMPACT else PLAIN)


def shown_forms(config: Config) -> list[Form]:
    """The dataset's own form, and those of the style compact.

    They have the dataset's coding or else whole numbers, by each number of decimals; digits; and
    the signature where a compact dataset has it.
    """
    own = own_form(config)
    compact = own.style == COMPACT
    signature = compact and own.coding.signature
    name = own.coding.name if compact and own.coding.name != DIGITS else INTEGER
    codings = [Coding(name, d, signature) for d in range(DECIMALS[0], DECIMALS[1] + 1)]
    codings.append(Coding(DIGITS, USUAL_DECIMALS, signature))
    forms = [Form(COMPACT, coding) for coding in codings]
    return forms if own in forms else [own, *forms]


def sampled_places(config: Config, count: int) -> NDArray[np.int64]:
    """Which of `count` examples, in the order of their numbers, are measured."""
    wanted = _RENDERED_NUMBERS // Budget(config).largest.parameters
    return _evenly(count, max(1, min(wanted, _RENDERED)))


def _evenly(count: int, wanted: int) -> NDArray[np.int64]:
    """Up to so many places among `count`, the same distance between them."""
    wanted = min(wanted, count)
    return np.arange(wanted) * count // max(1, wanted)


def measure_forms(config: Config, records: pa.Table, total: int, workers: Executor) -> Forms:
    """Figures of every form on the sampled records of a dataset with `total` examples.

    A form that can't write one of the numbers is left out.
    """
    forms = shown_forms(config)
    answers = _Answers(config, records, total, workers)
    rows = []
    own = own_form(config)
    for form, tokens in zip(forms, _count_tokens(config, forms, records), strict=True):
        if tokens is not None and records.num_rows:
            rows.append(FormFigures(form, form == own, tokens, answers.agreement(form.coding)))
    sequences = answers.columns.shape[1]
    return Forms(rows, records.num_rows, len(answers.which), sequences, answers.space)


def _count_tokens(
    config: Config, forms: list[Form], records: pa.Table
) -> Iterator[TokenStatistics | None]:
    """The tokens of the records' texts by each form; None where it can't write them."""
    counter = Renderer(config).counter
    task = config.dataset.tasks[0]
    for form in forms:
        statistics = TokenStatistics()
        renderer = Renderer(with_form(config, form))
        try:
            for text in renderer.each_text(task, records) if counter else ():
                statistics.add([counter.count(text)])  # type: ignore[union-attr]
        except DatasetError:
            yield None
        else:
            yield statistics


def with_form(config: Config, form: Form) -> Config:
    """The configuration with another form of the prompts, and without a tokenizer."""
    prompts = PromptsConfig()
    if form.style == COMPACT:
        name, decimals, signature = form.coding
        prompts = PromptsConfig(name, "auto" if name == DIGITS else decimals, signature)
    dataset = replace(config.dataset, style=form.style, tokenizer=NONE, max_tokens=0)
    return replace(config, dataset=dataset, prompts=prompts)


class _Answers:
    """What some networks call positive, as they are stored and rounded.

    Attributes:
        columns: uint8 `(L, N)`, the sequences that they are asked about.
        space: how many sequences there are.
        which: int64 `(n,)`, the records whose networks are asked.
    """

    def __init__(self, config: Config, records: pa.Table, total: int, workers: Executor) -> None:
        patterns = config.patterns
        products = Budget(config).largest.parameters
        self.space = patterns.vocab_size**patterns.sequence_length
        self.columns = _sequences(patterns.vocab_size, patterns.sequence_length, products)
        work = products * self.columns.shape[1]
        wanted = min(_ALWAYS_ASKED + total // _EXAMPLES_PER_ASKED, _ASKED)
        affordable = max(1, _PRODUCTS // work)
        self.which = _evenly(records.num_rows, min(wanted, affordable))
        chosen = records.take(pa.array(self.which))
        self._workers = workers
        shapes = chosen.select(["num_layers", "neurons_per_layer", "activation"]).to_pylist()
        self._architectures = [recorded_architecture(row, config) for row in shapes]
        networks = recorded_networks(chosen, config)
        parameters = chosen["weights"].combine_chunks().flatten().to_numpy()
        self._population = Population(networks).with_parameters(parameters)
        self._stored = self._ask(parameters)

    def agreement(self, coding: Coding) -> float:
        """Share of equal answers of the rounded networks and the stored ones."""
        subjects = range(len(self._architectures))
        parts = [
            rounded_weights(coding, self._architectures[s], self._population.subject(s))
            for s in subjects
        ]
        different = np.bitwise_count(self._ask(np.concatenate(parts)) ^ self._stored).sum()
        return 1 - float(different) / (len(parts) * self.columns.shape[1])

    def _ask(self, parameters: NDArray[np.float32]) -> NDArray[np.uint8]:
        """The answers as bits, uint8 `(n, bytes)`, of networks with these parameters."""
        networks = self._population.with_parameters(parameters).networks
        groups = np.zeros(self.columns.shape[1], np.int32)

        def kernel(chunk: NDArray[np.int64]) -> NDArray[np.uint8]:
            _, bits = ask(networks, self.columns, groups, 1, chunk, True)
            return bits  # type: ignore[no-any-return]

        everyone = np.arange(len(self._architectures))
        return np.concatenate([kernel(everyone[:0]), *self._workers.map_chunks(everyone, kernel)])


def _sequences(vocab_size: int, length: int, products: int) -> NDArray[np.uint8]:
    """Every sequence of a space in turn, or a draw where that would take too long: `(L, N)`.

    Args:
        vocab_size: of the space.
        length: of a sequence.
        products: multiplications of a network for each.
    """
    size = vocab_size**length
    most = max(_FEWEST, _PRODUCTS_OF_ONE // products)
    if size <= min(most, _WHOLE_SPACE):
        tokens = np.unravel_index(np.arange(size), (vocab_size,) * length)
        return np.stack(tokens).astype(np.uint8)
    generator = np.random.Generator(np.random.Philox(0))
    shape = (length, min(most, _DRAWN))
    return generator.integers(vocab_size, size=shape, dtype=np.uint8)
