"""The W&B dashboard of a project: a workspace and a report whose panels show what the runs log."""

import json
import os
from contextlib import redirect_stderr
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

from muat_exp.config.checks import require
from muat_exp.config.groups import Config
from muat_exp.errors import TrackingError
from muat_exp.generation.outcomes import REASONS
from muat_exp.tracking.wandb_environment import require_login, resolved

_STAGES = ("degraded", "clean")
_CURVES = ("train_loss", "validation_loss", "train_accuracy", "validation_accuracy")
_NAME = "Subject networks"


def require_workspaces() -> None:
    """Raises `ConfigurationError` where wandb-workspaces is not installed."""
    installed = find_spec("wandb_workspaces") is not None
    require(installed, "task=dashboard needs a package: pip install 'muat_exp[dashboard]'.")


def _sections() -> dict[str, list[Any]]:
    """The panels by section: training, acceptance, corruption sweep, throughput."""
    import wandb_workspaces.reports.v2 as wr

    curves = [_curve(stage, name) for stage in _STAGES for name in _CURVES]
    counts = [_count_in_training(stage) for stage in _STAGES]
    rejections = [f"rejected/{reason}" for reason in REASONS]
    return {
        "Training": [*curves, *counts],
        "Acceptance": [
            wr.LinePlot(title="acceptance", x="progress/attempts", y=["progress/acceptance"]),
            wr.LinePlot(title="rejections", x="progress/attempts", y=rejections),
            wr.BarPlot(title="acceptance by run", metrics=[wr.SummaryMetric("acceptance")]),
            wr.MediaBrowser(
                title="subjects and plots",
                media_keys=["subjects", "signatures", "acceptance by pattern"],
            ),
        ],
        "Corruption sweep": [
            _against_corruption("improvement"),
            _against_corruption("degraded_accuracy"),
            _against_corruption("improved_accuracy"),
            _against_corruption("acceptance"),
            wr.MediaBrowser(
                title="gathered sweeps",
                media_keys=[
                    "plots/improvement",
                    "plots/accuracy",
                    "plots/acceptance",
                    "plots/patterns",
                ],
            ),
        ],
        "Throughput": [
            wr.LinePlot(
                title="attempts per second",
                x="progress/attempts",
                y=["progress/attempts_per_second"],
            ),
            wr.BarPlot(
                title="attempts per second by run",
                metrics=[wr.SummaryMetric("attempts_per_second")],
            ),
            wr.BarPlot(
                title="accepted per second by run",
                metrics=[wr.SummaryMetric("accepted_per_second")],
            ),
        ],
    }


def _curve(stage: str, name: str) -> Any:
    """A curve of one stage, its mean between its quantiles."""
    import wandb_workspaces.reports.v2 as wr

    lines = [f"{stage}/{name}_{part}" for part in ("mean", "q10", "q90")]
    title = f"{stage}: {name.replace('_', ' ')}"
    return wr.LinePlot(title=title, x=f"{stage}/epoch", y=lines)


def _count_in_training(stage: str) -> Any:
    """The number of subjects in training, by epoch of one stage."""
    import wandb_workspaces.reports.v2 as wr

    title = f"{stage}: subjects in training"
    return wr.LinePlot(title=title, x=f"{stage}/epoch", y=[f"{stage}/training"])


def _against_corruption(key: str) -> Any:
    """A result of each run against its share of corrupted labels."""
    import wandb_workspaces.reports.v2 as wr

    title = f"{key.replace('_', ' ')} against corruption"
    corruption = wr.Config("corruption.rate")
    return wr.ScatterPlot(title=title, x=corruption, y=wr.SummaryMetric(key))


def _build_workspace(entity: str, project: str) -> Any:
    """The workspace, not saved."""
    import wandb_workspaces.workspaces as ws

    parts = []
    for name, panels in _sections().items():
        parts.append(ws.Section(name=name, panels=panels, is_open=True))
    return ws.Workspace(entity=entity, project=project, name=_NAME, sections=parts)


def _build_report(entity: str, project: str) -> Any:
    """The report, not saved: the same panels below a line of explanation each."""
    import wandb_workspaces.reports.v2 as wr

    explained = {
        "Training": "Mean and middle 80 % of the subjects in training, by epoch, "
        "first on corrupted, then on clean labels.",
        "Acceptance": "Which attempts became examples, and why the others did not.",
        "Corruption sweep": "What the share of corrupted labels does to the networks; "
        "each point is a run.",
        "Throughput": "Attempts and accepted subjects per second, over the whole pipeline.",
    }
    blocks: list[Any] = [
        wr.P("Populations of small networks whose behaviour is known, made by muat_exp.")
    ]
    for name, panels in _sections().items():
        grid = wr.PanelGrid(runsets=[wr.Runset(name=project)], panels=panels)
        blocks += [wr.H2(name), wr.P(explained[name]), grid]
    return wr.Report(entity=entity, project=project, title=_NAME, blocks=blocks, width="fluid")


def print_specification(entity: str, project: str) -> None:
    """Prints what would be sent, as JSON."""
    workspace = _as_json(_build_workspace(entity, project))
    report = _as_json(_build_report(entity, project))
    print(json.dumps({"workspace": workspace, "report": report}, indent=2))


def _as_json(part: Any) -> Any:
    """A workspace or report as it would be sent."""
    return part._to_model().model_dump(by_alias=True, exclude_none=True, mode="json")


def save_dashboard(config: Config) -> list[str]:
    """Saves the workspace and the report of the configured project; returns their addresses.

    Raises:
        ConfigurationError: wandb-workspaces is not installed, or nobody is logged in.
        TrackingError: W&B did not take them.
    """
    require_workspaces()
    require_login(replace(config.logger, mode="online"))
    logger = resolved(config.logger)
    import wandb

    try:
        with open(os.devnull, "w") as nowhere, redirect_stderr(nowhere):
            entity = logger.entity or wandb.Api().default_entity or ""
            project = logger.project
            workspace = _build_workspace(entity, project)
            report = _build_report(entity, project)
            return [workspace.save().url, report.save().url]
    except Exception as error:  # whatever the client raises: it has no common class
        raise TrackingError(f"W&B did not take the dashboard: {error}") from error
