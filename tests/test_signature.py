"""Signatures against scikit-learn and numpy in float64, and their edge cases."""

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA

from muat_exp.config.groups import Config, SignatureConfig
from muat_exp.kernels.profiles import _best_centres, principal_loadings
from muat_exp.sequences.patterns import PUBLISHED
from muat_exp.sequences.space import matches
from muat_exp.signatures.methods import METHODS, PUBLISHED_METHODS, method_columns
from muat_exp.signatures.probe_set import ProbeSet, draw_probes
from muat_exp.signatures.profiling import profile
from muat_exp.subjects.initialization import draw_population
from muat_exp.subjects.specs import draw_specs

CONFIG = Config(signature=SignatureConfig(methods=("mean", "std", "pca")))
EVERYONE = np.arange(12)


def layer_outputs(module, tokens):
    h = torch.from_numpy(tokens).float()
    outputs = []
    for layer in module:
        h = layer(h)
        if isinstance(layer, torch.nn.Linear):
            outputs.append(h.detach().numpy())
    return outputs


def profiled(space):
    population = draw_population(CONFIG, draw_specs(CONFIG, EVERYONE))
    drawn = draw_probes(CONFIG, space)
    probes = drawn.tokens
    flat, offsets = profile(CONFIG.signature, population, drawn, EVERYONE)
    signatures = [flat[offsets[i] : offsets[i + 1]].reshape(-1, 12) for i in EVERYONE]
    return population, probes, signatures


def test_mean_and_std_agree_with_numpy(space):
    population, probes, signatures = profiled(space)
    for i in EVERYONE:
        outputs = np.concatenate(layer_outputs(population.to_module(i), probes), axis=1)
        assert np.allclose(signatures[i][:, 0], outputs.mean(axis=0), atol=1e-4)
        assert np.allclose(signatures[i][:, 1], outputs.std(axis=0), atol=1e-4)


def test_pca_agrees_with_scikit_learn_in_float64(space):
    population, probes, signatures = profiled(space)
    checked = 0
    close = 0
    for i in EVERYONE:
        start = 0
        for outputs in layer_outputs(population.to_module(i), probes):
            width = outputs.shape[1]
            ours = signatures[i][start : start + width, 2:]
            start += width
            reference = PCA().fit(outputs.astype(np.float64))
            ratios = reference.explained_variance_ / reference.explained_variance_[0]
            for c in range(min(10, width)):
                if ratios[c] < 1e-8:  # float32 activations leave directions of rounding below this
                    continue
                loading = reference.components_[c]
                loading = loading * np.sign(loading[np.argmax(np.abs(loading))])
                checked += width
                close += (np.abs(ours[:, c] - loading) < 1e-3).sum()
                assert np.abs(ours[:, c]).max() == ours[:, c].max()
    assert checked > 5000
    assert close / checked > 0.98


def entropy(values, recipe, origins):
    return scipy.stats.entropy(np.histogram(values, recipe.bins)[0])


def clustering(values, recipe, origins):
    shares = (np.arange(recipe.n_clusters) + 0.5) / recipe.n_clusters
    start = np.sort(values)[(shares * len(values)).astype(int)]
    means = KMeans(recipe.n_clusters, init=start[:, None], n_init=1, algorithm="lloyd", tol=0)
    return np.sort(means.fit(values[:, None]).cluster_centers_[:, 0])


def fourier(values, recipe, origins):
    amplitudes = np.abs(np.fft.rfft(values - values.mean())) / len(values)
    return amplitudes[1 : recipe.n_frequencies + 1]


def pattern_wise(values, recipe, origins):
    return [values[origins == pattern].mean() for pattern in range(origins.max() + 1)]


def skewness(values, recipe, origins):
    return scipy.stats.skew(values) if np.ptp(values) > 0 else 0.0


# One neuron's numbers by numpy, scipy and scikit-learn, from its values on the probes in float64.
REFERENCES = {
    "mean": lambda values, recipe, origins: values.mean(),
    "std": lambda values, recipe, origins: values.std(),
    "min": lambda values, recipe, origins: values.min(),
    "max": lambda values, recipe, origins: values.max(),
    "sparsity": lambda values, recipe, origins: np.mean(values <= 0),
    "entropy": entropy,
    "clustering": clustering,
    "fourier": fourier,
    "pattern_wise": pattern_wise,
    "median": lambda values, recipe, origins: np.median(values),
    "skewness": skewness,
}
OF_A_LAYER = {"pca", "svd"}  # the others look at each neuron by itself
TIED = {"entropy", "sparsity", "clustering"}  # float32 puts a value on an edge to either side


