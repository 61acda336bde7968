"""The registry of signature methods: what each takes of a neuron's values on the probe set.

`kernels.profiles` holds their compiled forms and takes their codes from here: a method's place in
`METHODS`, with those of `PUBLISHED_METHODS` behind them, which nothing else may rely on. Pure
Python without arrays, so that a wrong configuration is refused at once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from muat_exp.errors import ConfigurationError
from muat_exp.sequences.patterns import PUBLISHED

OWN = "muat_exp"
# Whose definitions hold where they differ.
DEFINITIONS = {
    OWN: "this project's",
    PUBLISHED: "the published family's of fourier, entropy, pattern_wise, clustering, svd, and of "
    "ternary and binary weights",
}
# At most, for published methods whose time or memory grows with their square.
_PUBLISHED_PROBES = 4096


class MethodSettings(Protocol):
    """The keys of `signature` that methods depend on."""

    @property
    def methods(self) -> tuple[str, ...]:
        """Names out of `METHODS`, in the order of the signature's columns."""

    @property
    def definitions(self) -> str:
        """Whose definitions hold, out of `DEFINITIONS`."""

    @property
    def components(self) -> int:
        """Components that pca and svd keep of each layer."""

    @property
    def n_frequencies(self) -> int:
        """Frequencies that fourier keeps."""

    @property
    def n_clusters(self) -> int:
        """Centres that clustering finds."""

    @property
    def bins(self) -> int:
        """Bins of the histogram that entropy is taken of."""

    @property
    def probes(self) -> int:
        """Sequences in the probe set."""


_Columns = Callable[[MethodSettings, int], int]
_Check = Callable[[MethodSettings], None]


def _one_column(settings: MethodSettings, patterns: int) -> int:
    """One number per neuron."""
    return 1


def _no_requirement(settings: MethodSettings) -> None:
    """For methods that any configuration suits."""


def _check_frequencies(settings: MethodSettings) -> None:
    """Raises `ConfigurationError` where there are too few probes for the frequencies."""
    frequencies = settings.probes // 2
    if settings.n_frequencies > frequencies:
        raise ConfigurationError(
            f"signature.n_frequencies is {settings.n_frequencies}; "
            f"{settings.probes} probes have {frequencies} frequencies."
        )


def _check_published_probes(settings: MethodSettings) -> None:
    """Raises `ConfigurationError` where there are more probes than a method can hold at once."""
    if settings.probes > _PUBLISHED_PROBES:
        raise ConfigurationError(
            f"signature.probes is {settings.probes}; fourier and clustering with "
            f"signature.definitions={PUBLISHED} take at most {_PUBLISHED_PROBES}."
        )


def _check_published_frequencies(settings: MethodSettings) -> None:
    """Raises `ConfigurationError` where there are too few or too many probes."""
    _check_frequencies(settings)
    _check_published_probes(settings)


@dataclass(frozen=True)
class Method:
    """One way to describe a neuron.

    Attributes:
        doc: the definition, of one neuron's values on the probes (or its layer's), in float64.
        columns: how many numbers per neuron it has, of the settings and the number of enabled
            patterns.
        check: raises `ConfigurationError` where the settings do not suit it.
    """

    doc: str
    columns: _Columns = _one_column
    check: _Check = _no_requirement


