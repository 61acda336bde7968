"""The rules of the stages, on both engines."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import pytorch_lightning as pl
from conftest import small_config
from numpy.typing import NDArray
from pytorch_lightning.loggers import CSVLogger

from muat_exp.config.groups import DatasetConfig, RealRange, StageConfig, TrainingConfig
from muat_exp.evaluation.measurement import RunContext, extract_signatures
from muat_exp.executors.serial import SerialExecutor
from muat_exp.generation.callbacks import SignatureExtraction
from muat_exp.generation.cohort import run_cohort
from muat_exp.generation.outcomes import REASONS
from muat_exp.generation.pipeline import generate
from muat_exp.generation.run_folder import load_run_config
from muat_exp.subjects.initialization import draw_population
from muat_exp.training.engines.base import stage_problem
from muat_exp.training.engines.compiled import CompiledEngine

PUBLISHED = TrainingConfig(
    recipe="published", init="default", standardize=False, learning_rate=RealRange(0.01, 0.1),
    degraded=StageConfig(5, 3), clean=StageConfig(10, 3), min_test_accuracy=0.0,
)  # fmt: skip


def test_a_subject_switches_at_the_first_epoch_that_is_better_by_the_threshold(workers):
    config = small_config()
    result = run_cohort(RunContext.build(config), np.arange(28), workers, [])
    problem = stage_problem(
        config, result.specs, result.data, draw_population(config, result.specs), 0
    )
    engine, history = CompiledEngine(problem, workers), []
    for epoch in range(config.training.degraded.max_epochs):
        engine.train_epoch(np.arange(28), epoch)
        history.append(engine.evaluate(np.arange(28))[0])
    drop = history[0] - np.array(history)  # (epochs, subjects)
    for s in range(28):
        reached = np.flatnonzero(drop[:, s] >= config.training.switch_threshold)
        waited = np.array(
            [e - np.argmin(np.array(history)[: e + 1, s]) for e in range(len(history))]
        )
        stopped = np.flatnonzero(waited >= config.training.degraded.patience)
        limit = stopped[0] if len(stopped) else len(history)
        expected = reached[0] + 1 if len(reached) and reached[0] <= limit else 0
        assert result.switch_epoch[s] == expected
        assert (result.outcomes[s] == "never_learned") == (expected == 0)


def test_engines_agree_on_all_but_a_few_subjects(workers):
    config = small_config(
        training=replace(TrainingConfig(), degraded=StageConfig(8, 8), clean=StageConfig(4, 4))
    )
    indices = np.arange(42)
    ours = run_cohort(RunContext.build(config), indices, workers, [])
    reference = run_cohort(RunContext.build(replace(config, engine="torch")), indices, workers, [])
    apart = (ours.switch_epoch != reference.switch_epoch) | (ours.outcomes != reference.outcomes)
    assert apart.sum() <= 4
    assert np.median(np.abs(ours.degraded_accuracy - reference.degraded_accuracy)[~apart]) == 0
    assert np.abs(ours.improved_accuracy - reference.improved_accuracy)[~apart].mean() < 0.02


def test_plateau_trains_longer_than_the_switch(workers):
    switch = run_cohort(RunContext.build(small_config()), np.arange(28), workers, [])
    config = small_config(training=TrainingConfig(until="plateau", min_improvement=-1.0))
    plateau = run_cohort(RunContext.build(config), np.arange(28), workers, [])
    assert plateau.switch_epoch.mean() > switch.switch_epoch.mean()
    assert plateau.degraded_accuracy.mean() > switch.degraded_accuracy[switch.accepted].mean()


def test_the_published_recipe_accepts_about_a_third_and_the_robust_one_most(workers):
    shares = []
    for recipe in (PUBLISHED, replace(TrainingConfig(), min_test_accuracy=0.0)):
        config = replace(
            small_config(training=recipe), architecture=type(small_config().architecture)()
        )
        result = run_cohort(RunContext.build(config), np.arange(280), workers, [])
        assert set(Counter(result.outcomes)) <= {"accepted", *REASONS}
        shares.append(len(result.accepted) / 280)
    assert 0.15 < shares[0] < 0.55
    assert 0.7 < shares[1] < 0.9


@pytest.mark.filterwarnings("ignore:overflow")
def test_subjects_that_blow_up_are_rejected_as_diverged(workers):
    recipe = replace(PUBLISHED, learning_rate=RealRange(1e12, 1e13))
    result = run_cohort(RunContext.build(small_config(training=recipe)), np.arange(14), workers, [])
    assert "diverged" in set(result.outcomes)
    assert "accepted" not in set(result.outcomes)


def test_accepted_subjects_pass_every_gate(workers):
    config = small_config()
    result = run_cohort(RunContext.build(config), np.arange(140), workers, [])
    improvement = (result.improved_accuracy - result.degraded_accuracy)[result.accepted]
    assert (improvement >= config.training.min_improvement - 1e-9).all()
    assert (result.test_accuracy[result.accepted, 1] >= config.training.min_test_accuracy).all()
    responses = result.behaviour.responses
    assert len(responses) == len(result.accepted)
    assert ((responses >= 0) & (responses <= 1)).all()


class Recorder(pl.Callback):
    """Notes what a callback of a user finds at the end of each stage."""

    def __init__(self):
        self.stages: list[tuple[str, NDArray[np.float64]]] = []
        self.accepted: NDArray[np.int64] | None = None

    def on_fit_end(self, trainer, cohort):
        self.stages.append((cohort.stage_name, cohort.result.accuracy))
        if cohort.stage_name == "clean":
            self.accepted = cohort.accepted


def test_signatures_are_those_of_the_subjects_that_the_judge_accepted(workers):
    config = small_config(dataset=DatasetConfig(columns=("degraded_signature",)))
    context = RunContext.build(config)
    recorder = Recorder()
    result = run_cohort(context, np.arange(28), workers, [], [recorder])
    assert recorder.accepted is not None
    assert np.array_equal(recorder.accepted, result.accepted)
    assert np.array_equal(recorder.stages[1][1], result.improved_accuracy)
    for population, signatures in (
        (result.improved, result.signatures),
        (result.degraded, result.degraded_signatures),
    ):
        again, offsets = extract_signatures(context, population, result.accepted, SerialExecutor())
        assert np.array_equal(signatures, again)
        assert np.array_equal(result.signature_offsets, offsets)


def test_signatures_are_extracted_by_a_callback_of_the_clean_stage(workers, monkeypatch):
    stages = []
    on_fit_end = SignatureExtraction.on_fit_end

    def noted(self, trainer, cohort):
        assert isinstance(trainer, pl.Trainer)
        stages.append(cohort.stage_name)
        on_fit_end(self, trainer, cohort)

    monkeypatch.setattr(SignatureExtraction, "on_fit_end", noted)
    run_cohort(RunContext.build(small_config()), np.arange(14), workers, [])
    assert stages == ["clean"]


def test_a_cohort_in_which_nobody_learns_is_judged_all_the_same(workers):
    config = small_config(training=replace(TrainingConfig(), switch_threshold=50.0))
    result = run_cohort(RunContext.build(config), np.arange(14), workers, [])
    assert set(result.outcomes) == {"never_learned"}
    assert (len(result.signatures), result.signature_offsets.tolist()) == (0, [0])


def test_loggers_and_callbacks_of_a_user_see_every_cohort_and_change_nothing(run, tmp_path):
    recorders = {}

    def callbacks(cohort):
        recorders[cohort] = Recorder()
        return [recorders[cohort]]

    def loggers(cohort):
        return [CSVLogger(tmp_path / "csv", version=cohort)]

    config = replace(load_run_config(run.folder), cohort_size=30)
    result = generate(config, tmp_path / "out", None, loggers, callbacks)
    assert sorted(recorders) == list(range(len(recorders)))
    assert all(
        [stage for stage, _ in recorder.stages] == ["degraded", "clean"]
        for recorder in recorders.values()
    )
    assert result.summary["accuracy"] == run.summary["accuracy"]
    assert (
        "clean/validation_accuracy_mean"
        in next((tmp_path / "csv").rglob("metrics.csv")).read_text()
    )
