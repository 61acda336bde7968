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

from muat_exp.config.groups import SPLITS, Config
from muat_exp.config.identity import config_signature
from muat_exp.dataset.card import NOT_COUNTED, render_card
from muat_exp.dataset.checksums import differences, shards_digest
from muat_exp.dataset.parquet import open_parquet, shards
from muat_exp.dataset.reading import read_config, read_summary
from muat_exp.dataset.schema import subject_schema
from muat_exp.dataset.splits import assign_splits
from muat_exp.dataset.writing import Means, Written
from muat_exp.errors import DatasetError
from muat_exp.evaluation.measurement import RunContext
from muat_exp.executors.threads import ThreadExecutor
from muat_exp.generation.pipeline import ensure_compiled
from muat_exp.progress import Reporter, Silent
from muat_exp.prompts.rendering import Renderer, prompt_schema
from muat_exp.prompts.tokens import LLAMA3, TokenStatistics
from muat_exp.signatures.probe_set import given_probes
from muat_exp.validation.examples import Checked, batch_size, check_examples
from muat_exp.validation.faults import Faults
from muat_exp.validation.published_format import check_foreign

_SHARD = re.compile(r"(train|validation|test)-(\d{5})-of-(\d{5})\.parquet")
_TOKEN_SECTION = re.compile(r"\n## Token counts\n.*?(?=\n## )", re.DOTALL)


def count_examples(folder: Path) -> int:
    """Examples of a dataset, as far as its Parquet files can be read."""
    count = 0
    for path in shards(folder, "subjects"):
        with suppress(OSError, pa.ArrowException):
            count += pq.read_metadata(path).num_rows
    return count


def validate(folder: Path, workers: ThreadExecutor, reporter: Reporter | None = None) -> list[str]:
    """All faults of a dataset folder, as sentences; none where it is sound.

    A dataset without a `config.yaml`, made elsewhere with the published fields only, is checked as far as they go.

    Raises:
        DatasetError: the folder does not hold a dataset that could be checked.
    """
    faults = Faults()
    reporter = reporter or Silent()
    if not (folder / "config.yaml").is_file():
        check_foreign(folder, workers, faults)
        return faults.sentences()
    config = read_config(folder)
    _check_files(folder, faults)
    ensure_compiled(reporter.note)
    task = _build_task(folder, config, faults)
    renderer = Renderer(_config_for_rendering(config))
    tally = _Tally(config)
    pairs = workers.stream(
        lambda batch: (batch[0], check_examples(task, renderer, *batch[1:])),
        _batches(folder, config, faults),
    )
    for split, checked in pairs:
        tally.add(split, checked, faults)
        reporter.update(tally.means.count, 0, 0.0)
    tally.check(folder, renderer, faults)
    return faults.sentences()


def _config_for_rendering(config: Config) -> Config:
    """The configuration, but for a tokenizer of its own, which a dataset names without holding it."""
    known = config.dataset.tokenizer in (LLAMA3, "none")
    return config if known else replace(config, dataset=replace(config.dataset, tokenizer="none"))


def _build_task(folder: Path, config: Config, faults: Faults) -> RunContext:
    """What the configuration fixes; probes that were drawn are drawn again and compared, given ones are read."""
    task = RunContext.build(config, given_probes(folder, config))
    path = folder / "probe_set.json"
    if not path.is_file() or path.read_bytes() != task.probes.to_json(config):
        faults.add(
            "probes", "probe_set.json does not hold the probes that the configuration gives."
        )
    return task


def _check_files(folder: Path, faults: Faults) -> None:
    """Every file has the checksum that was noted when it was written; both configurations have the files of the same shards."""
    for sentence in differences(folder):
        faults.add("checksums", sentence)
    names = {part: {path.name for path in shards(folder, part)} for part in ("subjects", "prompts")}
    for name in sorted(names["subjects"] ^ names["prompts"]):
        part, other = (
            ("subjects", "prompts") if name in names["subjects"] else ("prompts", "subjects")
        )
        faults.add("files", f"{part}/{name} has no counterpart in {other}.")
    found: dict[tuple[str, str], set[int]] = {}
    for name in sorted(names["subjects"] | names["prompts"]):
        match = _SHARD.fullmatch(name)
        if match:
            found.setdefault((match[1], match[3]), set()).add(int(match[2]))
        else:
            faults.add(
                "files", f"{name} is no name of a shard, <split>-<number>-of-<shards>.parquet."
            )
    for (split, total), numbers in found.items():
        if numbers != set(range(int(total))):
            faults.add("files", f"{split} has {len(numbers)} of {int(total)} shards.")


