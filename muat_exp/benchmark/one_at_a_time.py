"""What most people would write: one subject after another.

Each is trained in a plain PyTorch loop, or by one Lightning fit per stage.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from muat_exp.config.groups import Config, StageConfig

if TYPE_CHECKING:
    import torch
    from torch import nn
    from torch.utils.data import DataLoader

    from muat_exp.evaluation.measurement import RunContext
    from muat_exp.subjects.data import SubjectData
    from muat_exp.subjects.specs import Specs

_Rows = tuple["torch.Tensor", "torch.Tensor"]  # float32 (rows, L) and (rows,): inputs and labels
_Loader: TypeAlias = "DataLoader[tuple[torch.Tensor, ...]]"  # of inputs and labels
_Loaders: TypeAlias = "tuple[_Loader, _Loader]"  # of training and of validation data
_Sides = tuple[NDArray[np.uint8], NDArray[np.uint8]]  # positive and negative sequences (rows, L)
_State = dict[str, "torch.Tensor"]
_Stage: TypeAlias = "Callable[[nn.Module, _Loaders, float, int, _Rules], _State]"
_Inputs = Callable[[NDArray[np.uint8]], "torch.Tensor"]  # tokens as the network reads them


@dataclass
class _Rules:
    """The stage rules for one subject, told of each epoch: `done` ends the stage."""

    threshold: float | None
    patience: int
    first: float = np.nan
    best: float = np.inf
    waited: int = 0
    switched: bool = False

    def done(self, loss: float) -> bool:
        """Takes an epoch's validation loss."""
        if np.isnan(self.first):
            self.first = loss
        if loss < self.best:
            self.best = loss
            self.waited = 0
        else:
            self.waited += 1
        fallen = self.first - loss
        self.switched = self.threshold is not None and fallen >= self.threshold
        return self.switched or self.waited >= self.patience


def _validate(module: nn.Module, loader: _Loader) -> _Rows:
    """Logits and labels of all validation rows."""
    import torch

    logits = []
    labels = []
    with torch.no_grad():
        for x, y in loader:
            logits.append(module(x).squeeze(-1))
            labels.append(y)
    return torch.cat(logits), torch.cat(labels)


def _accuracy(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """The share of rows that are called right."""
    right = (logits > 0) == (labels > 0.5)
    return float(right.float().mean())


def _copied_state(module: nn.Module) -> _State:
    """The weights of a network as they are."""
    state = module.state_dict()
    return {name: value.clone() for name, value in state.items()}


def _plain_stage(
    module: nn.Module, loaders: _Loaders, rate: float, epochs: int, rules: _Rules
) -> _State:
    """One stage as most people write it; returns the state with the best validation accuracy.

    Args:
        module: the network; it is left as the last epoch has it.
        loaders: of training and of validation data.
        rate: learning rate.
        epochs: at most so many.
        rules: say when to stop.
    """
    import torch

    loss_function = torch.nn.BCEWithLogitsLoss()
    optimizer = torch.optim.Adam(module.parameters(), lr=rate)
    training, validation = loaders
    best: _State = {}
    best_accuracy = -1.0
    for _ in range(epochs):
        for x, y in training:
            optimizer.zero_grad()
            loss = loss_function(module(x).squeeze(-1), y)
            loss.backward()
            optimizer.step()
        logits, labels = _validate(module, validation)
        accuracy = _accuracy(logits, labels)
        if accuracy > best_accuracy:
            best = _copied_state(module)
            best_accuracy = accuracy
        validation_loss = float(loss_function(logits, labels))
        if rules.done(validation_loss):
            break
    return best


def _lightning_stage(
    module: nn.Module, loaders: _Loaders, rate: float, epochs: int, rules: _Rules
) -> _State:
    """The same stage as one Lightning fit."""
    import pytorch_lightning as pl
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits

    class Lit(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.module = module
            self.best_accuracy = -1.0
            self.best: _State = {}

        def training_step(self, batch: _Rows, index: int) -> torch.Tensor:
            x, y = batch
            logits = self.module(x).squeeze(-1)
            return binary_cross_entropy_with_logits(logits, y)

        def validation_step(self, batch: _Rows, index: int) -> None:
            x, y = batch
            logits = self.module(x).squeeze(-1)
            accuracy = _accuracy(logits, y)
            if accuracy > self.best_accuracy:
                self.best = _copied_state(self.module)
                self.best_accuracy = accuracy
            loss = float(binary_cross_entropy_with_logits(logits, y))
            if rules.done(loss):
                self.trainer.should_stop = True

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.module.parameters(), lr=rate)

    lit = Lit()
    trainer = pl.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        devices=1,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        logger=False,
    )
    trainer.fit(lit, *loaders)
    return lit.best


STAGES: dict[str, _Stage] = {"plain": _plain_stage, "lightning": _lightning_stage}


def one_at_a_time(config: Config, count: int, stage: _Stage) -> None:
    """Attempts 0 to `count` - 1 by loops over single subjects, then one Parquet file.

    Each attempt goes from its data to its prompt.
    """
    import torch

    from muat_exp.evaluation.measurement import RunContext
    from muat_exp.subjects.data import draw_data
    from muat_exp.subjects.initialization import draw_population
    from muat_exp.subjects.specs import draw_specs

    torch.set_num_threads(1)
    context = RunContext.build(config)
    inputs = _scaled_inputs(config)
    prompts = []
    for index in range(count):
        specs = draw_specs(config, np.array([index]))
        data = draw_data(config, context.space, specs)
        module = draw_population(config, specs).to_module(0)
        states = _train_one(config, specs, data, module, inputs, stage)
        if states:
            with torch.no_grad():
                prompts.append(_describe_one(context, specs, data, module, states, inputs))
    _write([prompt for prompt in prompts if prompt])


