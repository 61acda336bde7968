"""Eight small runs make the datasets that were recorded of them, to the last bit.

What a change of the code may not change: which subjects are found, their weights, signatures and
texts. The digests hold on processors of the kind they were recorded on, with the same versions of
Numba and NumPy. Other processors may round otherwise: there, the tables are compared with what was
recorded of them within a tolerance.

`python tests/test_same_bytes.py` records them anew; do that only where the data are meant to
change.
"""

import hashlib
import json
import tempfile
from pathlib import Path

import llvmlite.binding
import numba
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import muat_exp

RECORDED = Path(__file__).parent / "recorded" / "same_bytes.json"
EXAMPLES = 56
COLUMNS = (
    "[improved_signature,improved_model_weights,degraded_signature,degraded_model_weights,"
    "training_metrics]"
)
METHODS = "[mean,std,min,max,sparsity,entropy,pca,svd,clustering,fourier,pattern_wise]"
RUNS: dict[str, list[str]] = {
    "default": [],
    "published": ["experiment=muat_pca_10_medium_published"],
    "two_target_patterns": ["patterns.per_subject.min=2", "patterns.per_subject.max=2"],
    "every_activation_with_dropout": [
        "architecture.activations=[relu,gelu,tanh,sigmoid,leaky_relu]",
        "architecture.dropout=0.1",
    ],
    "int4_in_bfloat16": ["architecture.quantization=int4", "architecture.precision=bfloat16"],
    "every_signature_method": ["signature=full", f"signature.methods={METHODS}"],
    "modification_interwoven_all_columns": [
        "dataset.tasks=[classification,modification]",
        "dataset.style=interwoven",
        f"dataset.columns={COLUMNS}",
    ],
    "sampled_space": ["patterns.vocab_size=26", "patterns.sequence_length=20"],
}
SCORES = ("degraded_accuracy", "improved_accuracy", "degraded_test_accuracy", "test_accuracy")


def platform() -> str:
    """What the last bits of a result depend on."""
    processor = llvmlite.binding.get_host_cpu_name()
    features = llvmlite.binding.get_host_cpu_features().flatten()
    kind = hashlib.sha256(features.encode()).hexdigest()[:8]
    return f"{processor}-{kind}, numba {numba.__version__}, numpy {np.__version__}"


def make(name: str, folder: Path) -> dict[str, pa.Table]:
    """The two tables of a run."""
    overrides = [f"dataset.num_examples={EXAMPLES}", "logger=none", "progress=false", "workers=2"]
    result = muat_exp.generate(muat_exp.load_config([*RUNS[name], *overrides]), folder)
    return {part: pq.read_table(result.dataset / part) for part in ("subjects", "prompts")}


def digest(table: pa.Table) -> str:
    """Hash of a table's names, types and values.

    The configuration's own hash, which every prompt's metadata quote, is left out: it is a name of
    the run, and changes when the configuration gets another key. So are the fields of `response`
    that are null throughout, of patterns that are not enabled: there are more when a pattern is
    added.
    """
    total = hashlib.sha256()
    table = with_enabled_responses(table)
    for field in table.schema:
        values = table[field.name].to_pylist()
        if field.name == "metadata":
            values = [without_signature(value) for value in values]
        total.update(f"{field.name} {field.type} {values!r}\n".encode())
    return total.hexdigest()


def with_enabled_responses(table: pa.Table) -> pa.Table:
    """The table with no field of `response` that is null in all rows; the others as they are."""
    place = table.schema.get_field_index("response")
    if place < 0:
        return table
    shares = table["response"].combine_chunks()
    kept = [field for field in shares.type if shares.field(field.name).null_count < len(shares)]
    return table.set_column(place, "response", shares.cast(pa.struct(kept)))


def without_signature(metadata: str) -> str:
    """Metadata with a dash for the configuration's hash; everything else as it is written."""
    return metadata.replace(json.loads(metadata)["config_signature"], "-")


def outline(table: pa.Table) -> dict[str, list[float]]:
    """What is compared where bits may differ.

    Which examples there are, and some numbers of each.
    """
    lists = {
        f"{name}_size": [float(np.abs(row).mean()) for row in table[name].to_pylist()]
        for name in ("weights", "signature")
    }
    named = {name: table[name].to_pylist() for name in ("example_id", *SCORES)}
    return {key: [round(value, 6) for value in values] for key, values in (named | lists).items()}


def compare_outlines(here: dict[str, list[float]], there: dict[str, list[float]]) -> None:
    """Rounding moves an example over a threshold now and then, and its numbers by a little."""
    common = sorted(set(here["example_id"]) & set(there["example_id"]))
    assert len(common) >= 0.9 * EXAMPLES
    for name in here:
        pairs = [dict(zip(side["example_id"], side[name], strict=True)) for side in (here, there)]
        apart = [abs(pairs[0][number] - pairs[1][number]) for number in common]
        assert np.median(apart) <= 0.02, name


@pytest.mark.parametrize("name", RUNS)
def test_a_run_makes_what_was_recorded_of_it(name, tmp_path):
    recorded = json.loads(RECORDED.read_bytes())
    tables = make(name, tmp_path)
    if recorded["platform"] == platform():
        found = {part: digest(table) for part, table in tables.items()}
        assert found == recorded["digests"][name]
    compare_outlines(outline(tables["subjects"]), recorded["outlines"][name])


def record() -> None:
    """Writes what the runs make here."""
    digests, outlines = {}, {}
    for name in RUNS:
        with tempfile.TemporaryDirectory() as folder:
            tables = make(name, Path(folder))
        digests[name] = {part: digest(table) for part, table in tables.items()}
        outlines[name] = outline(tables["subjects"])
        print(name, digests[name])
    content = {"platform": platform(), "digests": digests, "outlines": outlines}
    RECORDED.write_text(json.dumps(content) + "\n")


if __name__ == "__main__":
    record()