def _batches(
    folder: Path, config: Config, faults: Faults
) -> Iterator[tuple[str, pa.Table, pa.Table]]:
    """Split and tables of both configurations with the same examples, some at a time; a file that can't be read is a fault."""
    schemas = {"subjects": subject_schema(config), "prompts": prompt_schema(config)}
    for path in shards(folder, "subjects"):
        match = _SHARD.fullmatch(path.name)
        if not match or not (folder / "prompts" / path.name).is_file():
            continue
        try:
            files = {part: open_parquet(folder / part / path.name) for part in schemas}
            wrong = [
                part
                for part, schema in schemas.items()
                if not files[part].schema_arrow.equals(schema)
            ]
            for part in wrong:
                faults.add(
                    "schema",
                    f"{path.name}: the columns of {part} are not those of the configuration.",
                )
            if not wrong:
                for one, other in paired(files, path.name, batch_size(config), faults):
                    yield match[1], one, other
        except (DatasetError, OSError, pa.ArrowException) as error:
            faults.add(
                "files",
                str(error)
                if isinstance(error, DatasetError)
                else f"{path.name} can't be read: {error}.",
            )


def paired(
    files: dict[str, pq.ParquetFile], name: str, size: int, faults: Faults
) -> Iterator[tuple[pa.Table, pa.Table]]:
    """Tables of the same rows of both files, as far as they have no gaps."""
    counts = [file.metadata.num_rows for file in files.values()]
    if counts[0] != counts[1]:
        faults.add("schema", f"{name}: subjects has {counts[0]} rows, prompts {counts[1]}.")
        return
    for batch in zip(*(file.iter_batches(size) for file in files.values()), strict=True):
        gaps = [
            column for table in batch for column in table.schema.names if _has_nulls(table[column])
        ]
        for column in gaps:
            faults.add("schema", f"{name}: {column} has a null.")
        if not gaps:
            yield pa.Table.from_batches([batch[0]]), pa.Table.from_batches([batch[1]])


def _has_nulls(array: pa.Array) -> bool:
    """Whether an array, or an array within it, has a null."""
    if array.null_count:
        return True
    if pa.types.is_list(array.type):
        return _has_nulls(array.flatten())
    return pa.types.is_struct(array.type) and any(_has_nulls(part) for part in array.flatten())