METHODS: dict[str, Method] = {
    "mean": Method("mean of the values"),
    "std": Method("standard deviation of the values, that of a population"),
    "min": Method("smallest value"),
    "max": Method("largest value"),
    "sparsity": Method("share of values at most 0"),
    "entropy": Method(
        "Shannon entropy in nats of a histogram of `bins` equal bins from min to max; 0 for a "
        "constant neuron",
    ),
    "pca": Method(
        "the neuron's loadings on the layer's first `components` principal components; the largest "
        "|loading| of a component is positive; components with an eigenvalue of at most 1e-10 of "
        "the first, and those beyond the layer's neurons, are 0, as is all of a dead layer",
        columns=lambda settings, patterns: settings.components,
    ),
    "svd": Method(
        "as pca, without centring: loadings on the layer's first `components` right singular "
        "vectors",
        columns=lambda settings, patterns: settings.components,
    ),
    "clustering": Method(
        "`n_clusters` ascending centres of k-means on the values (Lloyd from quantiles); equal for "
        "a constant neuron",
        columns=lambda settings, patterns: settings.n_clusters,
    ),
    "fourier": Method(
        "amplitudes |sum of v_j exp(-2 pi i k j / n)| / n of the centred values in the order of "
        "the probes, for k = 1 to `n_frequencies`; 0 for a constant neuron",
        columns=lambda settings, patterns: settings.n_frequencies,
        check=_check_frequencies,
    ),
    "pattern_wise": Method(
        "mean over the probes of each enabled pattern; 0 for a pattern without probes",
        columns=lambda settings, patterns: patterns,
    ),
    "median": Method("middle value, or the mean of the two middle ones"),
    "skewness": Method(
        "third central moment over the cube of the standard deviation, both those of a population; "
        "0 for a constant neuron"
    ),
}


# What the published family means by a name where that is not what `METHODS` says.
PUBLISHED_METHODS: dict[str, Method] = {
    "entropy": Method(
        "-sum of d log2 d over the densities d of a histogram of 20 equal bins from min to max; 0 "
        "for a constant neuron",
    ),
    "svd": Method(
        "the neuron's entries of the layer's first `components` right singular vectors, without "
        "centring, their signs as they come; those beyond the layer's neurons are 0",
        columns=lambda settings, patterns: settings.components,
    ),
    "clustering": Method(
        "`n_clusters` ascending centres of the best k-means on the values; where there are fewer "
        "distinct values, these, the last one repeated",
        columns=lambda settings, patterns: settings.n_clusters,
        check=_check_published_probes,
    ),
    "fourier": Method(
        "of the moduli |sum of v_j exp(-2 pi i k j / n)| of the values in the order of the probes, "
        "for k = 0 to n / 2 - 1, the `n_frequencies` largest, ascending",
        columns=lambda settings, patterns: settings.n_frequencies,
        check=_check_published_frequencies,
    ),
    "pattern_wise": Method(
        "mean over the probes of each enabled pattern, the patterns in alphabetical order; 0 for a "
        "pattern without probes",
        columns=lambda settings, patterns: patterns,
    ),
}


def _method(name: str, definitions: str) -> Method:
    """A method as these definitions mean it."""
    if definitions == PUBLISHED:
        return PUBLISHED_METHODS.get(name, METHODS[name])
    return METHODS[name]


def method_code(name: str, definitions: str = OWN) -> int:
    """The integer that stands for a method in the kernels.

    >>> method_code("mean", "published") == method_code("mean")
    True
    """
    if definitions == PUBLISHED and name in PUBLISHED_METHODS:
        return len(METHODS) + tuple(PUBLISHED_METHODS).index(name)
    return tuple(METHODS).index(name)


def method_columns(settings: MethodSettings, patterns: int) -> list[tuple[str, int]]:
    """Each method and how many numbers per neuron it has, in the order of the signature's columns.

    Args:
        settings: the configuration's `signature` group.
        patterns: how many patterns are enabled.

    >>> from muat_exp.config.groups import SignatureConfig
    >>> method_columns(SignatureConfig(methods=("mean", "pca"), components=5), 14)
    [('mean', 1), ('pca', 5)]
    """
    columns = []
    for name in settings.methods:
        method = _method(name, settings.definitions)
        columns.append((name, method.columns(settings, patterns)))
    return columns


def check_methods(settings: MethodSettings) -> None:
    """Raises `ConfigurationError` where the settings do not suit one of their methods."""
    for name in settings.methods:
        _method(name, settings.definitions).check(settings)
