"""A gathered sweep as files in its folder: `sweep.csv`, `sweep.json` and `sweep.md`."""

import csv
from collections.abc import Mapping
from typing import Any

import orjson

from muat_exp.claims import write_output
from muat_exp.files import atomic_path, remove_partial_files
from muat_exp.sweep.folder import claim_tables
from muat_exp.sweep.gather import Row, Sweep
from muat_exp.sweep.jobs import FINISHED, Job
from muat_exp.sweep.labels import Value, column, printable
from muat_exp.sweep.report import markdown
from muat_exp.sweep.results import PatternResult

Values = dict[str, Any]
OWN_COLUMNS = (
    "job",
    "folder",
    "status",
    "error",
    "attempts",
    "accepted",
    "acceptance",
    "degraded_accuracy",
    "improved_accuracy",
    "test_accuracy",
    "improvement",
    "improvement_low",
    "improvement_high",
    "objective",
    "attempts_per_second",
    "seconds",
    "rejected",
    "patterns",
    "paired_difference",
    "paired_low",
    "paired_high",
    "paired_subjects",
    "paired_with",
)


def write_tables(sweep: Sweep) -> None:
    """Writes all of them, one row per job."""
    claim_tables(sweep.folder)
    remove_partial_files(sweep.folder)  # of a gathering that was killed
    _write_csv(sweep)
    _write_json(sweep)
    write_output(sweep.folder / "sweep.md", markdown(sweep).encode())


def flat_rows(sweep: Sweep) -> list[Values]:
    """One row per job with results, without nesting, None in the place of every NaN."""
    rows: list[Values] = orjson.loads(orjson.dumps([_flat(row) for row in sweep.rows]))
    return rows


def _write_json(sweep: Sweep) -> None:
    """Writes `sweep.json`: swept keys, a row per job with results, and the unfinished jobs."""
    content = {
        "swept": sweep.keys,
        "jobs": [_nested(row) for row in sweep.rows],
        "unfinished": [_state(job) for job in sweep.jobs if job.status != FINISHED],
        "faults": sweep.faults,
    }
    # NaN becomes null, as JSON needs it.
    text = orjson.dumps(content, option=orjson.OPT_INDENT_2)
    write_output(sweep.folder / "sweep.json", text)


def _state(job: Job) -> Values:
    """What is known of an unfinished job."""
    return {
        "job": job.number,
        "folder": printable(job.folder),
        "overrides": list(job.overrides),
        "status": job.status,
        "error": job.error,
    }


def _swept_columns(swept: Mapping[str, Value]) -> Values:
    """The columns of the swept keys."""
    return {column(key, OWN_COLUMNS): value for key, value in swept.items()}


def _nested(row: Row) -> Values:
    """A row as `sweep.json` holds it."""
    return {
        "job": row.job.number,
        "folder": printable(row.job.folder),
        "status": row.job.status,
        **_swept_columns(row.swept),
        **_found(row),
        "rejected": row.result.rejected,
        "patterns": {
            name: _pattern_columns(result) for name, result in row.result.patterns.items()
        },
        **_paired(row),
    }


def _found(row: Row) -> Values:
    """The columns of what a job found, but for those by reason and by pattern."""
    result = row.result
    return {
        "attempts": result.attempts,
        "accepted": result.accepted,
        "acceptance": result.acceptance,
        **result.accuracies,
        "improvement": result.improvement.value,
        "improvement_low": result.improvement.low,
        "improvement_high": result.improvement.high,
        "objective": result.objective,
        "attempts_per_second": result.attempts_per_second,
        "seconds": result.seconds,
    }


def _paired(row: Row) -> Values:
    """The columns of a job beside its reference."""
    pair = row.pair
    return {
        "paired_difference": pair.difference.value,
        "paired_low": pair.difference.low,
        "paired_high": pair.difference.high,
        "paired_subjects": pair.subjects,
        "paired_with": pair.reference,
    }


def _pattern_columns(result: PatternResult) -> Values:
    """The columns of one pattern."""
    return {
        "attempts": result.attempts,
        "acceptance": result.acceptance,
        "improvement": result.improvement.value,
        "low": result.improvement.low,
        "high": result.improvement.high,
    }


def _flat(row: Row) -> Values:
    """A row without nesting: `rejected/<reason>`, `<pattern>/acceptance` and so on."""
    values = _nested(row)
    for reason, count in values.pop("rejected").items():
        values[f"rejected/{reason}"] = count
    for name, part in values.pop("patterns").items():
        for key, value in part.items():
            values[f"{name}/{key}"] = value
    return values


def _write_csv(sweep: Sweep) -> None:
    """Writes `sweep.csv`: one row per job; one without results has its status and error only."""
    rows = _csv_rows(sweep)
    columns = dict.fromkeys(key for row in rows for key in row)
    path = sweep.folder / "sweep.csv"
    with (
        atomic_path(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        writer = csv.DictWriter(file, list(columns))
        writer.writeheader()
        writer.writerows(rows)


def _csv_rows(sweep: Sweep) -> list[Values]:
    """One row per job, finished or not."""
    found = {row.job.number: _flat(row) for row in sweep.rows}
    rows = []
    for job in sweep.jobs:
        state = {
            "job": job.number,
            "folder": printable(job.folder),
            "status": job.status,
            "error": job.error,
        }
        swept = _swept_columns(job.swept(sweep.keys))
        rows.append({**state, **swept, **found.get(job.number, {})})
    return rows
