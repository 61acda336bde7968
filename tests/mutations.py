"""Ways to damage a dataset, each a function of its folder, and the uses that a dataset has."""

import json
import os
import re
import shutil
from dataclasses import replace
from functools import cache, partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from muat_exp.app.compose import load_config
from muat_exp.dataset.checksums import write_checksums
from muat_exp.dataset.hub import check_dataset
from muat_exp.dataset.reading import load_subjects, read_config
from muat_exp.generation.derive import derive
from muat_exp.progress import Silent
from muat_exp.score.judge import judge

ODD: tuple[object, ...] = (
    None,
    -1,
    0,
    2**63 - 1,
    10**30,
    1e300,
    0.5,
    "",
    "x",
    "é" * 1000,
    True,
    [],
    [[1]],
    {},
    {"a": 1},
)
NUMBERS = (-1, 0, 7, 2**31 - 1, float("nan"), float("inf"), -1e30)


def one_file(folder, part):
    return min((folder / part).glob("*.parquet"))


def rewritten(part, change, folder):
    """The table of a file, changed, in its place."""
    path = one_file(folder, part)
    table = change(pq.read_table(path))
    pq.write_table(table, path)


def with_column(name, change, table):
    """A table with another column in the place of one."""
    place = table.schema.get_field_index(name)
    return table.set_column(place, name, change(table[name].combine_chunks()))


def first_cell(value, column):
    """A column with another value in its first row."""
    values = column.to_pylist()
    return pa.array([value(values[0]) if callable(value) else value, *values[1:]], column.type)


def doubled(name, table):
    return table.append_column(name, table[name])


def retyped(kind, column):
    return pa.array([None if kind == pa.null() else sample(kind)] * len(column), kind)


def sample(kind):
    """Some value of a type."""
    samples = {pa.string(): "x", pa.binary(): b"\xff", pa.bool_(): True, pa.int64(): 3}
    samples |= {
        pa.float64(): 0.5,
        pa.list_(pa.int64()): [1],
        pa.struct([("a", pa.int8())]): {"a": 1},
    }
    return samples[kind]


KINDS = (
    pa.string(),
    pa.binary(),
    pa.bool_(),
    pa.int64(),
    pa.float64(),
    pa.list_(pa.int64()),
    pa.struct([("a", pa.int8())]),
    pa.null(),
)


def column_mutations(part, table):
    """Mutations of every column of a file, by name."""
    for field in table.schema:
        name = field.name
        yield (
            f"{part}: without {name}",
            partial(rewritten, part, lambda table, name=name: table.drop_columns(name)),
        )
        yield f"{part}: {name} twice", partial(rewritten, part, partial(doubled, name))
        for kind in KINDS:
            if kind != field.type:
                yield (
                    f"{part}: {name} as {kind}",
                    partial(rewritten, part, partial(with_column, name, partial(retyped, kind))),
                )
        for label, value in cells(field.type):
            yield (
                f"{part}: {name} with {label}",
                partial(rewritten, part, partial(with_column, name, partial(first_cell, value))),
            )


def cells(kind):
    """Odd values of one cell, by name."""
    yield "null", None
    if pa.types.is_floating(kind):
        yield from ((str(value), float(value)) for value in NUMBERS)
    elif pa.types.is_integer(kind):
        most = 2 ** (kind.bit_width - 1) - 1
        yield from ((str(value), value) for value in (-1, 0, 7, 200, most, -most - 1))
    elif pa.types.is_string(kind):
        yield from (("nothing", ""), ("an unknown name", "x"), ("a long text", "a, b" * 20_000))
    elif pa.types.is_list(kind):
        inner = [None] if pa.types.is_string(kind.value_type) else [None, *NUMBERS]
        for value in inner:
            yield f"{value} within", lambda row, value=value: [value, *row[1:]]
        yield "an empty list", []
        yield "one fewer", lambda row: row[:-1]
        yield "one more", lambda row: [*row, row[0]]
        yield "many more", lambda row: row * 1000
    elif pa.types.is_struct(kind):
        for value in (None, -1.0, float("nan"), 2.0):
            yield f"{value} within", lambda row, value=value: dict.fromkeys(row, value)


