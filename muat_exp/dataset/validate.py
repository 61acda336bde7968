"""Checks a dataset as a sceptic would: files, examples (see `checks`), and what is said of all of them together."""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from muat_exp.config import SPLITS, Config
from muat_exp.dataset.card import render_card
from muat_exp.dataset.checks import Checked, check_examples
from muat_exp.dataset.checksums import differences
from muat_exp.dataset.faults import Faults
from muat_exp.dataset.foreign import check_foreign
from muat_exp.dataset.parquet import open_parquet
from muat_exp.dataset.reading import read_config, read_summary
from muat_exp.dataset.records import subject_schema
from muat_exp.dataset.rendering import Renderer, prompt_schema
from muat_exp.dataset.splits import assign_splits
from muat_exp.dataset.store import SCORES, Means, Written
from muat_exp.dataset.tokens import LLAMA3, TokenStatistics
from muat_exp.engine import Workers
from muat_exp.errors import DatasetError
from muat_exp.measurement import Task
from muat_exp.progress import Reporter, Silent
from muat_exp.signature import given_probes

BATCH = 200  # examples checked at a time by one worker


def count_examples(folder: Path) -> int:
    """Examples of a dataset, as far as its Parquet files can be read."""
    count = 0
    for path in sorted((folder / "subjects").glob("*.parquet")):
        with suppress(OSError, pa.ArrowException):
            count += pq.read_metadata(path).num_rows
    return count


def validate(folder: Path, workers: Workers, reporter: Reporter | None = None) -> list[str]:
    """All faults of a dataset folder, as sentences; none where it is sound.

    A dataset without a `config.yaml`, made elsewhere with the published fields only, is checked as far as they go.

    Raises:
        DatasetError: the folder does not hold a dataset that could be checked.
    """
    faults, reporter = Faults(), reporter or Silent()
    if not (folder / "config.yaml").is_file():
        check_foreign(folder, workers, faults)
        return faults.sentences()
    config = read_config(folder)
    check_files(folder, faults)
    task, renderer = build_task(folder, config, faults), Renderer(config_for_rendering(config))
    tally = Tally(config)
    pairs = workers.stream(
        lambda batch: (batch[0], check_examples(task, renderer, *batch[1:])), batches(folder, config, faults)
    )
    for split, checked in pairs:
        tally.add(split, checked, faults)
        reporter.update(tally.means.count, 0, 0.0)
    tally.check(folder, renderer, faults)
    return faults.sentences()


def config_for_rendering(config: Config) -> Config:
    """The configuration, but for a tokenizer of its own, which a dataset names without holding it."""
    known = config.dataset.tokenizer in (LLAMA3, "none")
    return config if known else replace(config, dataset=replace(config.dataset, tokenizer="none"))


def build_task(folder: Path, config: Config, faults: Faults) -> Task:
    """What the configuration fixes; probes that were drawn are drawn again and compared, given ones are read."""
    task, path = Task.build(config, given_probes(folder, config)), folder / "probe_set.json"
    if path.is_file() and path.read_bytes() != task.probes.to_json(config):
        faults.add("probes", "probe_set.json does not hold the probes that the configuration gives.")
    return task


def check_files(folder: Path, faults: Faults) -> None:
    """Every file has the checksum that was noted when it was written, and no file is missing or new."""
    for sentence in differences(folder):
        faults.add("checksums", sentence)


def batches(folder: Path, config: Config, faults: Faults) -> Iterator[tuple[str, pa.Table, pa.Table]]:
    """Split and tables of both configurations with the same examples, up to `BATCH` at a time.

    Raises:
        DatasetError: a file can't be read.
    """
    schemas = {"subjects": subject_schema(config), "prompts": prompt_schema(config)}
    for path in sorted((folder / "subjects").glob("*.parquet")):
        files = {part: open_parquet(folder / part / path.name) for part in schemas}
        wrong = [part for part, schema in schemas.items() if not files[part].schema_arrow.equals(schema)]
        for part in wrong:
            faults.add("schema", f"{path.name}: the columns of {part} are not those of the configuration.")
        if wrong:
            continue
        try:
            for one, other in zip(*(files[part].iter_batches(BATCH) for part in schemas), strict=True):
                yield path.name.partition("-")[0], pa.Table.from_batches([one]), pa.Table.from_batches([other])
        except (OSError, pa.ArrowException, ValueError) as error:
            raise DatasetError(f"{folder.name}: {path.name} can't be read: {error}") from error


