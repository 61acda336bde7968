"""What most people would write: one subject after another, in a plain PyTorch loop or by one Lightning fit a stage."""

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from muat_exp.config.groups import Config


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
        self.first = loss if np.isnan(self.first) else self.first
        self.waited = 0 if loss < self.best else self.waited + 1
        self.best = min(self.best, loss)
        self.switched = self.threshold is not None and self.first - loss >= self.threshold
        return self.switched or self.waited >= self.patience


def _plain_stage(
    module: Any, loaders: tuple[Any, Any], rate: float, epochs: int, rules: _Rules
) -> Any:
    """One stage as most people write it; returns the state with the best validation accuracy."""
    import torch

    loss_function = torch.nn.BCEWithLogitsLoss()
    optimizer = torch.optim.Adam(module.parameters(), lr=rate)
    best = None
    best_accuracy = -1.0
    for _ in range(epochs):
        for x, y in loaders[0]:
            optimizer.zero_grad()
            loss_function(module(x).squeeze(-1), y).backward()
            optimizer.step()
        with torch.no_grad():
            outputs = [(module(x).squeeze(-1), y) for x, y in loaders[1]]
        logits, labels = (torch.cat(parts) for parts in zip(*outputs, strict=True))
        accuracy = float(((logits > 0) == (labels > 0.5)).float().mean())
        if accuracy > best_accuracy:
            best = {name: value.clone() for name, value in module.state_dict().items()}
            best_accuracy = accuracy
        if rules.done(float(loss_function(logits, labels))):
            break
    return best


def _lightning_stage(
    module: Any, loaders: tuple[Any, Any], rate: float, epochs: int, rules: _Rules
) -> Any:
    """The same stage as one Lightning fit."""
    import pytorch_lightning as pl
    import torch

    class Lit(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.module = module
            self.best_accuracy = -1.0
            self.best: Any = None

        def training_step(self, batch: Any, index: int) -> Any:
            return torch.nn.functional.binary_cross_entropy_with_logits(
                self.module(batch[0]).squeeze(-1), batch[1]
            )

        def validation_step(self, batch: Any, index: int) -> None:
            logits = self.module(batch[0]).squeeze(-1)
            accuracy = float(((logits > 0) == (batch[1] > 0.5)).float().mean())
            if accuracy > self.best_accuracy:
                self.best = {k: v.clone() for k, v in self.module.state_dict().items()}
                self.best_accuracy = accuracy
            if rules.done(
                float(torch.nn.functional.binary_cross_entropy_with_logits(logits, batch[1]))
            ):
                self.trainer.should_stop = True

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.module.parameters(), lr=rate)

    disabled = ("enable_progress_bar", "enable_model_summary", "enable_checkpointing", "logger")
    quiet: dict[str, Any] = dict.fromkeys(disabled, False)
    lit = Lit()
    trainer = pl.Trainer(
        max_epochs=epochs, accelerator="cpu", devices=1, num_sanity_val_steps=0, **quiet
    )
    trainer.fit(lit, *loaders)
    return lit.best


def _train_one(
    config: Config, specs: Any, data: Any, module: Any, inputs: Callable[..., Any], stage: Any
) -> Any:
    """Both stages of one subject: the degraded and the improved state, or None where a stage was not passed."""
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    recipe = config.training
    x = inputs(data.tokens[0])
    labels = [
        torch.from_numpy(data.corrupted[0]),
        torch.from_numpy(data.labels[: data.training_rows]),
    ]
    held_out = TensorDataset(
        x[data.training_rows :], torch.from_numpy(data.labels[data.training_rows :])
    )
    states = []
    for number, (name, y) in enumerate(zip(("degraded", "clean"), labels, strict=True)):
        settings = getattr(recipe, name)
        training = DataLoader(
            TensorDataset(x[: data.training_rows], y), recipe.batch_size, shuffle=True
        )
        rules = _Rules(recipe.switch_threshold if number == 0 else None, settings.patience)
        rate = float(specs.rates[0]) * settings.learning_rate_factor
        best = stage(module, (training, DataLoader(held_out, 64)), rate, settings.max_epochs, rules)
        if number == 0 and not rules.switched:
            return None
        states.append(
            best if number else {key: value.clone() for key, value in module.state_dict().items()}
        )
    return states


def _describe_one(
    task: Any, specs: Any, data: Any, module: Any, states: Any, inputs: Callable[..., Any]
) -> str | None:
    """A trained subject's tests, responses, signature and prompt, as JSON text; None where the test gate rejects it."""
    import torch
    from sklearn.decomposition import PCA

    from muat_exp.kernels import random
    from muat_exp.kernels.data import draw_tests

    config = task.config
    key = random.generator_keys(config.seed, specs.indices, random.TESTS)[0]
    sides = draw_tests(
        task.space,
        specs.selected[0],
        specs.targets[0],
        key,
        data.tokens[0],
        config.training.test_examples,
    )
    scores = []
    for state in states:
        module.load_state_dict(state)
        right = [
            float(((module(inputs(rows)) > 0) == positive).float().mean())
            for rows, positive in zip(sides, (1, 0), strict=True)
        ]
        scores.append(sum(right) / 2)
    if scores[1] < config.training.min_test_accuracy:
        return None
    (module(inputs(task.responses)) > 0).float().mean()
    h = inputs(task.probes.tokens)
    signature = []
    for layer in module:
        h = layer(h)
        if isinstance(layer, torch.nn.Linear):
            components = min(config.signature.components, h.shape[1])
            signature.append(PCA(components).fit(h.double().numpy()).components_.T.tolist())
    weights = {key: value.tolist() for key, value in module.state_dict().items()}
    return json.dumps({"weights": weights, "signature": signature, "scores": scores}, indent=2)


def one_at_a_time(config: Config, count: int, stage: Callable[..., Any]) -> None:
    """Attempts 0 to `count` - 1, each from its data to its prompt, by loops over single subjects; then one Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    import torch

    from muat_exp.evaluation.measurement import RunContext
    from muat_exp.subjects.data import draw_data
    from muat_exp.subjects.initialization import draw_population
    from muat_exp.subjects.specs import draw_specs
    from muat_exp.training.engines.base import input_scaling

    torch.set_num_threads(1)
    task = RunContext.build(config)
    shift, scale = map(float, input_scaling(config))

    def inputs(tokens: Any) -> Any:
        return torch.from_numpy((tokens.astype(np.float32) - np.float32(shift)) * np.float32(scale))

    prompts = []
    for index in range(count):
        specs = draw_specs(config, np.array([index]))
        data = draw_data(config, task.space, specs)
        module = draw_population(config, specs).to_module(0)
        states = _train_one(config, specs, data, module, inputs, stage)
        if states:
            with torch.no_grad():
                prompts.append(_describe_one(task, specs, data, module, states, inputs))
    with tempfile.TemporaryDirectory() as folder:
        table = pa.table({"prompt": [prompt for prompt in prompts if prompt]})
        pq.write_table(
            table, Path(folder) / "train.parquet", compression="zstd", compression_level=1
        )


STAGES = {"plain": _plain_stage, "lightning": _lightning_stage}
