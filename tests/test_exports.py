"""Datasets in the forms of their readers, each read by the code of those who read it."""

import csv
import gzip
import importlib
import json
import math
from ast import literal_eval
from functools import partial

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

import muat_exp
from muat_exp.app.compose import load_config
from muat_exp.app.main import main
from muat_exp.config.groups import SPLITS
from muat_exp.dataset.reading import read_config
from muat_exp.errors import ConfigurationError, DatasetError, ExportError
from muat_exp.exports.formats import FORMATS, LONG_ROWS, ROWS, Options, format_module

PROMPT_COLUMNS = ("classification_prompt", "classification_completion")


def package(name):
    """A consumer's package; the test is skipped where it is not installed."""
    return pytest.importorskip(name, reason=f"{name} is not installed")


def export(dataset, folder, *keys):
    """Runs the task; returns its exit code."""
    return main(["task=export", f"dataset={dataset}", f"hydra.run.dir={folder}", *keys])


def exported(dataset, folder, *keys):
    """Runs the task, which must succeed; returns the folder of its files."""
    assert export(dataset, folder, *keys) == 0
    return folder / "export"


def described(folder):
    """What an export says of itself."""
    return json.loads((folder / "export.json").read_text())


def prompts_of(dataset, split):
    """The rows of a split as the dataset stores them."""
    files = sorted((dataset / "prompts").glob(f"{split}-*.parquet"))
    return [row for path in files for row in pq.read_table(path).to_pylist()]


# The registry


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_has_a_module_and_known_options(name):
    module = format_module(name)
    assert callable(module.check)
    assert callable(module.write)
    assert set(FORMATS[name].options) <= set(Options.__dataclass_fields__)


def test_formats_are_named_where_the_task_is_explained():
    from muat_exp.config.files import conf_folder

    text = (conf_folder() / "task" / "export.yaml").read_text()
    for name in (*FORMATS, *ROWS, *LONG_ROWS):
        assert name in text


# trl


@pytest.mark.parametrize("task", ["classification", "modification"])
def test_rows_are_the_texts_of_the_dataset(full, task):
    for split in SPLITS:
        stored = prompts_of(full.dataset, split)
        rows = [row for row in muat_exp.load_rows(full.dataset, split) if row["task"] == task]
        assert [row["example_id"] for row in rows] == [row["example_id"] for row in stored]
        joined = [row["prompt"] + row["completion"] for row in rows]
        assert joined == [row[f"{task}_text"] for row in stored]


def test_jsonl_and_parquet_hold_the_rows_of_the_loader(full, tmp_path):
    folder = exported(full.dataset, tmp_path, "format=trl")
    tokenizer = Options(tokenizer="llama3")
    for split in SPLITS:
        rows = list(muat_exp.load_rows(full.dataset, split, tokenizer))
        lines = (folder / "jsonl" / f"{split}.jsonl").read_text().splitlines()
        assert [json.loads(line) for line in lines] == rows
        assert pq.read_table(folder / "parquet" / f"{split}.parquet").to_pylist() == rows
        assert described(folder)["counts"][split] == len(rows)


def test_messages_are_a_question_and_its_answer(run, tmp_path):
    folder = exported(run.dataset, tmp_path, "format=trl", "rows=messages")
    rows = pq.read_table(folder / "parquet" / "train.parquet").to_pylist()
    stored = prompts_of(run.dataset, "train")
    for row, example in zip(rows, stored, strict=True):
        question, answer = row["messages"]
        assert (question["role"], answer["role"]) == ("user", "assistant")
        assert (question["content"], answer["content"]) == tuple(
            example[name] for name in PROMPT_COLUMNS
        )


def test_tokens_are_those_of_the_whole_row(run):
    quicktok = package("quicktok")
    encoding = quicktok.get_encoding("llama3")
    for row in muat_exp.load_rows(run.dataset, options=Options(tokenizer="llama3")):
        assert row["n_tokens"] == len(encoding.encode(row["prompt"] + row["completion"]))