def outputs_at(site, module, tokens):
    """Values of all neurons on the probes, float64 `(probes, neurons)`."""
    outputs = layer_outputs(module, tokens)
    if site == "activations":
        hidden = [module[1](torch.from_numpy(layer)).numpy() for layer in outputs[:-1]]
        outputs = [*hidden, outputs[-1]]
    return np.concatenate(outputs, axis=1).astype(np.float64)


def has_distinct_starts(values):
    """Whether the three centres that clustering starts from differ.

    scikit-learn moves equal ones.
    """
    starts = np.sort(values, axis=0)[[33, 100, 166]]
    return np.diff(starts, axis=0).all(axis=0)


@pytest.mark.parametrize("site", ["pre_activations", "activations"])
@pytest.mark.parametrize("method", sorted(METHODS.keys() - OF_A_LAYER))
def test_each_method_agrees_with_its_reference(space, method, site):
    recipe = SignatureConfig(methods=("pca", method), site=site, components=3)
    population = draw_population(CONFIG, draw_specs(CONFIG, EVERYONE))
    drawn = draw_probes(CONFIG, space)
    flat, offsets = profile(recipe, population, drawn, EVERYONE[:4])
    for i in range(4):
        values = outputs_at(site, population.to_module(i), drawn.tokens)
        told = has_distinct_starts(values) if method == "clustering" else slice(None)
        ours = flat[offsets[i] : offsets[i + 1]].reshape(values.shape[1], -1)[told, 3:]
        expected = np.array(
            [
                np.atleast_1d(REFERENCES[method](neuron, recipe, drawn.origins))
                for neuron in values[:, told].T
            ]
        )
        near = np.isclose(ours, expected, rtol=1e-4, atol=2e-4).all(axis=1)
        assert near.mean() > (0.97 if method in TIED else 0.999)


def published_entropy(values, recipe, origins):
    if np.ptp(values) == 0:
        return 0.0
    density = np.histogram(values, 20, density=True)[0]
    density = density[density > 0]
    return -(density * np.log2(density)).sum()


