"""Checks a dataset as a sceptic would: everything that can be drawn or measured again is, and compared with what is stored."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from muat_exp.cohort import Task, extract_signatures, measure_responses, measure_tests
from muat_exp.config import Config
from muat_exp.dataset.reading import read_config
from muat_exp.dataset.records import subject_schema
from muat_exp.dataset.store import CHECKSUMS, Renderer, file_sha256
from muat_exp.engine import Workers, evaluate_stored, stage_problem
from muat_exp.errors import DatasetError
from muat_exp.population import ACTIVATION_NAMES, Population
from muat_exp.sequences import matches
from muat_exp.signature import dataset_probes
from muat_exp.subject import Specs, SubjectData, draw_data, draw_population, draw_specs

BATCH = 1000  # subjects checked at a time
MOST = 20  # faults of one kind that are listed
TOLERANCES = {"accuracy": 1e-6, "response": 1e-6, "signature": 1e-3}


class Faults:
    """What was found, at most `MOST` of each kind with their examples.

    >>> faults = Faults()
    >>> faults.add("labels", "example 3: a label is wrong")
    >>> faults.sentences()
    ['example 3: a label is wrong']
    """

    def __init__(self) -> None:
        self.found: dict[str, list[str]] = {}

    def add(self, kind: str, sentence: str) -> None:
        """Notes a fault."""
        self.found.setdefault(kind, []).append(sentence)

    def compare(self, kind: str, ids: NDArray[np.int64], wrong: NDArray[np.bool_], sentence: str) -> None:
        """Notes a fault for each example that is wrong."""
        for example in ids[wrong]:
            self.add(kind, f"example {example}: {sentence}")

    def sentences(self) -> list[str]:
        """All faults; of a kind with many, the first and how many more there are."""
        listed = []
        for kind, sentences in self.found.items():
            listed += sentences[:MOST]
            if len(sentences) > MOST:
                listed.append(f"and {len(sentences) - MOST} more faults of this kind ({kind})")
        return listed


def validate(folder: Path, workers: Workers) -> list[str]:
    """All faults of a dataset folder, as sentences; none where it is sound.

    Raises:
        DatasetError: the folder does not hold a dataset that could be checked.
    """
    faults = Faults()
    config = read_config(folder)
    check_files(folder, faults)
    ids: list[NDArray[np.int64]] = []
    digests: dict[bytes, int] = {}
    task, renderer = build_task(folder, config, faults), Renderer(config)
    for subjects, prompts in batches(folder, config, faults):
        ids.append(subjects["example_id"].to_numpy())
        check_weights(subjects, digests, faults)
        if check_shapes(task, subjects, faults):
            check_batch(task, subjects, workers, faults)
        check_prompts(renderer, subjects, prompts, faults)
    check_ids(config, np.concatenate(ids) if ids else np.empty(0, np.int64), faults)
    check_balance(config, folder, faults)
    return faults.sentences()


def build_task(folder: Path, config: Config, faults: Faults) -> Task:
    """What the configuration fixes; the probes are drawn again and compared, or read where they came from a file."""
    if config.signature.probe_set_sha256:
        return Task.build(config, dataset_probes(folder, config))
    task, path = Task.build(config), folder / "probe_set.json"
    if path.is_file() and path.read_bytes() != task.probes.to_json(config):
        faults.add("probes", "probe_set.json does not hold the probes that the configuration gives.")
    return task


def check_files(folder: Path, faults: Faults) -> None:
    """Every file has the checksum that was noted when it was written, and no file is missing or new."""
    path = folder / CHECKSUMS
    if not path.is_file():
        faults.add("checksums", f"{CHECKSUMS} is missing: files can't be checked.")
        return
    noted = {
        name: digest for digest, _, name in (line.partition("  ") for line in path.read_text("utf-8", "replace").splitlines())
    }
    there = {str(file.relative_to(folder)): file for file in folder.rglob("*") if file.is_file() and file != path}
    for name in sorted(noted.keys() | there.keys()):
        if name not in there:
            faults.add("checksums", f"{name} is missing.")
        elif name not in noted:
            faults.add("checksums", f"{name} is not in {CHECKSUMS}.")
        elif file_sha256(there[name]) != noted[name]:
            faults.add("checksums", f"{name} does not have its checksum: it was changed or damaged.")


def batches(folder: Path, config: Config, faults: Faults) -> Iterator[tuple[pa.Table, pa.Table]]:
    """Tables of both configurations with the same examples, up to `BATCH` at a time.

    Raises:
        DatasetError: a file can't be read.
    """
    for path in sorted((folder / "subjects").glob("*.parquet")):
        try:
            subjects, prompts = pq.ParquetFile(path), pq.ParquetFile(folder / "prompts" / path.name)
            if not subjects.schema_arrow.equals(subject_schema(config)):
                faults.add("schema", f"{path.name}: the columns of subjects are not those of the configuration.")
                continue
            pairs = zip(subjects.iter_batches(BATCH), prompts.iter_batches(BATCH), strict=True)
            yield from ((pa.Table.from_batches([one]), pa.Table.from_batches([other])) for one, other in pairs)
        except (OSError, pa.ArrowException, ValueError) as error:
            raise DatasetError(f"{path.parent.parent.name}: {path.name} can't be read: {error}") from error


def lists(table: pa.Table, name: str) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """A list column's flat values and offsets."""
    column = table[name].combine_chunks()
    column = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
    offsets = column.offsets.to_numpy().astype(np.int64)
    return column.values.to_numpy()[offsets[0] : offsets[-1]], offsets - offsets[0]