def test_rows_that_are_too_long_are_dropped_and_counted(run, tmp_path, capsys):
    rows = list(muat_exp.load_rows(run.dataset, options=Options(tokenizer="llama3")))
    lengths = sorted(row["n_tokens"] for row in rows)
    most = lengths[len(lengths) // 2]
    kept = [row for row in rows if row["n_tokens"] <= most]
    folder = exported(run.dataset, tmp_path, "format=trl", f"max_tokens={most}", "over_long=drop")
    assert pq.read_table(folder / "parquet" / "train.parquet").to_pylist() == kept
    assert described(folder)["dropped"] == len(rows) - len(kept)
    assert f"{len(rows) - len(kept)} too long, dropped" in capsys.readouterr().out


def test_rows_that_are_too_long_are_refused_and_nothing_is_left(run, tmp_path, capsys):
    folder = tmp_path / "refused"
    assert export(run.dataset, folder, "format=trl", "max_tokens=100") == 1
    said = capsys.readouterr().err
    assert "tokens (classification); max_tokens=100. over_long=drop leaves such rows out." in said
    assert not folder.exists()


def test_dropping_all_rows_is_refused(run, tmp_path, capsys):
    keys = ("format=trl", "max_tokens=100", "over_long=drop")
    assert export(run.dataset, tmp_path / "out", *keys) == 1
    assert "All 28 rows have more than max_tokens=100 tokens" in capsys.readouterr().err


def test_a_limit_that_nothing_counts_is_refused(run):
    with pytest.raises(ConfigurationError, match="max_tokens=5 needs what counts tokens"):
        format_module("trl").check(Options(max_tokens=5, tokenizer="none"))


def test_without_a_tokenizer_rows_have_no_tokens(run, tmp_path):
    folder = exported(run.dataset, tmp_path, "format=trl", "dataset.tokenizer=none")
    schema = pq.read_schema(folder / "parquet" / "train.parquet")
    assert schema.names == ["example_id", "task", "prompt", "completion"]
    assert described(folder)["facts"]["tokenizer"] is None


def test_a_split_that_is_not_there_is_a_sentence(run):
    with pytest.raises(DatasetError, match="no split 'test'; it has train"):
        next(muat_exp.load_rows(run.dataset, "test"))


def tiny_tokenizer(texts):
    """A tokenizer made from some texts."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["?", "<end>", "<pad>"]
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="?", eos_token="<end>", pad_token="<pad>"
    )


@pytest.mark.filterwarnings("ignore")
def test_trl_trains_on_an_export(run, tmp_path, monkeypatch):
    package("trl")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("TRACKIO_DISABLED", "1")
    import datasets
    from transformers import LlamaConfig, LlamaForCausalLM
    from trl import SFTConfig, SFTTrainer

    folder = exported(run.dataset, tmp_path, "format=trl", "dataset.tokenizer=none")
    rows = datasets.load_dataset(str(folder / "parquet"), split="train[:4]")
    tokenizer = tiny_tokenizer(rows["prompt"])
    shape = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 1, "num_key_value_heads": 1}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **shape, **heads))
    before = model.lm_head.weight.detach().clone()
    settings = SFTConfig(
        output_dir=str(tmp_path / "model"),
        max_steps=2,
        per_device_train_batch_size=1,
        max_length=None,
        use_cpu=True,
        bf16=False,
        save_strategy="no",
        report_to="none",
        logging_steps=1,
        disable_tqdm=True,
        seed=0,
    )
    trainer = SFTTrainer(model, settings, train_dataset=rows, processing_class=tokenizer)
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert len(losses) == 2
    assert all(math.isfinite(loss) for loss in losses)
    assert not torch.equal(before, model.lm_head.weight)
    # Only answers are learned: their tokens, and the end of the row.
    for row, tokenized in zip(rows, trainer.train_dataset, strict=True):
        learned = [label for label in tokenized["labels"] if label != -100]
        assert tokenizer.decode(learned) == row["completion"] + "<end>"


# state_dicts


def same_state(found, expected):
    """Whether two state dicts have the same names in the same order, and the same numbers."""
    return list(found) == list(expected) and all(
        torch.equal(found[name], expected[name]) for name in expected
    )


def test_state_dicts_are_those_of_the_modules(full):
    subjects = muat_exp.load_subjects(full.dataset)
    loaded = list(muat_exp.load_state_dicts(full.dataset))
    enabled = subjects.config.patterns.enabled
    for found, subject in zip(loaded, subjects, strict=True):
        module = subject.to_module()
        assert found.example_id == subject.example_id
        assert enabled[found.label] == subject.target_pattern
        assert same_state(found.tensors, module.state_dict())
        module.load_state_dict(found.tensors)


def loader_of(kind):
    """What reads a file of a kind."""
    if kind == "pth":
        return partial(torch.load, weights_only=True)
    return importlib.import_module("safetensors.torch").load_file


@pytest.mark.parametrize("kind", ["safetensors", "pth"])
def test_files_and_splits_are_what_the_repositories_read(full, tmp_path, kind):
    if kind == "safetensors":
        package("safetensors")
    load = loader_of(kind)
    folder = exported(full.dataset, tmp_path, "format=state_dicts", f"files={kind}")
    splits = json.loads((folder / "splits.json").read_text())
    assert list(splits) == ["train", "val", "test"]
    expected = {found.example_id: found for found in muat_exp.load_state_dicts(full.dataset)}
    names = {"train": "train", "val": "validation", "test": "test"}
    for split, content in splits.items():
        for path, label in zip(content["path"], content["label"], strict=True):
            found = expected.pop(int(path.removeprefix("networks/").split(".")[0]))
            assert (found.split, found.label) == (names[split], int(label))
            tensors = load(folder / path)
            assert set(tensors) == set(found.tensors)
            ordered = {name: tensors[name] for name in found.tensors}
            assert same_state(ordered, found.tensors)
            if kind == "pth":  # these readers take weights and biases in the order of the file
                assert list(tensors) == list(found.tensors)
    assert not expected
    assert described(folder)["facts"]["patterns"] == list(
        read_config(full.dataset).patterns.enabled
    )


def test_files_of_tensors_hold_their_own_numbers_alone(run, tmp_path):
    folder = exported(run.dataset, tmp_path, "format=state_dicts", "files=pth")
    for found in muat_exp.load_state_dicts(run.dataset):
        numbers = sum(tensor.numel() for tensor in found.tensors.values())
        size = (folder / "networks" / f"{found.example_id}.pth").stat().st_size
        assert size < 4 * numbers + 500 * len(found.tensors) + 2000


# matrix


def read_zoo(folder):
    """Weights and biases, `(networks, out, in)` and `(networks, out)`, as the Zoo's readers do.

    From `weights.npy` and `layout.csv`; and the rows of `metrics.csv.gz` that they keep.
    """
    numbers = np.load(folder / "weights.npy", allow_pickle=False)
    weights, biases = [], []
    with (folder / "layout.csv").open() as file:
        for row in csv.DictReader(file):
            part = numbers[:, int(row["start_idx"]) : int(row["end_idx"])]
            part = part.reshape(len(numbers), *literal_eval(row["shape"]))
            if row["varname"].endswith("kernel:0"):
                weights.append(part.transpose(0, 2, 1))
            else:
                assert row["varname"].endswith("bias:0")
                biases.append(part)
    with gzip.open(folder / "metrics.csv.gz", "rt") as file:
        metrics = [row for row in csv.DictReader(file) if row["step"] == "86"]
    return weights, biases, metrics


def test_a_matrix_is_read_as_the_zoo_is(one_shape, tmp_path):
    weights, biases, metrics = read_zoo(exported(one_shape, tmp_path, "format=matrix"))
    for row, subject in enumerate(muat_exp.load_subjects(one_shape)):
        parameters = list(subject.to_module().parameters())
        expected = [tensor.detach().numpy() for tensor in parameters]
        found = [part[row] for pair in zip(weights, biases, strict=True) for part in pair]
        assert all(np.array_equal(*pair) for pair in zip(found, expected, strict=True))
        assert int(metrics[row]["example_id"]) == subject.example_id
        assert metrics[row]["config.activation"] == subject.activation
        assert metrics[row]["target_pattern"] == subject.target_pattern
        assert float(metrics[row]["test_accuracy"]) == subject.record["test_accuracy"]
        assert float(metrics[row]["train_accuracy"]) == subject.record["improved_accuracy"]


def test_files_of_a_matrix_hold_what_the_loader_gives(one_shape, tmp_path):
    folder = exported(one_shape, tmp_path, "format=matrix")
    matrix = muat_exp.load_matrix(one_shape)
    assert np.array_equal(np.load(folder / "weights.npy"), matrix.weights)
    with (folder / "layout.csv").open() as file:
        rows = [tuple(row.values()) for row in csv.DictReader(file)]
    assert rows == [tuple(map(str, row)) for row in matrix.layout]
    names = [matrix.patterns[label] for label in matrix.labels]
    assert names == matrix.metrics["target_pattern"].to_pylist()


def test_pandas_reads_the_metrics(one_shape, tmp_path):
    pandas = package("pandas")
    folder = exported(one_shape, tmp_path, "format=matrix")
    metrics = pandas.read_csv(folder / "metrics.csv.gz", compression="gzip")
    layout = pandas.read_csv(folder / "layout.csv")
    assert metrics[metrics["step"] == 86].test_accuracy.between(0, 1).all()
    assert list(layout.columns) == ["varname", "start_idx", "end_idx", "shape"]


def test_several_shapes_are_no_matrix(run, tmp_path, capsys):
    folder = tmp_path / "out"
    assert export(run.dataset, folder, "format=matrix") == 1
    said = capsys.readouterr().err
    assert "format=matrix needs networks of one shape" in said
    assert "experiment=one_shape makes a dataset of one" in said
    assert not folder.exists()
    with pytest.raises(ExportError, match="one shape"):
        muat_exp.load_matrix(run.dataset)


def test_the_experiment_of_one_shape_has_one():
    shape = load_config(["experiment=one_shape"]).architecture
    assert shape.num_layers.min == shape.num_layers.max
    assert shape.neurons_per_layer.min == shape.neurons_per_layer.max


def test_nfn_builds_its_layers_from_a_matrix(one_shape):
    package("nfn")
    from nfn.common import WeightSpaceFeatures, network_spec_from_wsfeat
    from nfn.layers import HNPLinear, HNPPool, TupleOp

    matrix = muat_exp.load_matrix(one_shape)
    weights, biases = [], []
    for row in matrix.layout:
        part = torch.from_numpy(matrix.weights[:, row.start_idx : row.end_idx])
        part = part.reshape(len(part), 1, *row.shape)  # with a channel
        if len(row.shape) == 2:
            weights.append(part.transpose(2, 3))
        else:
            biases.append(part)
    features = WeightSpaceFeatures(weights, biases)
    spec = network_spec_from_wsfeat(features)
    pool = HNPPool(spec)
    reader = torch.nn.Sequential(
        HNPLinear(spec, 1, 4), TupleOp(torch.nn.ReLU()), HNPLinear(spec, 4, 2), pool
    )
    assert reader(features).shape == (14, 2, HNPPool.get_num_outs(spec))


# pyg


def test_a_graph_is_the_network(full):
    package("torch_geometric")
    for subject in muat_exp.load_subjects(full.dataset)[:12]:
        graph = subject.to_pyg()
        inputs = subject.features
        assert graph.num_nodes == inputs + subject.architecture.neurons
        assert graph.num_edges + subject.architecture.neurons == subject.architecture.parameters
        assert np.array_equal(graph.x[inputs:, 2:], subject.signature)
        assert graph.pattern == subject.target_pattern
        assert subject.config.patterns.enabled[int(graph.y)] == subject.target_pattern
        batch = torch.rand(3, inputs)
        expected = subject.to_module()(batch)
        torch.testing.assert_close(run_graph(graph, batch), expected, rtol=1e-4, atol=1e-5)


def run_graph(graph, batch):
    """What a network gives for a batch `(rows, inputs)`, from nothing but its graph."""
    from muat_exp.subjects.activations import activation_code, activation_of

    activation = getattr(torch.nn, activation_of(activation_code(graph.activation)).module)()
    sources, targets = graph.edge_index
    values = torch.zeros(graph.num_nodes, len(batch))
    values[graph.layer == 0] = batch.T
    for layer in range(1, int(graph.layer.max()) + 1):
        sums = torch.zeros_like(values)
        sums.index_add_(0, targets, graph.edge_attr * values[sources])
        own = graph.layer == layer
        result = sums[own] + graph.x[own, :1]
        values[own] = result if layer == int(graph.layer.max()) else activation(result)
    return values[graph.layer == graph.layer.max()].T


def test_geometric_batches_graphs_and_convolves_them(run):
    package("torch_geometric")
    from torch_geometric.loader import DataLoader
    from torch_geometric.nn import GCNConv, global_mean_pool

    graphs = muat_exp.load_graphs(run.dataset)
    [batch] = DataLoader(graphs, batch_size=len(graphs))
    convolution = GCNConv(batch.num_node_features, 8)
    hidden = convolution(batch.x, batch.edge_index, batch.edge_attr.abs().flatten())
    assert global_mean_pool(hidden, batch.batch).shape == (28, 8)
    assert batch.y.shape == (len(graphs),)


def test_files_of_graphs_are_loaded_with_weights_only(full, tmp_path):
    package("torch_geometric")
    from torch_geometric.data import Data

    folder = exported(full.dataset, tmp_path, "format=pyg")
    expected = {int(graph.example_id): graph for graph in muat_exp.load_graphs(full.dataset)}
    for split in SPLITS:
        [path] = folder.glob(f"{split}-*.pt")
        graphs = [Data(**values) for values in torch.load(path, weights_only=True)]
        assert len(graphs) == described(folder)["counts"][split]
        for graph in graphs:
            other = expected.pop(int(graph.example_id)).to_dict()
            for name, value in graph.to_dict().items():
                same = torch.equal(value, other[name]) if torch.is_tensor(value) else True
                assert same
                assert torch.is_tensor(value) or value == other[name]
    assert not expected


# The task


def test_the_same_dataset_gives_the_same_bytes(one_shape, tmp_path):
    for name in ("matrix", "pyg"):  # whose containers may hold a time
        first = exported(one_shape, tmp_path / "a", f"format={name}")
        second = exported(one_shape, tmp_path / "b", f"format={name}")
        paths = [path.relative_to(first) for path in first.rglob("*") if path.is_file()]
        assert len(paths) > 2
        for path in paths:
            assert (first / path).read_bytes() == (second / path).read_bytes()


def test_an_export_takes_the_place_of_another_one(one_shape, tmp_path):
    exported(one_shape, tmp_path, "format=trl")
    folder = exported(one_shape, tmp_path, "format=matrix")
    assert not (folder / "jsonl").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".muat_exp", "export"]


def test_what_muat_exp_did_not_make_is_not_replaced(one_shape, tmp_path, capsys):
    folder = exported(one_shape, tmp_path, "format=state_dicts")
    mine = folder / "networks" / "mine.txt"
    mine.write_text("mine")
    assert export(one_shape, tmp_path, "format=matrix") == 1
    assert f"{mine} is in the way of the export" in capsys.readouterr().err
    assert mine.read_text() == "mine"
    assert (folder / "splits.json").exists()


def test_a_folder_of_somebody_else_is_not_replaced(one_shape, tmp_path, capsys):
    (tmp_path / "export").mkdir()
    assert export(one_shape, tmp_path, "format=matrix") == 1
    assert "muat_exp did not make it" in capsys.readouterr().err


def test_a_killed_replacement_is_mended(one_shape, tmp_path):
    folder = exported(one_shape, tmp_path, "format=trl")
    folder.rename(tmp_path / ".export.old")  # killed between two renames
    (tmp_path / ".export.staged").mkdir()
    (tmp_path / ".export.staged" / "half").write_text("half")
    exported(one_shape, tmp_path, "format=matrix")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".muat_exp", "export"]


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        (["format=trl", "dataset=x"], "There is no folder x"),
        ([], "task=export needs format=<one of trl, state_dicts, matrix, pyg>"),
        (["format=tlr"], "format is 'tlr'"),
        (["format=trl", "rows=chat"], "rows is 'chat'"),
        (["format=trl", "over_long=cut"], "over_long is 'cut'"),
        (["format=trl", "max_tokens=-1"], "max_tokens is -1"),
        (["format=trl", "files=pth"], "files is a key of format=state_dicts"),
        (["format=pyg", "rows=messages"], "rows is a key of format=trl"),
        (["format=state_dicts", "files=pickle"], "files is 'pickle'"),
    ],
)
def test_a_wrong_key_is_refused_in_a_sentence(one_shape, tmp_path, capsys, keys, sentence):
    folder = tmp_path / "out"
    assert export(one_shape, folder, *keys) in (1, 2)
    assert sentence in capsys.readouterr().err
    assert not folder.exists()


@pytest.mark.parametrize(
    ("extra", "use"),
    [
        ("safetensors", lambda dataset: format_module("state_dicts").check(Options())),
        ("pyg", muat_exp.load_graphs),
    ],
)
def test_a_missing_extra_is_named(one_shape, monkeypatch, extra, use):
    module = importlib.import_module("muat_exp.exports.formats")
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=rf"pip install 'muat_exp\[{extra}\]'"):
        use(one_shape)
