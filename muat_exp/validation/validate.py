"""Checks a dataset as a sceptic would: its files, each example, and what is said of them all."""

from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from muat_exp.config.groups import Config
from muat_exp.dataset.faults import Faults
from muat_exp.dataset.parquet import shards
from muat_exp.dataset.reading import read_config
from muat_exp.evaluation.measurement import RunContext
from muat_exp.executors.budget import Budget
from muat_exp.executors.threads import ThreadExecutor
from muat_exp.generation.pipeline import ensure_compiled
from muat_exp.progress import Reporter, Silent
from muat_exp.prompts.rendering import Renderer
from muat_exp.prompts.tokens import LLAMA3, NONE
from muat_exp.signatures.probe_set import given_probes
from muat_exp.validation.examples import Checked, check_examples
from muat_exp.validation.files import Batch, batches, check_files
from muat_exp.validation.published_format import check_published_format
from muat_exp.validation.statements import check_statements
from muat_exp.validation.tally import Tally

# Kinds of faults with which the splits are not checked: they follow from the examples, all of them.
_BEFORE_SPLITS = {"ids", "files", "schema", "specification"}


def count_examples(folder: Path) -> int:
    """Examples of a dataset, as far as its Parquet files can be read."""
    count = 0
    for path in shards(folder, "subjects"):
        with suppress(OSError, pa.ArrowException):
            count += pq.read_metadata(path).num_rows
    return count


def validate(folder: Path, workers: ThreadExecutor, reporter: Reporter | None = None) -> list[str]:
    """All faults of a dataset folder, as sentences; none where it is sound.

    A dataset without a `config.yaml`, made elsewhere with the published fields only, is checked as
    far as they go.

    Raises:
        DatasetError: the folder does not hold a dataset that could be checked.
    """
    faults = Faults()
    reporter = reporter or Silent()
    if (folder / "config.yaml").is_file():
        _check_own_format(folder, workers, reporter, faults)
    else:
        check_published_format(folder, workers, faults)
    return faults.sentences()


def _check_own_format(
    folder: Path, workers: ThreadExecutor, reporter: Reporter, faults: Faults
) -> None:
    """Checks a dataset of this program."""
    config = read_config(folder)
    check_files(folder, faults)
    ensure_compiled(reporter.note)
    context = _build_context(folder, config, faults)
    renderer = Renderer(_config_for_rendering(config))
    check = partial(_check_batch, context, renderer)
    tally = Tally(config)
    pairs = batches(folder, config, faults)
    for split, checked in workers.stream(check, pairs, Budget(config).checks):
        tally.add(split, checked, faults)
        reporter.update(tally.count, 0, 0.0)
    tally.check_ids(faults)
    if not faults.found.keys() & _BEFORE_SPLITS:
        tally.check_splits(faults)
    check_statements(folder, tally, renderer, faults)


def _check_batch(context: RunContext, renderer: Renderer, batch: Batch) -> tuple[str, Checked]:
    """The split of some examples, and what was found of them."""
    return batch.split, check_examples(context, renderer, batch.subjects, batch.prompts)


def _config_for_rendering(config: Config) -> Config:
    """The configuration, but for a tokenizer's file, which a dataset names without holding it."""
    if config.dataset.tokenizer in (LLAMA3, NONE):
        return config
    return replace(config, dataset=replace(config.dataset, tokenizer=NONE))


def _build_context(folder: Path, config: Config, faults: Faults) -> RunContext:
    """What the configuration fixes.

    Probes that were drawn are drawn again and compared, given ones are read.
    """
    context = RunContext.build(config, given_probes(folder, config))
    path = folder / "probe_set.json"
    if not path.is_file() or path.read_bytes() != context.probes.to_json(config):
        faults.add(
            "probes", "probe_set.json does not hold the probes that the configuration gives."
        )
    return context