def check_weights(subjects: pa.Table, digests: dict[bytes, int], faults: Faults) -> None:
    """Weights are finite, and no two subjects have the same."""
    values, offsets = lists(subjects, "weights")
    for i, example in enumerate(subjects["example_id"].to_pylist()):
        part = values[offsets[i] : offsets[i + 1]]
        digest = hashlib.blake2b(part.tobytes(), digest_size=16).digest()
        if digest in digests:
            faults.add("weights", f"example {example}: its weights are those of example {digests[digest]}.")
        digests[digest] = example
        if not np.isfinite(part).all():
            faults.add("weights", f"example {example}: a weight is not a finite number.")


def check_shapes(task: Task, subjects: pa.Table, faults: Faults) -> bool:
    """What was drawn for each subject is what is stored of it; False where its arrays don't fit, so that it can't be run."""
    config, ids = task.config, subjects["example_id"].to_numpy()
    specs = draw_specs(config, ids)
    names, activations = np.array(config.patterns.enabled), np.array(ACTIVATION_NAMES)
    stored = {
        "num_layers": specs.depths,
        "neurons_per_layer": specs.widths,
        "activation": activations[specs.kinds],
        "target_pattern": names[specs.targets],
        "learning_rate": specs.rates,
    }
    sound = True
    for name, drawn in stored.items():
        wrong = np.array(subjects[name].to_pylist()) != drawn.tolist()
        faults.compare("specification", ids, wrong, f"{name} is not what its number and the seed give.")
        sound &= not wrong.any()
    counts = np.diff(draw_population(config, specs).offsets)
    for name in ("weights", "degraded_weights"):
        wrong = np.diff(lists(subjects, name)[1]) != counts
        faults.compare("weights", ids, wrong, f"{name} has not as many numbers as its architecture.")
        sound &= not wrong.any()
    return sound


def stored_population(config: Config, specs: Specs, values: NDArray[np.float32]) -> Population:
    """Subjects with stored parameters."""
    return draw_population(config, specs).with_parameters(np.ascontiguousarray(values, np.float32))


def check_batch(task: Task, subjects: pa.Table, workers: Workers, faults: Faults) -> None:
    """Labels, accuracies, behaviour and signatures are what the stored networks give."""
    config, ids = task.config, subjects["example_id"].to_numpy()
    specs = draw_specs(config, ids)
    data = draw_data(config, task.space, specs)
    check_data(task, specs, data, ids, subjects, faults)
    improved, degraded = (
        stored_population(config, specs, lists(subjects, name)[0]) for name in ("weights", "degraded_weights")
    )
    everyone = np.arange(len(ids))
    for name, population in (("improved_accuracy", improved), ("degraded_accuracy", degraded)):
        _, accuracy = evaluate_stored(stage_problem(config, specs, data, population, 1), population, workers)
        compare_scores(name, accuracy, subjects, faults)
    tests = measure_tests(task, specs, data, degraded, improved, everyone, workers)
    compare_scores("degraded_test_accuracy", tests[:, 0], subjects, faults)
    compare_scores("test_accuracy", tests[:, 1], subjects, faults)
    responses = measure_responses(task, improved, everyone, workers)
    stored = np.array([list(row.values()) for row in subjects["response"].to_pylist()])
    off: NDArray[np.bool_] = np.any(np.abs(stored - responses) > TOLERANCES["response"], axis=1)
    faults.compare("response", ids, off, "its response is not what its network gives.")
    flat, offsets = extract_signatures(task, improved, everyone, workers)
    signature, stored_offsets = lists(subjects, "signature")
    if not np.array_equal(offsets, stored_offsets):
        faults.add("signature", f"example {ids[0]} and on: signatures have not as many numbers as the configuration gives.")
        return
    far = np.add.reduceat(np.abs(flat - signature) > TOLERANCES["signature"], offsets[:-1]) > 0
    faults.compare("signature", ids, far, "its signature is not what its network gives.")


