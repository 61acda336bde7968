"""Signatures against scikit-learn and numpy in float64, and their edge cases."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from muat_exp.config import Config, SignatureConfig
from muat_exp.kernels.profiles import principal_loadings
from muat_exp.sequences import matches
from muat_exp.signature import draw_probes, profile
from muat_exp.subject import draw_population, draw_specs

CONFIG = Config(signature=SignatureConfig(methods=("mean", "std", "pca")))
EVERYONE = np.arange(12)


def layer_outputs(module, tokens):
    h, outputs = torch.from_numpy(tokens).float(), []
    for layer in module:
        h = layer(h)
        if isinstance(layer, torch.nn.Linear):
            outputs.append(h.detach().numpy())
    return outputs


def profiled(space):
    population = draw_population(CONFIG, draw_specs(CONFIG, EVERYONE))
    probes = draw_probes(CONFIG, space).tokens
    flat, offsets = profile(CONFIG.signature, population, probes, EVERYONE)
    return population, probes, [flat[offsets[i] : offsets[i + 1]].reshape(-1, 12) for i in range(len(EVERYONE))]


def test_mean_and_std_agree_with_numpy(space):
    population, probes, signatures = profiled(space)
    for i in EVERYONE:
        outputs = np.concatenate(layer_outputs(population.to_module(i), probes), axis=1)
        assert np.allclose(signatures[i][:, 0], outputs.mean(axis=0), atol=1e-4)
        assert np.allclose(signatures[i][:, 1], outputs.std(axis=0), atol=1e-4)


def test_pca_agrees_with_scikit_learn_in_float64(space):
    population, probes, signatures = profiled(space)
    checked, close = 0, 0
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
    first, again = draw_probes(Config(seed=1), space), draw_probes(Config(seed=2), space)
    assert np.array_equal(first.tokens, again.tokens)
    other = draw_probes(Config(signature=SignatureConfig(probe_seed=5)), space)
    assert not np.array_equal(first.tokens, other.tokens)
