"""A gathered sweep as files in its folder: `sweep.csv`, `sweep.json`, `sweep.md` and the plots."""

import csv
import json
import math
from typing import Any

from muat_exp.claims import write_output
from muat_exp.files import atomic_path
from muat_exp.sweep.gather import Row, Sweep
from muat_exp.sweep.jobs import FINISHED, claim_sweep
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


def _write_json(sweep: Sweep) -> None:
    """Writes `sweep.json`: the swept keys, a row a finished job, and the jobs that did not finish."""
    unfinished = [
        {
            "job": job.number,
            "overrides": list(job.overrides),
            "status": job.status,
            "error": job.error,
        }
        for job in sweep.jobs
        if job.status != FINISHED
    ]
    content = {"swept": sweep.keys, "jobs": sweep.rows, "unfinished": unfinished}
    write_output(
        sweep.folder / "sweep.json",
        json.dumps(null_for_nan(content), indent=2, allow_nan=False).encode(),
    )


def null_for_nan(value: Any) -> Any:
    """The value with null in the place of every NaN, as JSON needs it."""
    if isinstance(value, dict):
        return {key: null_for_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [null_for_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def flat(row: Row) -> Row:
    """A row without nesting: `rejected/<reason>`, `<pattern>/acceptance` and so on."""
    values = {key: value for key, value in row.items() if not isinstance(value, dict)}
    values |= {f"rejected/{reason}": count for reason, count in row["rejected"].items()}
    return values | {
        f"{name}/{key}": value
        for name, part in row["patterns"].items()
        for key, value in part.items()
    }


def _write_csv(sweep: Sweep) -> None:
    """Writes `sweep.csv`: a row a job; one that did not finish has its status and error only."""
    finished = {row["job"]: flat(row) for row in sweep.rows}
    rows = [
        {"job": job.number, "status": job.status, "error": job.error}
        | {key: job.values.get(key, "") for key in sweep.keys}
        | finished.get(job.number, {})
        for job in sweep.jobs
    ]
    columns = dict.fromkeys(key for row in rows for key in row)
    path = sweep.folder / "sweep.csv"
    with atomic_path(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(columns))
        writer.writeheader()
        writer.writerows(rows)