def published_fourier(values, recipe, origins):
    moduli = np.abs(np.fft.fft(values))[: len(values) // 2]
    return np.sort(moduli)[-recipe.n_frequencies :]


def published_pattern_wise(values, recipe, origins):
    names = CONFIG.patterns.enabled
    return [values[origins == names.index(name)].mean() for name in sorted(names)]


PUBLISHED_REFERENCES = {
    "entropy": published_entropy,
    "fourier": published_fourier,
    "pattern_wise": published_pattern_wise,
}


def signatures_of(space, recipe, count=4):
    """Values of all neurons on the probes and their signatures, subject by subject."""
    population = draw_population(CONFIG, draw_specs(CONFIG, EVERYONE))
    drawn = draw_probes(CONFIG, space)
    flat, offsets = profile(recipe, population, drawn, EVERYONE[:count])
    for i in range(count):
        values = outputs_at(recipe.site, population.to_module(i), drawn.tokens)
        yield values, flat[offsets[i] : offsets[i + 1]].reshape(values.shape[1], -1), drawn.origins


@pytest.mark.parametrize("site", ["pre_activations", "activations"])
@pytest.mark.parametrize("method", PUBLISHED_REFERENCES)
def test_each_published_method_agrees_with_its_reference(space, method, site):
    recipe = SignatureConfig((method,), PUBLISHED, site=site, n_clusters=2)
    reference = PUBLISHED_REFERENCES[method]
    for values, ours, origins in signatures_of(space, recipe):
        expected = [np.atleast_1d(reference(neuron, recipe, origins)) for neuron in values.T]
        near = np.isclose(ours, expected, rtol=1e-3, atol=1e-3).all(axis=1)
        assert near.mean() > (0.95 if method in TIED else 0.999)


def test_published_svd_agrees_with_numpy_but_for_signs(space):
    recipe = SignatureConfig(("svd",), PUBLISHED, components=20)
    population = draw_population(CONFIG, draw_specs(CONFIG, EVERYONE))
    for i, (values, ours, _) in enumerate(signatures_of(space, recipe)):
        width = population.layers(i)[0].fan_out
        vectors = np.linalg.svd(values[:, :width], full_matrices=False)[2].T
        first = slice(0, 3)  # directions of 5 inputs; the others are rounding
        assert np.allclose(np.abs(ours[:width, first]), np.abs(vectors[:, first]), atol=1e-3)
        assert np.allclose(np.linalg.norm(ours[:width, :width], axis=0), 1, atol=1e-5)
        assert not ours[:width, width:].any()


@pytest.mark.parametrize("method", sorted(METHODS.keys() - PUBLISHED_METHODS.keys()))
def test_what_the_published_family_does_not_define_otherwise_is_the_same(space, method):
    ours = signatures_of(space, SignatureConfig((method,)))
    published = signatures_of(space, SignatureConfig((method,), PUBLISHED))
    for (_, here, _), (_, there, _) in zip(ours, published, strict=True):
        assert np.array_equal(here, there)


def cost(values, centres):
    """Mean squared distance to the nearest centre."""
    return np.min((values[:, None] - centres) ** 2, axis=1).mean()


@settings(max_examples=40)
@given(arrays(np.float64, 40, elements=st.floats(-5, 5, width=16)), st.integers(1, 4))
def test_published_clusters_are_no_worse_than_those_of_scikit_learn(values, clusters):
    centres = np.empty(clusters)
    _best_centres(values, centres)
    assert np.array_equal(centres, np.sort(centres))
    if len(np.unique(values)) >= clusters:
        means = KMeans(clusters, n_init=5, random_state=0, tol=0).fit(values[:, None])
        assert cost(values, centres) <= cost(values, means.cluster_centers_[:, 0]) + 1e-9


def test_two_published_clusters_are_the_best_split(space):
    recipe = SignatureConfig(("clustering",), PUBLISHED, n_clusters=2)
    for values, ours, _ in signatures_of(space, recipe, 1):
        for neuron, centres in zip(np.sort(values, axis=0).T, ours, strict=True):
            splits = [[neuron[:i].mean(), neuron[i:].mean()] for i in range(1, len(neuron))]
            best = min(cost(neuron, split) for split in splits)
            assert cost(neuron, centres) == pytest.approx(best, rel=1e-3)


def test_fewer_distinct_values_than_clusters_repeat_the_last():
    centres = np.empty(4)
    _best_centres(np.array([3.0, 1.0, 3.0, 1.0, 1.0]), centres)
    assert centres.tolist() == [1, 3, 3, 3]


def test_svd_agrees_with_numpy(space):
    recipe = SignatureConfig(methods=("svd",), components=2)
    population = draw_population(CONFIG, draw_specs(CONFIG, EVERYONE))
    drawn = draw_probes(CONFIG, space)
    flat, offsets = profile(recipe, population, drawn, EVERYONE)
    for i in range(len(EVERYONE)):
        outputs = layer_outputs(population.to_module(i), drawn.tokens)[0].astype(np.float64)
        loading = np.linalg.svd(outputs, full_matrices=False)[2][0]
        loading = loading * np.sign(loading[np.argmax(np.abs(loading))])
        ours = flat[offsets[i] : offsets[i + 1]].reshape(-1, 2)[: outputs.shape[1], 0]
        assert np.allclose(ours, loading, atol=1e-4)


def test_a_constant_neuron_has_no_spread():
    origins = np.array([0, 0, 0, 1, 1, 1])
    probes = ProbeSet(np.zeros((6, 5), np.uint8), origins, 3, origins)
    config = Config(signature=SignatureConfig(methods=tuple(METHODS), components=2, probes=20))
    population = draw_population(config, draw_specs(config, EVERYONE[:1]))
    widths = [width for _, width in method_columns(config.signature, 3)]
    flat, _ = profile(config.signature, population, probes, EVERYONE[:1])
    parts = np.split(flat.reshape(-1, sum(widths)), np.cumsum(widths)[:-1], axis=1)
    found = dict(zip(METHODS, parts, strict=True))
    for method in ("std", "entropy", "pca", "fourier", "skewness"):
        assert np.abs(found[method]).max() < 1e-6
    assert np.array_equal(found["clustering"], np.repeat(found["mean"], 3, axis=1))
    assert np.array_equal(found["pattern_wise"][:, :2], np.repeat(found["mean"], 2, axis=1))
    assert not found["pattern_wise"][:, 2].any()


def test_missing_and_dead_components_are_zeros():
    loadings = np.full((3, 5), 9, np.float32)
    principal_loadings(np.diag([2.0, 1.0, 1e-12]), 5, loadings)
    assert np.array_equal(loadings[:, :2], [[1, 0], [0, 1], [0, 0]])
    assert not loadings[:, 2:].any()
    principal_loadings(np.zeros((3, 3)), 5, loadings)
    assert not loadings.any()


@pytest.mark.parametrize("count", [14, 200, 333])
def test_probes_come_evenly_from_the_patterns(space, count):
    config = Config(signature=SignatureConfig(probes=count))
    probes = draw_probes(config, space)
    assert len(probes.tokens) == count
    shares = np.bincount(probes.origins, minlength=14)
    assert shares.max() - shares.min() <= 1
    for i, pattern in enumerate(config.patterns.build()):
        assert matches(pattern, probes.tokens[probes.origins == i]).all()


def test_probes_depend_on_their_own_seed_only(space):
    first = draw_probes(Config(seed=1), space)
    again = draw_probes(Config(seed=2), space)
    assert np.array_equal(first.tokens, again.tokens)
    other = draw_probes(Config(signature=SignatureConfig(probe_seed=5)), space)
    assert not np.array_equal(first.tokens, other.tokens)
