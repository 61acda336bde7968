"""Plots of a gathered sweep, each as PNG and SVG: improvement, accuracies and acceptance against what was swept, by pattern."""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from muat_exp.sweep.gather import Row, Sweep, main_key
from muat_exp.sweep.jobs import shown

# Okabe and Ito's palette, told apart by every eye.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
_STYLE: Any = {
    "svg.hashsalt": "muat_exp",
    "svg.fonttype": "none",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
}


class _Axis:
    """The swept values along the horizontal axis, and the series of the other swept keys.

    Attributes:
        key: the key along the axis.
        positions: place of each of its values: the value itself where it is a number, else its rank.
        series: rows of each combination of the other swept keys, by their label.
        others: those keys.
        connected: whether the points of a series are joined by a line.
    """

    def __init__(self, sweep: Sweep) -> None:
        self.key = main_key(sweep.rows, sweep.keys)
        values = list(dict.fromkeys(row[self.key] for row in sweep.rows))
        self.numeric = all(isinstance(value, int | float) for value in values)
        self.positions = {
            value: value if self.numeric else place for place, value in enumerate(values)
        }
        self.others = [key for key in sweep.keys if key != self.key]
        self.series: dict[str, list[Row]] = {}
        ordered = sorted(sweep.rows, key=lambda row: self.positions[row[self.key]])
        for row in ordered:
            self.series.setdefault(", ".join(shown(row[key]) for key in self.others), []).append(
                row
            )
        self.connected = self.numeric and len(self.series) <= len(_COLOURS)
        if len(self.series) > len(_COLOURS):  # a search: points of one colour
            self.series = {"": ordered}

    def places(self, rows: Sequence[Row]) -> Any:
        """Horizontal places of some rows, all of one series; those of one value stand side by side, so that equal ones show."""
        places = np.array([self.positions[row[self.key]] for row in rows], float)
        name = next(
            name for name, part in self.series.items() if any(row is rows[0] for row in part)
        )
        reach = (max(self.positions.values()) - min(self.positions.values())) or 1
        return places + 0.015 * reach * (list(self.series).index(name) - (len(self.series) - 1) / 2)

    def label(self, axes: Any) -> None:
        """Names the axis, its values and the series."""
        axes.set_xlabel(self.key)
        if not self.numeric or len(self.positions) <= 8:
            axes.set_xticks(
                list(self.positions.values()), [shown(value) for value in self.positions]
            )
        axes.margins(x=0.12)
        if axes.get_legend_handles_labels()[0]:
            title = ", ".join(short(key) for key in self.others)
            axes.figure.legend(
                loc="outside right upper", title=title, frameon=False, fontsize=8, title_fontsize=8
            )


def short(key: str) -> str:
    """The last part of a dotted key."""
    return key.rpartition(".")[2].rpartition("/")[2]


def _values_of(rows: Sequence[Row], key: str) -> Any:
    """One column as floats, None as NaN."""
    return np.array([np.nan if row[key] is None else row[key] for row in rows], float)


def draw(axis: _Axis, axes: Any, key: str, faint: bool = False) -> None:
    """One line a series, dashed and hollow where `faint`; error bars where the rows have an interval of the key."""
    for colour, (name, rows) in zip(_COLOURS, axis.series.items(), strict=False):
        places = axis.places(rows)
        values = _values_of(rows, key)
        line = "" if not axis.connected else "--" if faint else "-"
        style: dict[str, Any] = {
            "color": colour,
            "markersize": 5,
            "label": name if name and not faint else None,
        }
        style |= {"markerfacecolor": "white"} if faint else {}
        if f"{key}_low" in rows[0]:
            reach = np.abs(
                np.stack([_values_of(rows, f"{key}_low"), _values_of(rows, f"{key}_high")]) - values
            )
            axes.errorbar(places, values, reach, fmt=f"o{line}", capsize=3, **style)
        else:
            axes.plot(places, values, f"o{line}", **style)


def improvement(axis: _Axis) -> Figure:
    """Improvement of the accepted subjects, with its 95 % interval."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    draw(axis, axes, "improvement")
    axes.set_ylim(bottom=0)
    axes.set_ylabel("improved - degraded accuracy")
    axes.set_title("Improvement of accepted subjects (95 % interval)")
    axis.label(axes)
    return figure


def accuracy(axis: _Axis) -> Figure:
    """Degraded and improved validation accuracy of the accepted subjects."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    draw(axis, axes, "improved_accuracy")
    draw(axis, axes, "degraded_accuracy", faint=True)
    rows = next(iter(axis.series.values()))
    for key, name in (("improved_accuracy", "improved"), ("degraded_accuracy", "degraded")):
        values = _values_of(rows, key)
        if np.isfinite(values).any():
            first = np.flatnonzero(np.isfinite(values))[0]
            axes.annotate(
                name,
                (axis.places(rows)[first], values[first]),
                (-4, 9),
                textcoords="offset points",
                fontsize=8,
            )
    axes.axhline(0.5, color="#bbbbbb", linewidth=0.8, zorder=0)
    axes.set_ylim(0.45, 1.02)
    axes.set_ylabel("validation accuracy (chance 0.5)")
    axes.set_title("Accuracy of accepted subjects")
    axis.label(axes)
    return figure


def acceptance(axis: _Axis) -> Figure:
    """Share of the attempts that were accepted."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    draw(axis, axes, "acceptance")
    axes.set_ylim(0, 1)
    axes.set_ylabel("accepted share of the attempts")
    axes.set_title("Acceptance")
    axis.label(axes)
    return figure


def patterns(axis: _Axis) -> Figure:
    """Acceptance and improvement of each pattern in each job."""
    rows = [row for part in axis.series.values() for row in part]
    names = list(rows[0]["patterns"])
    labels = [
        shown(row[axis.key]) + (f" ({name})" if name else "")
        for name, part in axis.series.items()
        for row in part
    ]
    turned: Any = (
        {}
        if len(max(labels, key=len)) < 7
        else {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    )
    figure = Figure(figsize=(3.5 + 0.9 * len(rows), 1.5 + 0.3 * len(names)), layout="constrained")
    for axes, key in zip(
        figure.subplots(1, 2, sharey=True), ("acceptance", "improvement"), strict=True
    ):
        cells = np.array(
            [[row["patterns"][name][key] for row in rows] for name in names], float
        )  # (patterns, jobs)
        image = axes.imshow(
            cells,
            cmap="cividis",
            vmin=0,
            vmax=max(0.01, np.nanmax(cells, initial=0)),
            aspect="auto",
        )
        axes.set_xticks(range(len(rows)), labels, fontsize=8, **turned)
        axes.set_yticks(range(len(names)), names, fontsize=8)
        axes.set_xlabel(axis.key)
        axes.set_title(key)
        for i, j in np.argwhere(np.isfinite(cells)):
            bright = cells[i, j] > 0.6 * image.norm.vmax
            axes.text(
                j,
                i,
                f"{cells[i, j]:.2f}",
                ha="center",
                va="center",
                fontsize=7,
                color="black" if bright else "white",
            )
    return figure


def write_plots(sweep: Sweep) -> None:
    """Writes all plots into the sweep's folder."""
    with mpl.rc_context(_STYLE):
        axis = _Axis(sweep)
        for plot in (improvement, accuracy, acceptance, patterns):
            figure = plot(axis)
            figure.savefig(
                sweep.folder / f"{plot.__name__}.png", dpi=130, metadata={"Software": None}
            )
            figure.savefig(sweep.folder / f"{plot.__name__}.svg", metadata={"Date": None})