def compare_scores(name: str, measured: NDArray[np.float64], subjects: pa.Table, faults: Faults) -> None:
    """A stored score is what was measured again."""
    stored = subjects[name].to_numpy()
    off = ~(np.abs(stored - measured) <= TOLERANCES["accuracy"])
    for example, here, there in zip(subjects["example_id"].to_numpy()[off], stored[off], measured[off], strict=True):
        faults.add("accuracy", f"example {example}: {name} is {here:.6f}, but its network gives {there:.6f}.")


def check_data(task: Task, specs: Specs, data: SubjectData, ids: NDArray[np.int64], subjects: pa.Table, faults: Faults) -> None:
    """Labels are true by predicate, training and validation share no sequence, as many labels are corrupted as stored."""
    patterns, count = task.config.patterns.build(), len(ids)
    rows = data.tokens.reshape(-1, data.tokens.shape[2])
    members = np.stack([matches(pattern, rows) for pattern in patterns]).reshape(len(patterns), count, -1)  # (P, S, rows)
    truth = (members & specs.selected.T[:, :, None]).any(axis=0)
    faults.compare(
        "labels", ids, (truth != (data.labels > 0.5)).any(axis=1), "a label is not what its pattern's predicate says."
    )
    codes = (data.tokens.astype(np.int64) * task.config.patterns.vocab_size ** np.arange(data.tokens.shape[2])).sum(axis=2)
    shared = np.array([np.intersect1d(row[: data.training_rows], row[data.training_rows :]).size > 0 for row in codes])
    faults.compare("split", ids, shared, "a sequence is in both training and validation.")
    changed = (data.corrupted != data.labels[: data.training_rows]).sum(axis=1)
    wrong = changed != subjects["corrupted_labels"].to_numpy()
    faults.compare("corruption", ids, wrong, "the number of corrupted labels is not what was corrupted.")


def check_prompts(renderer: Renderer, subjects: pa.Table, prompts: pa.Table, faults: Faults) -> None:
    """Prompts and metadata are a rendering of the arrays."""
    fresh, _ = renderer.table(subjects)
    ids = subjects["example_id"].to_numpy()
    for name in fresh.column_names:
        if name not in prompts.column_names:
            faults.add("prompts", f"the column {name} is missing.")
            continue
        wrong = np.array(
            [here != there for here, there in zip(fresh[name].to_pylist(), prompts[name].to_pylist(), strict=True)]
        )
        faults.compare("prompts", ids, wrong, f"{name} is not a rendering of its arrays.")


def check_ids(config: Config, ids: NDArray[np.int64], faults: Faults) -> None:
    """Example numbers are ascending and unique."""
    if len(ids) != len(np.unique(ids)):
        faults.add("ids", "an example_id occurs more than once.")
    elif (np.diff(ids) < 0).any():
        faults.add("ids", "the examples are not in the order of their numbers.")
    if config.dataset.on_shortfall == "error" and len(ids) != config.dataset.num_examples:
        faults.add("ids", f"there are {len(ids)} examples; the configuration asks for {config.dataset.num_examples}.")


def check_balance(config: Config, folder: Path, faults: Faults) -> None:
    """With `dataset.balance`, patterns differ by one example at most; the card's counts are the data's."""
    counts = dict.fromkeys(config.patterns.enabled, 0)
    for path in sorted((folder / "subjects").glob("*.parquet")):
        for name in pq.read_table(path, columns=["target_pattern"])["target_pattern"].to_pylist():
            counts[name] = counts.get(name, 0) + 1
    if config.dataset.balance and config.dataset.on_shortfall == "error" and max(counts.values()) - min(counts.values()) > 1:
        faults.add("balance", f"the patterns are not balanced: {counts}.")
    path = folder / "README.md"
    card = path.read_text("utf-8", "replace") if path.is_file() else ""
    cells = [[cell.strip() for cell in line.split("|")] for line in card.splitlines() if line.count("|") > 4]
    rows = {row[1]: row[3] for row in reversed(cells)}  # of a pattern the first table's: attempts, accepted, ...
    for name, count in counts.items():
        if rows.get(name) != str(count):
            faults.add("card", f"README.md does not say that there are {count} examples of {name}.")
