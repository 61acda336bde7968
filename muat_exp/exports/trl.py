"""The format `trl`: prompts and completions as libraries for fine-tuning take them.

A row is a prompt and its completion, or the two as messages of a conversation; both hold the
dataset's texts letter by letter. The same rows are written as JSONL and as Parquet.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from muat_exp.config.checks import require
from muat_exp.config.groups import Config
from muat_exp.dataset.hub import dataset_folder
from muat_exp.dataset.parquet import all_shards, open_parquet, parse_shard_name
from muat_exp.dataset.reading import read_config
from muat_exp.dataset.records import check_prompts, prompt_bounds, record_files
from muat_exp.errors import DatasetError, ExportError, first_line
from muat_exp.exports.formats import Options, Written
from muat_exp.exports.labelled import require_own_layout
from muat_exp.prompts.tokens import load_counter

Row = dict[str, Any]

_BATCH = 100  # rows that are in memory at a time, and in a row group of the files
_IDENTITY = (("example_id", pa.int64()), ("task", pa.string()))
_MESSAGE = pa.struct([("role", pa.string()), ("content", pa.string())])
_COLUMNS = {
    "completion": (("prompt", pa.string()), ("completion", pa.string())),
    "messages": (("messages", pa.list_(_MESSAGE)),),
}


def load_rows(
    dataset: Path | str, split: str = "train", options: Options | None = None
) -> Iterator[Row]:
    """The rows of a split, one after another.

    Args:
        dataset: its folder; a text may also be its `<owner>/<name>` on the Hugging Face Hub.
        split: train, validation or test.
        options: see `Options`; of `max_tokens`, by which tokenizer the tokens are counted.

    Yields:
        `example_id`, `task` (classification or modification), the columns that `options.rows`
        names, and where a tokenizer is named `n_tokens`, those of prompt and completion together.

    Raises:
        DatasetError: there is no such dataset or split, or it is not readable.
        ExportError: a row has more than `options.max_tokens` tokens, and they are refused.
        ConfigurationError: there is no such tokenizer.
    """
    folder = dataset_folder(dataset) if isinstance(dataset, str) else dataset
    texts = _Texts(folder, options or Options())
    if split not in texts.splits:
        there = ", ".join(texts.splits)
        raise DatasetError(f"{folder} has no split '{split}'; it has {there}.")
    for batch in texts.batches(split):
        yield from batch


def check(options: Options) -> None:
    """Refuses a limit that nothing counts."""
    counted = load_counter(options.tokenizer) is not None
    require(
        counted or not options.max_tokens,
        f"max_tokens={options.max_tokens} needs what counts tokens: "
        "pip install 'muat_exp[tokenizer]', or dataset.tokenizer=<a tokenizer.json>.",
    )


def write(dataset: Path, folder: Path, options: Options) -> Written:
    """Writes `jsonl/<split>.jsonl` and `parquet/<split>.parquet`.

    Raises:
        DatasetError: the dataset is not readable.
        ExportError: a row is too long, and such rows are refused; or all are, and are dropped.
    """
    texts = _Texts(dataset, options)
    for kind in ("jsonl", "parquet"):
        (folder / kind).mkdir()
    counts = {split: _write_split(texts, split, folder) for split in texts.splits}
    if texts.dropped and not any(counts.values()):
        raise ExportError(
            f"All {texts.dropped} rows have more than max_tokens={options.max_tokens} tokens; "
            "the architecture has to be smaller, or the prompts shorter."
        )
    counter = texts.counter
    facts = {"tokenizer": counter.name if counter else None, "max_tokens": options.max_tokens}
    return Written(counts, texts.dropped, facts)


class _Texts:
    """The prompts of a dataset, a batch of rows at a time.

    Attributes:
        splits: those that it has.
        dropped: rows that were left out so far since they are too long.
    """

    def __init__(self, folder: Path, options: Options) -> None:
        self.folder = folder
        self.options = options
        require_own_layout(folder)
        self.config: Config = read_config(folder)
        count = sum(int(file.group_rows.sum()) for file in record_files(folder, self.config))
        check_prompts(folder, self.config, count)
        self.counter = load_counter(options.tokenizer)
        self.dropped = 0
        self.files: dict[str, list[Path]] = {}
        for path in all_shards(folder, "prompts"):
            shard = parse_shard_name(path.name)
            self.files.setdefault(shard.split if shard else "", []).append(path)

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that the dataset has."""
        return tuple(self.files)

    @property
    def schema(self) -> pa.Schema:
        """The columns of the rows."""
        columns = [*_IDENTITY, *_COLUMNS[self.options.rows]]
        if self.counter:
            columns.append(("n_tokens", pa.int32()))
        return pa.schema(columns)

    def batches(self, split: str) -> Iterator[list[Row]]:
        """The rows of a split, some at a time; those of one example's tasks in turn."""
        for path in self.files[split]:
            try:
                for batch in self._tables(path):
                    yield [row for example in batch.to_pylist() for row in self._rows(example)]
            except (OSError, pa.ArrowException, ValueError) as error:
                if isinstance(error, DatasetError | ExportError):
                    raise
                raise DatasetError(f"{path} can't be read: {first_line(error)}.") from error

    def _tables(self, path: Path) -> Iterator[pa.RecordBatch]:
        """Some rows of a file at a time, of the columns that are needed."""
        tasks = self.config.dataset.tasks
        texts = [f"{task}_{part}" for task in tasks for part in ("prompt", "completion")]
        bounds = prompt_bounds(self.config)
        file = open_parquet(path, self.folder, bounds, ["example_id", *texts])
        for batch in file.iter_batches(_BATCH, columns=["example_id", *texts]):
            for name in batch.schema.names:
                if batch[name].null_count:
                    raise DatasetError(f"{path}: {name} has a null where a value is needed.")
            yield batch

    def _rows(self, example: Row) -> Iterator[Row]:
        """The rows of an example, one for each task, without those that are too long."""
        for task in self.config.dataset.tasks:
            row = {"example_id": example["example_id"], "task": task}
            prompt, completion = (example[f"{task}_{part}"] for part in ("prompt", "completion"))
            row |= self._texts(prompt, completion)
            if self.counter:
                row["n_tokens"] = self.counter.count(prompt + completion)
            if self._is_short(row):
                yield row

    def _texts(self, prompt: str, completion: str) -> Row:
        """The columns of texts."""
        if self.options.rows == "completion":
            return {"prompt": prompt, "completion": completion}
        question = {"role": "user", "content": prompt}
        answer = {"role": "assistant", "content": completion}
        return {"messages": [question, answer]}

    def _is_short(self, row: Row) -> bool:
        """Whether a row has no more tokens than it may; counts those that have.

        Raises:
            ExportError: it has more, and such rows are refused.
        """
        most = self.options.max_tokens
        if not most or row["n_tokens"] <= most:
            return True
        if self.options.over_long == "refuse":
            raise ExportError(
                f"{self.folder}: example {row['example_id']} has {row['n_tokens']} tokens "
                f"({row['task']}); max_tokens={most}. over_long=drop leaves such rows out."
            )
        self.dropped += 1
        return False


def _write_split(texts: _Texts, split: str, folder: Path) -> int:
    """Writes both files of a split; returns how many rows there are."""
    count = 0
    with ExitStack() as files:
        lines = files.enter_context((folder / "jsonl" / f"{split}.jsonl").open("wb"))
        table = pq.ParquetWriter(
            folder / "parquet" / f"{split}.parquet",
            texts.schema,
            compression="zstd",
            compression_level=1,
            use_dictionary=["task"],
            write_statistics=False,
        )
        files.enter_context(table)
        for rows in texts.batches(split):
            _write_lines(lines, rows)
            table.write_table(pa.Table.from_pylist(rows, texts.schema))
            count += len(rows)
    return count


def _write_lines(file: BinaryIO, rows: list[Row]) -> None:
    """Writes rows as lines of JSON."""
    for row in rows:
        file.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