def row_mutations(part):
    """Mutations of the rows of a file, by name."""
    changes = {
        "no rows": lambda table: table.slice(0, 0),
        "a row less": lambda table: table.slice(1),
        "a row twice": lambda table: pa.concat_tables([table, table.slice(0, 1)]),
        "all rows twice": lambda table: pa.concat_tables([table, table]),
        "rows in another order": lambda table: table.take(pa.array(range(len(table))[::-1])),
        "columns in another order": lambda table: table.select(table.column_names[::-1]),
        "no columns": lambda table: table.select([]),
    }
    for name, change in changes.items():
        yield f"{part}: {name}", partial(rewritten, part, change)


def replaced(name, make, folder):
    """Something else in the place of a file; it may also be named by its part."""
    path = one_file(folder, name) if name.endswith("/") else folder / name
    content = path.read_bytes()
    path.unlink()
    make(path, content)


def file_mutations(name):
    """Mutations of a file as bytes, and of what it is."""
    generator = np.random.default_rng(0)

    def noise(path, content):
        changed = bytearray(content)
        for place in generator.integers(0, len(content), 20):
            changed[place] = generator.integers(256)
        path.write_bytes(changed)

    makers = {
        "removed": lambda path, content: None,
        "empty": lambda path, content: path.write_bytes(b""),
        "half": lambda path, content: path.write_bytes(content[: len(content) // 2]),
        "without its end": lambda path, content: path.write_bytes(content[:-3]),
        "with more": lambda path, content: path.write_bytes(content + b"x" * 100),
        "noise": lambda path, content: path.write_bytes(os.urandom(1000)),
        "changed": noise,
        "changed again": noise,
        "a pipe": lambda path, content: os.mkfifo(path),
        "a folder": lambda path, content: path.mkdir(),
        "a device": lambda path, content: path.symlink_to("/dev/zero"),
        "a link out": lambda path, content: path.symlink_to("/etc/hostname"),
        "a circle": lambda path, content: path.symlink_to(path.name),
    }
    for label, make in makers.items():
        yield f"{name}: {label}", partial(replaced, name, make)


def edited(name, keys, value, folder):
    """A YAML or JSON file with another value of a key."""
    path = folder / name
    text = path.read_text()
    content = json.loads(text) if name.endswith("json") else yaml.safe_load(text)
    place = content
    for key in keys[:-1]:
        place = place[key]
    if value is REMOVED:
        del place[keys[-1]]
    else:
        place[keys[-1]] = value
    path.write_text(json.dumps(content) if name.endswith("json") else yaml.safe_dump(content))


REMOVED = object()


def keys_of(content, depth=3):
    """The keys of nested mappings, each as a tuple."""
    for key, value in content.items():
        yield (key,)
        if isinstance(value, dict) and depth > 1:
            yield from ((key, *rest) for rest in keys_of(value, depth - 1))


def key_mutations(name, content):
    """Mutations of every key of a YAML or JSON file, by name."""
    for keys in keys_of(content):
        for value in (REMOVED, *ODD):
            label = "removed" if value is REMOVED else repr(value)[:20]
            yield f"{name}: {'.'.join(map(str, keys))} {label}", partial(edited, name, keys, value)


def written(name, content, folder):
    (folder / name).write_bytes(content)


def text_mutations(name):
    """Whole other contents of a YAML or JSON file, by name."""
    contents = {
        "deep lists": b"[" * 60_000,
        "deep and closed": b"[" * 990 + b"]" * 990,
        "deep mappings": b'{"a":' * 1000 + b"1" + b"}" * 1000,
        "a tag": b"a: !!python/object/apply:os.getcwd []",
        "dates": b"seed: 2024-01-01\nworkers: 2024-99-99\n",
        "huge number": b"seed: " + b"9" * 5000,
        "hexadecimal": b"seed: 0x" + b"f" * 50_000,
        "sixties": b"seed: " + b"1:" * 1000 + b"1.5",
        "not a number": b"seed: .nan\n",
        "a key twice": b'{"seed": 1, "seed": 2}',
        "keys of numbers": b"1: 2\n",
        "a list": b"[1, 2]",
        "null": b"null",
        "text": b'"x"',
        "latin": b"\xff\xfe",
        "null byte": b"\x00",
    }
    for label, content in contents.items():
        yield f"{name}: {label}", partial(written, name, content)


def spoilt(pattern, value, folder):
    """The configuration with another value of a key, as text."""
    path = folder / "config.yaml"
    path.write_text(re.sub(pattern, value, path.read_text(), count=1))


def all_mutations(dataset):
    """Every mutation of a dataset, by name."""
    for part in ("subjects", "prompts"):
        yield from column_mutations(part, pq.read_table(one_file(dataset, part)))
        yield from row_mutations(part)
    names = ("subjects/", "prompts/", "config.yaml", "summary.json", "probe_set.json", "SHA256SUMS")
    for name in names:
        yield from file_mutations(name)
    for name in ("summary.json", "probe_set.json"):
        yield from key_mutations(name, json.loads((dataset / name).read_text()))
        yield from text_mutations(name)
    yield from key_mutations("config.yaml", yaml.safe_load((dataset / "config.yaml").read_text()))
    yield from text_mutations("config.yaml")


@cache
def composed(*overrides):
    return load_config([*overrides, "dataset_dir=any"])


def use_subjects(folder, scratch, workers):
    """Everything that can be asked of loaded subjects."""
    subjects = load_subjects(folder)
    for subject in subjects:
        subject.record, subject.signature, subject.to_module()
    subjects[0].validation()
    subjects[-1].to_module(degraded=True)
    subjects.population()
    subjects.population(degraded=True)
    subjects.probes  # noqa: B018


def use_derive(folder, scratch, workers, *overrides):
    """Another dataset is made from it."""
    config = replace(composed(*overrides), patterns=read_config(folder).patterns)
    given = [override.partition("=")[0] for override in overrides[1:]]
    derive(folder, config, given, scratch / "made" / "dataset", workers, Silent())


def use_score(folder, scratch, workers):
    """Two files of answers are judged by it: names, and weights."""
    judge(folder, scratch / "names.jsonl", "", 1)
    judge(folder, scratch / "weights.jsonl", "", 1)


def use_publish(folder, scratch, workers):
    check_dataset(folder)


USES = {
    "load": use_subjects,
    "render": lambda *place: use_derive(*place, "task=render", "dataset.style=interwoven"),
    "signature": lambda *place: use_derive(*place, "task=signature", "signature=mean_std"),
    "score": use_score,
    "publish": use_publish,
}


def prepare(dataset, scratch):
    """Files of answers to a dataset."""
    subjects = load_subjects(dataset)
    rows = [{"example_id": s.example_id, "completion": s.target_pattern} for s in subjects]
    (scratch / "names.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    row = {"example_id": subjects[0].example_id, "completion": "{}", "task": "modification"}
    (scratch / "weights.jsonl").write_text(json.dumps(row) + "\n")


def damaged(dataset, mutate, scratch):
    """A damaged copy of a dataset, its checksums as if nobody had damaged it."""
    copy = scratch / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.rmtree(scratch / "made", ignore_errors=True)
    (scratch / "made").mkdir()
    shutil.copytree(dataset, copy)
    sums = (copy / "SHA256SUMS").stat()
    mutate(copy)
    if (copy / "SHA256SUMS").is_file() and (
        copy / "SHA256SUMS"
    ).stat().st_mtime_ns == sums.st_mtime_ns:
        (copy / "SHA256SUMS").unlink()
        write_checksums(copy)
    return copy
