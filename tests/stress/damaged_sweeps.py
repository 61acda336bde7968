"""Damages of a sweep's folder: of the sweep's own files, and of those of its jobs."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from stress.damage import Draw, Unfit
from stress.damaged_texts import replace_file

_RECORDS = (
    "job.json",
    "summary.json",
    "config.json",
    "dataset/summary.json",
    "dataset/config.yaml",
)
_TABLES = ("sweep.json", "sweep.csv", "sweep.md", "multirun.yaml", ".muat_exp")
_ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1.5,
    10**400,
    2**63,
    "",
    "x",
    [],
    {},
    [None],
    {"a": 1},
    [[1]],
    "1e999",
)


class Harm(NamedTuple):
    """What was done to a sweep.

    Attributes:
        what: in a few words.
        jobs: the jobs whose rows may differ from the undamaged ones.
        numbers: whether the figures of these jobs may be others, as what was changed has no
            checksum; else they are the undamaged ones or none.
        keys: whether the table may have other columns of swept keys.
        absent: the jobs that nothing tells of any more.
    """

    what: str
    jobs: tuple[int, ...] = ()
    numbers: bool = True
    keys: bool = False
    absent: tuple[int, ...] = ()


HARMS: dict[str, Callable[[Draw, Path], Harm]] = {}


def harm(function: Callable[[Draw, Path], Harm]) -> Callable[[Draw, Path], Harm]:
    """Registers a function as a damage of sweeps, under its own name."""
    HARMS[function.__name__.replace("_", " ")] = function
    return function


def _job(draw: Draw, sweep: Path) -> int:
    """The number of one of the jobs."""
    return draw.choice(sorted(int(path.name) for path in sweep.iterdir() if path.name.isdecimal()))


def _bytes(draw: Draw, path: Path) -> str:
    """Gives a file other bytes; returns which."""
    content = path.read_bytes()
    contents = {
        "empty": b"",
        "cut": content[: draw.randrange(1, len(content))],
        "not UTF-8": b"\xff\xfe" + content,
        "zeros": bytes(len(content)),
        "twice": content + content,
        "null": b"null",
        "a number": b"5",
        "a list": b"[]",
        "a list of null": b"[null]",
        "a list of numbers": b"[1, 2]",
        "a list of texts": b'["a"]',
        "an object": b"{}",
        "deep": b"[" * 100_000,
        "deep objects": b'{"a":' * 100_000,
        "NaN": b'{"a": NaN}',
        "of 70 MiB": content + b" " * (70 * 2**20),
        "a half letter": b'["\\ud800"]',
    }
    name = draw.choice(sorted(contents))
    path.write_bytes(contents[name])
    return name


def _values(draw: Draw, path: Path) -> str:
    """Changes or takes away a value of a JSON file; returns which."""
    content = json.loads(path.read_bytes())
    places = list(_places(content))
    if not places:
        raise Unfit
    place = draw.choice(places)
    parent: Any = content
    for key in place[:-1]:
        parent = parent[key]
    shown = ".".join(map(str, place))
    if draw.random() < 0.4:
        del parent[place[-1]]
        path.write_text(json.dumps(content))
        return f"without {shown}"
    parent[place[-1]] = draw.choice(_ODD)
    path.write_text(json.dumps(content))
    return f"{shown} is {str(parent[place[-1]])[:20]!r}"


def _places(content: Any, above: tuple[Any, ...] = ()) -> Any:
    """The place of every value within a content."""
    pairs: Any = ()
    if isinstance(content, dict):
        pairs = content.items()
    elif isinstance(content, list):
        pairs = enumerate(content[:3])
    for key, value in pairs:
        yield (*above, key)
        yield from _places(value, (*above, key))


@harm
def the_record_of_a_job_has_other_bytes(draw: Draw, sweep: Path) -> Harm:
    job = _job(draw, sweep)
    name = draw.choice(_RECORDS)
    what = _bytes(draw, sweep / str(job) / name)
    return Harm(f"{job}/{name} is {what}", (job,), keys=name == "job.json")


@harm
def the_record_of_a_job_has_other_values(draw: Draw, sweep: Path) -> Harm:
    job = _job(draw, sweep)
    name = draw.choice([name for name in _RECORDS if name.endswith(".json")])
    what = _values(draw, sweep / str(job) / name)
    return Harm(f"{job}/{name} {what}", (job,), keys=name == "job.json")


@harm
def the_record_of_a_job_is_something_else(draw: Draw, sweep: Path) -> Harm:
    job = _job(draw, sweep)
    name = draw.choice(_RECORDS)
    what = replace_file(draw, sweep / str(job) / name)
    return Harm(f"{job}/{name} is {what}", (job,), keys=name == "job.json")


@harm
def the_record_of_a_job_is_missing(draw: Draw, sweep: Path) -> Harm:
    job = _job(draw, sweep)
    name = draw.choice(_RECORDS)
    (sweep / str(job) / name).unlink()
    return Harm(f"{job}/{name} is missing", (job,), keys=name == "job.json")


@harm
def the_plan_is_damaged(draw: Draw, sweep: Path) -> Harm:
    what = _bytes(draw, sweep / "sweep-plan.json")
    return Harm(f"sweep-plan.json is {what}", keys=True)


@harm
def the_plan_has_other_values(draw: Draw, sweep: Path) -> Harm:
    return Harm(f"sweep-plan.json: {_values(draw, sweep / 'sweep-plan.json')}", keys=True)


@harm
def the_plan_is_something_else(draw: Draw, sweep: Path) -> Harm:
    return Harm(f"sweep-plan.json is {replace_file(draw, sweep / 'sweep-plan.json')}", keys=True)


@harm
def the_plan_is_missing(draw: Draw, sweep: Path) -> Harm:
    (sweep / "sweep-plan.json").unlink()
    return Harm("sweep-plan.json is missing", keys=True)


@harm
def an_older_table_is_damaged(draw: Draw, sweep: Path) -> Harm:
    name = draw.choice([*_TABLES, "improvement.png", "patterns.svg"])
    path = sweep / name
    which = draw.choice(["bytes", "other", "missing"])
    if which == "bytes":
        return Harm(f"{name} is {_bytes(draw, path)}")
    if which == "missing":
        path.unlink()
        return Harm(f"{name} is missing")
    return Harm(f"{name} is {replace_file(draw, path)}")


@harm
def a_cohort_has_other_bytes(draw: Draw, sweep: Path) -> Harm:
    job = _job(draw, sweep)
    path = draw.choice(sorted((sweep / str(job) / "cohorts").glob("*")))
    content = path.read_bytes()
    flipped = bytearray(content)
    which = draw.choice(["empty", "cut", "flipped", "text"])
    if which == "flipped":
        place = draw.randrange(len(flipped))
        flipped[place] ^= 1 << draw.randrange(8)
    held: dict[str, bytes] = {
        "empty": b"",
        "cut": content[: draw.randrange(1, len(content))],
        "flipped": bytes(flipped),
        "text": b"no table",
    }
    path.write_bytes(held[which])
    return Harm(f"{job}/cohorts/{path.name} is {which}", (job,), numbers=False)


@harm
def a_cohort_has_other_values(draw: Draw, sweep: Path) -> Harm:
    job = _job(draw, sweep)
    path = draw.choice(sorted((sweep / str(job) / "cohorts").glob("*.arrow")))
    table = pa.ipc.open_file(pa.BufferReader(path.read_bytes())).read_all()
    at = table.schema.get_field_index("improvement")
    values = [draw.choice([9.0, float("nan"), float("inf")]) for _ in range(table.num_rows)]
    which = draw.choice(["changed", "missing", "retyped"])
    if which == "missing":
        table = table.drop_columns(["improvement"])
    elif which == "retyped":
        table = table.set_column(at, "improvement", pa.array(map(str, values)))
    else:
        table = table.set_column(at, "improvement", pa.array(values, table.schema.field(at).type))
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return Harm(f"{job}/cohorts/{path.name}: improvement {which}", (job,), numbers=False)


@harm
def cohorts_are_missing(draw: Draw, sweep: Path) -> Harm:
    job = _job(draw, sweep)
    cohorts = sweep / str(job) / "cohorts"
    which = draw.choice(["the folder", "one", "the manifest", "a link", "a file"])
    if which == "one":
        draw.choice(sorted(cohorts.glob("*.arrow"))).unlink()
    elif which == "the manifest":
        (cohorts / "manifest.jsonl").unlink()
    else:
        shutil.rmtree(cohorts)
    if which == "a link":
        cohorts.symlink_to("cohorts")
    elif which == "a file":
        cohorts.write_text("x")
    return Harm(f"{job}/cohorts: {which} missing", (job,), numbers=False)


@harm
def the_manifest_has_other_bytes(draw: Draw, sweep: Path) -> Harm:
    job = _job(draw, sweep)
    what = _bytes(draw, sweep / str(job) / "cohorts/manifest.jsonl")
    return Harm(f"{job}/cohorts/manifest.jsonl is {what}", (job,), numbers=False)


@harm
def a_file_of_a_job_is_something_else(draw: Draw, sweep: Path) -> Harm:
    job = _job(draw, sweep)
    run = sweep / str(job)
    found = sorted([*run.glob("dataset/subjects/*.parquet"), *run.glob("cohorts/*")])
    path = draw.choice(found)
    return Harm(f"{path.relative_to(sweep)} is {replace_file(draw, path)}", (job,), numbers=False)


@harm
def the_subjects_of_a_job_have_other_values(draw: Draw, sweep: Path) -> Harm:
    job = _job(draw, sweep)
    [path] = (sweep / str(job)).glob("dataset/subjects/*.parquet")
    table = pq.ParquetFile(path).read()
    name = draw.choice(["improvement", "target_pattern"])
    which = draw.choice(["changed", "missing", "null", "retyped", "no rows"])
    at = table.schema.get_field_index(name)
    kind = table.schema.field(name).type
    if which == "missing":
        table = table.drop_columns([name])
    elif which == "null":
        table = table.set_column(at, name, pa.nulls(table.num_rows, kind))
    elif which == "retyped":
        table = table.set_column(at, name, pa.array([[1]] * table.num_rows))
    elif which == "no rows":
        table = table.slice(0, 0)
    else:
        value = 0.9 if name == "improvement" else "no pattern"
        table = table.set_column(at, name, pa.array([value] * table.num_rows, kind))
    pq.write_table(table, path)
    return Harm(f"{job}: {name} of its subjects {which}", (job,), numbers=False)


@harm
def the_subjects_of_a_job_have_other_bytes(draw: Draw, sweep: Path) -> Harm:
    job = _job(draw, sweep)
    [path] = (sweep / str(job)).glob("dataset/subjects/*.parquet")
    content = path.read_bytes()
    flipped = bytearray(content)
    which = draw.choice(["empty", "cut", "flipped", "text"])
    for _ in range(20):
        flipped[draw.randrange(len(flipped))] ^= 1
    held: dict[str, bytes] = {
        "empty": b"",
        "cut": content[:-20],
        "flipped": bytes(flipped),
        "text": b"no table",
    }
    path.write_bytes(held[which])
    return Harm(f"{job}: its subjects are {which}", (job,), numbers=False)


@harm
def the_dataset_of_a_job_is_missing(draw: Draw, sweep: Path) -> Harm:
    job = _job(draw, sweep)
    dataset = sweep / str(job) / "dataset"
    which = draw.choice(["missing", "empty", "a file", "a link", "a loop", "without subjects"])
    if which == "without subjects":
        shutil.rmtree(dataset / "subjects")
        return Harm(f"{job}: dataset {which}", (job,), numbers=False)
    shutil.rmtree(dataset)
    if which == "empty":
        dataset.mkdir()
    elif which == "a file":
        dataset.write_text("x")
    elif which == "a link":
        dataset.symlink_to("/tmp")
    elif which == "a loop":
        dataset.symlink_to("dataset")
    return Harm(f"{job}: dataset {which}", (job,), numbers=False)


@harm
def a_job_is_missing(draw: Draw, sweep: Path) -> Harm:
    job = _job(draw, sweep)
    run = sweep / str(job)
    which = draw.choice(["missing", "empty", "a file", "a loop", "a pipe"])
    shutil.rmtree(run)
    if which == "empty":
        run.mkdir()
    elif which == "a file":
        run.write_text("x")
    elif which == "a loop":
        run.symlink_to(run.name)
    elif which == "a pipe":
        os.mkfifo(run)
    return Harm(f"{job} is {which}", (job,))


@harm
def all_jobs_are_missing(draw: Draw, sweep: Path) -> Harm:
    jobs = tuple(int(path.name) for path in sweep.iterdir() if path.name.isdecimal())
    for job in jobs:
        shutil.rmtree(sweep / str(job))
    return Harm("no job is there", jobs)


@harm
def folders_with_odd_numbers(draw: Draw, sweep: Path) -> Harm:
    name = draw.choice(["00", "01", "٣", "²", "-1", "9", "99999999999999999999999", "1.5", "x"])
    shutil.copytree(sweep / "0", sweep / name)
    return Harm(f"0 again as {name}", (0, 1, 2, 3))


@harm
def jobs_change_places(draw: Draw, sweep: Path) -> Harm:
    first, second = draw.sample(range(4), 2)
    (sweep / str(first)).rename(sweep / "held")
    (sweep / str(second)).rename(sweep / str(first))
    (sweep / "held").rename(sweep / str(second))
    return Harm(f"{first} and {second} change places", (first, second))


@harm
def a_job_that_did_not_finish(draw: Draw, sweep: Path) -> Harm:
    job = _job(draw, sweep)
    path = sweep / str(job) / "job.json"
    content = json.loads(path.read_bytes())
    content["status"] = draw.choice(["running", "failed", "missing", "unknown", ""])
    content["error"] = draw.choice(["", "[red]x[/red]", "[/]", "é\n\n", "x" * 10_000, "$x_{$"])
    path.write_text(json.dumps(content))
    return Harm(f"{job} is {content['status']!r}", (job,), keys=True)


@harm
def odd_overrides(draw: Draw, sweep: Path) -> Harm:
    job = _job(draw, sweep)
    path = sweep / str(job) / "job.json"
    content = json.loads(path.read_bytes())
    odd = ["", "=", "seed", "a=$x_{$", "[/red]=1", "job=7", "status=x", "improvement=$", "é=1"]
    odd += ["patterns=x", "corruption.rate=nan", "corruption.rate=inf", "seed=1e400", "rejected=1"]
    content["overrides"] = [*content["overrides"], draw.choice(odd)]
    path.write_text(json.dumps(content))
    return Harm(f"{job} with {content['overrides'][-1]!r}", (job,), keys=True)
