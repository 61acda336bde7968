"""A gathered sweep as files in its folder: `sweep.csv`, `sweep.json`, `sweep.md` and the plots."""

import csv
from typing import Any

import orjson

from muat_exp.claims import write_output
from muat_exp.files import atomic_path
from muat_exp.sweep.gather import Row, Sweep
from muat_exp.sweep.jobs import FINISHED, Job, claim_sweep
from muat_exp.sweep.plots import write_plots
from muat_exp.sweep.report import markdown


def write_files(sweep: Sweep) -> None:
    """Writes all of them; a sweep without a finished job has neither table nor plots."""
    claim_sweep(sweep.folder)
    _write_json(sweep)
    _write_csv(sweep)
    if sweep.rows:
        write_output(sweep.folder / "sweep.md", markdown(sweep).encode())
        write_plots(sweep)


def flat_rows(sweep: Sweep) -> list[Row]:
    """One row per finished job without nesting, None in the place of every NaN."""
    rows: list[Row] = orjson.loads(orjson.dumps([_flat(row) for row in sweep.rows]))
    return rows


def _write_json(sweep: Sweep) -> None:
    """Writes `sweep.json`: swept keys, one row per finished job, and the unfinished jobs."""
    content = {
        "swept": sweep.keys,
        "jobs": sweep.rows,
        "unfinished": [_state(job) for job in sweep.jobs if job.status != FINISHED],
    }
    # NaN becomes null, as JSON needs it.
    text = orjson.dumps(content, option=orjson.OPT_INDENT_2)
    write_output(sweep.folder / "sweep.json", text)


def _state(job: Job) -> dict[str, Any]:
    """What is known of an unfinished job."""
    return {
        "job": job.number,
        "overrides": list(job.overrides),
        "status": job.status,
        "error": job.error,
    }


def _flat(row: Row) -> Row:
    """A row without nesting: `rejected/<reason>`, `<pattern>/acceptance` and so on."""
    values = {}
    for key, value in row.items():
        if not isinstance(value, dict):
            values[key] = value
    for reason, count in row["rejected"].items():
        values[f"rejected/{reason}"] = count
    for name, part in row["patterns"].items():
        for key, value in part.items():
            values[f"{name}/{key}"] = value
    return values


def _write_csv(sweep: Sweep) -> None:
    """Writes `sweep.csv`: one row per job; an unfinished one has its status and error only."""
    rows = _csv_rows(sweep)
    columns = dict.fromkeys(key for row in rows for key in row)
    path = sweep.folder / "sweep.csv"
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(columns))
        writer.writeheader()
        writer.writerows(rows)


def _csv_rows(sweep: Sweep) -> list[Row]:
    """One row per job, finished or not."""
    finished = {row["job"]: _flat(row) for row in sweep.rows}
    rows = []
    for job in sweep.jobs:
        state = {"job": job.number, "status": job.status, "error": job.error}
        values = job.values
        swept = {key: values.get(key, "") for key in sweep.keys}
        found = finished.get(job.number, {})
        rows.append({**state, **swept, **found})
    return rows