class _Tally:
    """What is known of all examples together."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.means = Means()
        self.seen: dict[bytes, int] = {}
        self.examples: list[tuple[int, str, str]] = []  # number, split, target pattern
        self.tokens = {task: TokenStatistics() for task in config.dataset.tasks}
        self.accepted = True  # by the rules of the run

    def add(self, split: str, checked: Checked, faults: Faults) -> None:
        """Takes in some examples; no two subjects may have the same weights."""
        faults.extend(checked.faults)
        ids, targets = (
            checked.records[name].to_pylist() for name in ("example_id", "target_pattern")
        )
        for example, digest in zip(ids, checked.digests, strict=True):
            if digest in self.seen:
                faults.add(
                    "weights",
                    f"example {example}: its weights are those of example {self.seen[digest]}.",
                )
            self.seen[digest] = int(example)
        self.examples += zip(ids, [split] * len(ids), targets, strict=True)
        self.means.add(checked.records)
        recipe = self.config.training
        gains, tests = (
            checked.records[name].to_numpy() for name in ("improvement", "test_accuracy")
        )
        self.accepted &= bool(
            (gains >= recipe.min_improvement - 1e-9).all()
            and (tests >= recipe.min_test_accuracy).all()
        )
        for task, counts in checked.tokens.items():
            self.tokens[task].add(counts)

    @property
    def patterns(self) -> Counter[str]:
        """Examples of each pattern."""
        return Counter(target for _, _, target in self.examples)

    def check(self, folder: Path, renderer: Renderer, faults: Faults) -> None:
        """Numbers and splits are right, and the summary and the card say of all examples what they are."""
        self.check_ids(faults)
        if not faults.found.keys() & {"ids", "files", "schema", "specification"}:
            self.check_splits(faults)
        try:
            summary = read_summary(folder)
        except DatasetError as error:
            faults.add("summary", str(error))
            return
        for sentence in _wrong_figures(self, summary):
            faults.add("summary", sentence)
        if "summary" not in faults.found:
            self.check_card(folder, summary, renderer, faults)

    def check_ids(self, faults: Faults) -> None:
        """Example numbers are unique, and ascending in each split."""
        order: dict[str, int] = {}
        for number, split, _ in self.examples:
            if number < order.get(split, -1):
                faults.add("ids", f"the examples of {split} are not in the order of their numbers.")
                break
            order[split] = number
        if len({number for number, _, _ in self.examples}) < len(self.examples):
            faults.add("ids", "an example_id occurs more than once.")

    def check_splits(self, faults: Faults) -> None:
        """Every example is in the split that its rank in its pattern gives it."""
        examples = sorted(self.examples)
        targets = np.array(
            [self.config.patterns.enabled.index(target) for _, _, target in examples], np.int64
        )
        for (number, split, _), right in zip(
            examples, assign_splits(self.config, targets), strict=True
        ):
            if split != SPLITS[right]:
                faults.add(
                    "splits", f"example {number}: it is not in the split that it belongs to."
                )

    def check_card(
        self, folder: Path, summary: dict[str, Any], renderer: Renderer, faults: Faults
    ) -> None:
        """The card is what the figures make of it; token counts are compared where this machine can count them as well."""
        splits = Counter(split for _, split, _ in self.examples)
        ordered = {split: splits[split] for split in SPLITS if splits[split]}
        tokens, name = (self.tokens, renderer.counter.name) if renderer.counter else ({}, "")
        try:
            written = Written(ordered, tokens, name, shards_digest(folder))
            expected = render_card(self.config, summary, written, summary["origin"])
        except (KeyError, TypeError, ValueError, AttributeError):  # data from anywhere
            faults.add(
                "summary",
                "summary.json lacks figures that a card is made of, or they are no numbers.",
            )
            return
        path = folder / "README.md"
        card = path.read_text("utf-8", "replace") if path.is_file() else ""
        complete = all(each.count == len(self.examples) for each in tokens.values())
        if not (tokens and complete) or NOT_COUNTED in card:
            card, expected = (_TOKEN_SECTION.sub("", text) for text in (card, expected))
        lines = set(card.splitlines())
        for line in expected.splitlines():
            if line not in lines:
                faults.add(
                    "card", f"README.md does not have the line that the data give: {line[:120]}"
                )
        if "card" not in faults.found and card != expected:
            faults.add("card", "README.md has lines that the data do not give.")


def _wrong_figures(tally: _Tally, summary: dict[str, Any]) -> Iterator[str]:
    """A sentence for each figure of a summary that is not the data's, or contradicts another."""
    config = tally.config
    found = tally.patterns
    splits = Counter(split for _, split, _ in tally.examples)
    expected: dict[str, Any] = {
        "accepted": len(tally.examples),
        "config_signature": config_signature(config),
    }
    expected["splits"] = {split: splits[split] for split in SPLITS if splits[split]}
    expected |= {f"accuracy.{key}": value for key, value in tally.means.overall().items()}
    for name in config.patterns.enabled:
        expected[f"patterns.{name}.accepted"] = found[name]
        expected |= {
            f"patterns.{name}.{key}": value for key, value in tally.means.by_pattern(name).items()
        }
    for place, value in expected.items():
        said: Any = summary
        for key in place.split("."):
            said = said.get(key) if isinstance(said, dict) else None
        close = isinstance(said, float) and isinstance(value, float) and abs(said - value) < 1e-9
        if said != value and not close:
            yield f"summary.json: {place} is {said}, but the data give {value}."
    try:
        yield from _contradictions(tally, summary)
    except (KeyError, TypeError, ValueError, AttributeError):  # data from anywhere
        yield "summary.json lacks figures, or they are no numbers."


def _contradictions(tally: _Tally, summary: dict[str, Any]) -> Iterator[str]:
    """A sentence for each way in which the counts of a run do not add up, or break its rules."""
    config = tally.config
    accepted = len(tally.examples)
    rows = [
        ("all", summary),
        *((name, summary["patterns"][name]) for name in config.patterns.enabled),
    ]
    for name, row in rows:
        if row["attempts"] != row["accepted"] + sum(row["rejected"].values()):
            yield f"summary.json: the attempts of {name} are not its accepted and rejected ones."
    for key in ("attempts", *summary["rejected"]):
        values = [row[key] if key == "attempts" else row["rejected"][key] for _, row in rows]
        if values[0] != sum(values[1:]):
            yield f"summary.json: {key} of all is not the sum over the patterns."
    short = accepted < config.dataset.num_examples
    if accepted > config.dataset.num_examples or (short and config.dataset.on_shortfall == "error"):
        yield f"there are {accepted} examples; the configuration asks for {config.dataset.num_examples}."
    counts = [tally.patterns[name] for name in config.patterns.enabled]
    if config.dataset.balance and not short and max(counts) - min(counts) > 1:
        yield f"the patterns are not balanced: {dict(tally.patterns)}."
    if not summary["origin"] and not tally.accepted:
        yield "an example has less improvement or test accuracy than the configuration accepts."