def _scaled_inputs(config: Config) -> _Inputs:
    """Turns tokens into a network's inputs."""
    import torch

    from muat_exp.training.engines.base import input_scaling

    shift, scale = (np.float32(value) for value in input_scaling(config))

    def inputs(tokens: NDArray[np.uint8]) -> torch.Tensor:
        values = tokens.astype(np.float32)
        return torch.from_numpy((values - shift) * scale)

    return inputs


def _train_one(
    config: Config,
    specs: Specs,
    data: SubjectData,
    module: nn.Module,
    inputs: _Inputs,
    stage: _Stage,
) -> tuple[_State, _State] | None:
    """Both stages of one subject.

    Returns:
        The degraded and the improved state; None where the degraded stage was not passed.
    """
    import torch

    recipe = config.training
    x = inputs(data.tokens[0])
    rows = data.training_rows
    corrupted = torch.from_numpy(data.corrupted[0])
    clean = torch.from_numpy(data.labels)
    held_out = (x[rows:], clean[rows:])

    def train(settings: StageConfig, labels: torch.Tensor, rules: _Rules) -> _State:
        loaders = _loaders((x[:rows], labels), held_out, recipe.batch_size)
        rate = float(specs.rates[0]) * settings.learning_rate_factor
        return stage(module, loaders, rate, settings.max_epochs, rules)

    rules = _Rules(recipe.switch_threshold, recipe.degraded.patience)
    train(recipe.degraded, corrupted, rules)
    if not rules.switched:
        return None
    degraded = _copied_state(module)  # as the switch found it
    never_switching = _Rules(None, recipe.clean.patience)
    improved = train(recipe.clean, clean[:rows], never_switching)
    return degraded, improved


def _loaders(training: _Rows, held_out: _Rows, batch_size: int) -> _Loaders:
    """DataLoaders of training and of validation rows."""
    from torch.utils.data import DataLoader, TensorDataset

    shuffled = DataLoader(TensorDataset(*training), batch_size, shuffle=True)
    in_order = DataLoader(TensorDataset(*held_out), 64)
    return shuffled, in_order


def _describe_one(
    context: RunContext,
    specs: Specs,
    data: SubjectData,
    module: nn.Module,
    states: tuple[_State, _State],
    inputs: _Inputs,
) -> str | None:
    """A trained subject's tests, responses, signature and prompt, as JSON text.

    None where the test gate rejects it.
    """
    from muat_exp.evaluation.truth import SampledTruth

    sides = _test_sides(context, specs, data)
    scores = [_balanced_accuracy(module, state, sides, inputs) for state in states]
    if scores[1] < context.config.training.min_test_accuracy:
        return None
    if isinstance(context.truth, SampledTruth):
        _share_positive(module, inputs(context.truth.members))  # taken for its time
    probes = inputs(context.probes.tokens)
    signature = _signature(module, probes, context.config.signature.components)
    state = module.state_dict()
    weights = {name: value.tolist() for name, value in state.items()}
    content = {"weights": weights, "signature": signature, "scores": scores}
    return json.dumps(content, indent=2)


def _test_sides(context: RunContext, specs: Specs, data: SubjectData) -> _Sides:
    """Fresh sequences that the subject should call positive, and others."""
    from muat_exp.kernels import random
    from muat_exp.kernels.data import draw_tests

    config = context.config
    key = random.generator_keys(config.seed, specs.indices, random.TESTS)[0]
    count = config.training.test_examples
    positives, negatives = draw_tests(
        context.space, specs.selected[0], specs.targets[0], key, data.tokens[0], count
    )
    return positives, negatives


def _balanced_accuracy(module: nn.Module, state: _State, sides: _Sides, inputs: _Inputs) -> float:
    """The mean of the shares that are called right on both sides, with these weights."""
    module.load_state_dict(state)
    positives, negatives = sides
    hits = _share_positive(module, inputs(positives))
    alarms = _share_positive(module, inputs(negatives))
    return (hits + 1 - alarms) / 2


def _share_positive(module: nn.Module, x: torch.Tensor) -> float:
    """The share of rows that a network calls positive."""
    logits = module(x)
    return float((logits > 0).float().mean())


def _signature(module: nn.Module, h: torch.Tensor, components: int) -> list[Any]:
    """The PCA loadings of each layer's neurons, by scikit-learn; `h` are the probes `(rows, L)`."""
    import torch
    from sklearn.decomposition import PCA

    loadings = []
    for layer in module.children():
        h = layer(h)
        if isinstance(layer, torch.nn.Linear):
            count = min(components, h.shape[1])
            pca = PCA(count).fit(h.double().numpy())
            loadings.append(pca.components_.T.tolist())
    return loadings


def _write(prompts: list[str]) -> None:
    """Writes the prompts to a Parquet file, which is then removed."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"prompt": prompts})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train.parquet"
        pq.write_table(table, path, compression="zstd", compression_level=1)
