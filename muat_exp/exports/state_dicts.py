"""The format `state_dicts`: a file of weights for each network, and `splits.json`.

As DWSNets, neural-graphs, ScaleGMN and ProbeGen read: `splits.json` has `path` and `label`, two
lists of the same length, for each of `train`, `val` and `test`. Paths are relative to the folder of
the export. Labels are whole numbers, which `export.json` names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from muat_exp.exports.formats import Options, Written, require_package
from muat_exp.exports.labelled import LabelledSubjects
from muat_exp.subjects.architecture import split_parameters

if TYPE_CHECKING:
    import torch

_FOLDER = "networks"
_SPLITS = {"train": "train", "validation": "val", "test": "test"}  # as these readers call them


class StateDict(NamedTuple):
    """A network as `nn.Sequential` has it, and what is known of it.

    Attributes:
        example_id: its number.
        split: train, validation or test.
        label: its target pattern, as an index into `patterns.enabled`.
        tensors: float32 by name, `0.weight` (out, in), `0.bias`, `2.weight`, ...: the order of the
            layers. `Subject.to_module().load_state_dict` takes them.
    """

    example_id: int
    split: str
    label: int
    tensors: dict[str, torch.Tensor]


def load_state_dicts(dataset: Path | str) -> Iterator[StateDict]:
    """The networks of a dataset, one after another.

    Args:
        dataset: its folder; a text may also be its `<owner>/<name>` on the Hugging Face Hub.

    Raises:
        DatasetError: there is no such dataset, or it is not readable.
    """
    import torch

    labelled = LabelledSubjects(dataset)
    for row in range(len(labelled)):
        arrays = _arrays(labelled, row)
        yield StateDict(
            example_id=int(labelled.ids[row]),
            split=str(labelled.splits[row]),
            label=int(labelled.labels[row]),
            tensors={name: torch.from_numpy(array.copy()) for name, array in arrays.items()},
        )


def check(options: Options) -> None:
    """Refuses files whose package is missing."""
    if options.files == "safetensors":
        require_package("safetensors", "safetensors", "files=safetensors")


def write(dataset: Path, folder: Path, options: Options) -> Written:
    """Writes `splits.json` and `networks/<example_id>.<kind>`.

    Raises:
        DatasetError: the dataset is not readable.
    """
    labelled = LabelledSubjects(dataset)
    save = _writer(options.files)
    paths = [f"{_FOLDER}/{number}.{options.files}" for number in labelled.ids.tolist()]
    (folder / _FOLDER).mkdir()
    for row, path in enumerate(paths):
        save(_arrays(labelled, row), folder / path)
    (folder / "splits.json").write_bytes(orjson.dumps(_splits(labelled, paths)))
    return Written(labelled.counts(), facts={"patterns": labelled.patterns})


def _arrays(labelled: LabelledSubjects, row: int) -> dict[str, NDArray[np.float32]]:
    """A network's weights and biases by name, as views."""
    layers = labelled.population.layers(row)
    pairs = split_parameters(labelled.population.subject(row), layers)
    arrays = {}
    for layer, (weight, bias) in zip(layers, pairs, strict=True):
        arrays[f"{layer.module}.weight"] = weight
        arrays[f"{layer.module}.bias"] = bias
    return arrays


def _splits(labelled: LabelledSubjects, paths: list[str]) -> dict[str, dict[str, list[object]]]:
    """The content of `splits.json`; a split that the dataset lacks is there and empty."""
    content: dict[str, dict[str, list[object]]]
    content = {name: {"path": [], "label": []} for name in _SPLITS.values()}
    rows = zip(labelled.splits.tolist(), paths, labelled.labels.tolist(), strict=True)
    for split, path, label in rows:
        part = content[_SPLITS[split]]
        part["path"].append(path)
        part["label"].append(label)
    return content


def _writer(kind: str) -> Callable[[Mapping[str, NDArray[np.float32]], Path], None]:
    """What writes a network's arrays to a file of a kind."""
    return {"safetensors": _save_safetensors, "pth": _save_pth}[kind]


def _save_safetensors(arrays: Mapping[str, NDArray[np.float32]], path: Path) -> None:
    """Writes a `.safetensors` file, which keeps the names but not their order."""
    from safetensors.numpy import save_file

    save_file(dict(arrays), path)


def _save_pth(arrays: Mapping[str, NDArray[np.float32]], path: Path) -> None:
    """Writes a `.pth` file of plain tensors, which `torch.load(weights_only=True)` reads."""
    import torch

    # Copies: of a view, torch would store all that it is a view of.
    tensors = {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
    torch.save(tensors, path)