class Tally:
    """What is known of all examples together."""

    def __init__(self, config: Config) -> None:
        self.config, self.means = config, Means(SCORES)
        self.seen: dict[bytes, int] = {}
        self.ids: dict[str, list[NDArray[np.int64]]] = {}
        self.targets: dict[str, list[str]] = {}
        self.tokens = {task: TokenStatistics() for task in config.dataset.tasks}

    def add(self, split: str, checked: Checked, faults: Faults) -> None:
        """Takes in some examples; no two subjects may have the same weights."""
        faults.extend(checked.faults)
        ids = checked.records["example_id"].to_numpy()
        for example, digest in zip(ids, checked.digests, strict=True):
            if digest in self.seen:
                faults.add("weights", f"example {example}: its weights are those of example {self.seen[digest]}.")
            self.seen[digest] = int(example)
        self.ids.setdefault(split, []).append(ids)
        self.targets.setdefault(split, []).extend(checked.records["target_pattern"].to_pylist())
        self.means.add(checked.records)
        for task, counts in checked.tokens.items():
            self.tokens[task].add(counts)

    def check(self, folder: Path, renderer: Renderer, faults: Faults) -> None:
        """Numbers, splits and balance are right, and the summary and the card say of them what they are."""
        ids = {split: np.concatenate(parts) for split, parts in self.ids.items()}
        self.check_ids(ids, faults)
        self.check_balance(faults)
        if not faults.found.keys() & {"ids", "schema", "specification"}:
            self.check_splits(ids, faults)
        self.check_summary(folder, renderer, faults)

    def check_ids(self, ids: dict[str, NDArray[np.int64]], faults: Faults) -> None:
        """Example numbers are unique, and ascending in each split; there are as many as were asked for."""
        everything = np.concatenate([*ids.values(), np.empty(0, np.int64)])
        if len(everything) != len(np.unique(everything)):
            faults.add("ids", "an example_id occurs more than once.")
        for split, own in ids.items():
            if (np.diff(own) < 0).any():
                faults.add("ids", f"the examples of {split} are not in the order of their numbers.")
        if self.config.dataset.on_shortfall == "error" and len(everything) != self.config.dataset.num_examples:
            asked = self.config.dataset.num_examples
            faults.add("ids", f"there are {len(everything)} examples; the configuration asks for {asked}.")

    def check_balance(self, faults: Faults) -> None:
        """With `dataset.balance`, patterns differ by one example at most."""
        found = Counter(name for names in self.targets.values() for name in names)
        counts = [found[name] for name in self.config.patterns.enabled]
        balanced = self.config.dataset.balance and self.config.dataset.on_shortfall == "error"
        if balanced and max(counts) - min(counts) > 1:
            faults.add("balance", f"the patterns are not balanced: {dict(found)}.")

    def check_splits(self, ids: dict[str, NDArray[np.int64]], faults: Faults) -> None:
        """Every example is in the split that its rank in its pattern gives it."""
        names = np.array([name for split in ids for name in self.targets[split]], object)
        numbers = np.concatenate([*ids.values(), np.empty(0, np.int64)])
        here = np.concatenate([np.full(len(own), SPLITS.index(split)) for split, own in ids.items()] or [numbers])
        order = np.argsort(numbers)
        targets = np.array([self.config.patterns.enabled.index(name) for name in names[order]], np.int64)
        wrong = assign_splits(self.config, targets) != here[order]
        faults.compare("splits", numbers[order], wrong, "it is not in the split that it belongs to.")

    def check_summary(self, folder: Path, renderer: Renderer, faults: Faults) -> None:
        """The figures of `summary.json` are the data's, and the card is a rendering of them."""
        try:
            summary = read_summary(folder)
        except DatasetError as error:
            faults.add("summary", str(error))
            return
        written = {split: len(names) for split, names in self.targets.items()}
        splits = {split: written[split] for split in SPLITS if split in written}
        for fault in self.wrong_figures(summary, splits):
            faults.add("summary", f"summary.json: {fault}")
        if "summary" not in faults.found:
            tokens = self.tokens if renderer.counter else {}
            name = renderer.counter.name if renderer.counter else ""
            try:
                expected = render_card(self.config, summary, Written(splits, tokens, name), summary["origin"])
            except (KeyError, TypeError, ValueError, AttributeError):  # data from anywhere
                faults.add("summary", "summary.json lacks figures that a card is made of, or they are no numbers.")
            else:
                check_card(folder, expected, bool(tokens), faults)

    def wrong_figures(self, summary: dict[str, Any], splits: dict[str, int]) -> Iterator[str]:
        """A sentence for each figure of a summary that is not the data's."""
        found = Counter(name for names in self.targets.values() for name in names)
        expected: dict[str, Any] = {"accepted": found.total(), "splits": splits}
        expected |= {f"accuracy.{key}": value for key, value in self.means.overall().items()}
        for name in self.config.patterns.enabled:
            expected[f"patterns.{name}.accepted"] = found[name]
            expected |= {f"patterns.{name}.{key}": value for key, value in self.means.by_pattern(name).items()}
        for place, value in expected.items():
            said: Any = summary
            for key in place.split("."):
                said = said.get(key) if isinstance(said, dict) else None
            close = isinstance(said, float) and isinstance(value, float) and abs(said - value) < 1e-9
            if said != value and not close:
                yield f"{place} is {said}, but the data give {value}."


def check_card(folder: Path, expected: str, with_tokens: bool, faults: Faults) -> None:
    """The card is what the figures make of it; without a tokenizer its token counts are left alone."""
    path = folder / "README.md"
    card = path.read_text("utf-8", "replace") if path.is_file() else ""
    if not with_tokens:
        card, expected = (re.sub(r"\n## Token counts\n.*?(?=\n## )", "", text, flags=re.DOTALL) for text in (card, expected))
    lines = {line for line in card.splitlines()}
    for line in expected.splitlines():
        if line not in lines:
            faults.add("card", f"README.md does not have the line that the data give: {line[:120]}")
    if not faults.found.get("card") and card != expected:
        faults.add("card", "README.md has lines that the data do not give.")
