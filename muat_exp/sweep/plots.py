"""Plots of a gathered sweep, each as PNG and SVG, against what was swept."""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from muat_exp.sweep.gather import Row, Sweep, main_key
from muat_exp.sweep.jobs import shown

# Okabe and Ito's palette, told apart by every eye.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
_ASIDE = 0.015  # distance between the points of neighbouring series, as a share of the axis
_MOST_TICKS = 8  # values of a numeric axis that are all written below it
_LONG_LABEL = 7  # letters from which labels are turned, so that they do not touch
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
        positions: place of each of its values: the value itself where it is a number, else its
            rank.
        series: rows of each combination of the other swept keys, by their label.
        others: those keys.
        connected: whether the points of a series are joined by a line.
    """

    def __init__(self, sweep: Sweep) -> None:
        self.key = main_key(sweep.rows, sweep.keys)
        self.others = [key for key in sweep.keys if key != self.key]
        values = list(dict.fromkeys(row[self.key] for row in sweep.rows))
        self.numeric = all(isinstance(value, int | float) for value in values)
        ranks = {value: rank for rank, value in enumerate(values)}
        self.positions = {value: value for value in values} if self.numeric else ranks
        ordered = sorted(sweep.rows, key=lambda row: self.positions[row[self.key]])
        self.series = self._split(ordered)
        too_many = len(self.series) > len(_COLOURS)
        self.connected = self.numeric and not too_many
        if too_many:  # a search: points of one colour
            self.series = {"": ordered}

    def _split(self, rows: Sequence[Row]) -> dict[str, list[Row]]:
        """Rows by the values of the other swept keys."""
        series: dict[str, list[Row]] = {}
        for row in rows:
            name = ", ".join(shown(row[key]) for key in self.others)
            series.setdefault(name, []).append(row)
        return series

    def places(self, name: str) -> NDArray[np.float64]:
        """Horizontal places of the rows of one series; equal points stand side by side."""
        rows = self.series[name]
        positions = np.array([self.positions[row[self.key]] for row in rows], np.float64)
        ends = self.positions.values()
        width = (max(ends) - min(ends)) or 1
        rank = list(self.series).index(name)
        middle = (len(self.series) - 1) / 2
        return positions + _ASIDE * width * (rank - middle)

    def label(self, axes: Any) -> None:
        """Names the axis, its values and the series."""
        axes.set_xlabel(self.key)
        if not self.numeric or len(self.positions) <= _MOST_TICKS:
            texts = [shown(value) for value in self.positions]
            axes.set_xticks(list(self.positions.values()), texts)
        axes.margins(x=0.12)
        if axes.get_legend_handles_labels()[0]:
            axes.figure.legend(
                loc="outside right upper",
                title=", ".join(short(key) for key in self.others),
                frameon=False,
                fontsize=8,
                title_fontsize=8,
            )


def short(key: str) -> str:
    """The last part of a dotted key."""
    return key.rpartition(".")[2].rpartition("/")[2]


def _values_of(rows: Sequence[Row], key: str) -> NDArray[np.float64]:
    """One column as floats, None as NaN."""
    values = [row[key] for row in rows]
    return np.array(values, np.float64)  # None becomes NaN


def _draw(axis: _Axis, axes: Any, key: str, faint: bool = False) -> None:
    """One line per series, dashed and hollow where `faint`; error bars where there are any."""
    line = "--" if faint else "-"
    marker = f"o{line}" if axis.connected else "o"
    for colour, (name, rows) in zip(_COLOURS, axis.series.items(), strict=False):
        style: dict[str, Any] = {"color": colour, "markersize": 5}
        if name and not faint:
            style["label"] = name
        if faint:
            style["markerfacecolor"] = "white"
        values = _values_of(rows, key)
        if f"{key}_low" in rows[0]:
            ends = [_values_of(rows, f"{key}_{end}") for end in ("low", "high")]
            reach = np.abs(np.stack(ends) - values)  # (2, rows)
            axes.errorbar(axis.places(name), values, reach, fmt=marker, capsize=3, **style)
        else:
            axes.plot(axis.places(name), values, marker, **style)


def _improvement(axis: _Axis) -> Figure:
    """Improvement of the accepted subjects, with its 95 % interval."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    _draw(axis, axes, "improvement")
    axes.set_ylim(bottom=0)
    axes.set_ylabel("improved - degraded accuracy")
    axes.set_title("Improvement of accepted subjects (95 % interval)")
    axis.label(axes)
    return figure


def _accuracy(axis: _Axis) -> Figure:
    """Degraded and improved validation accuracy of the accepted subjects."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    _draw(axis, axes, "improved_accuracy")
    _draw(axis, axes, "degraded_accuracy", faint=True)
    for stage in ("improved", "degraded"):
        _name_line(axis, axes, f"{stage}_accuracy", stage)
    axes.axhline(0.5, color="#bbbbbb", linewidth=0.8, zorder=0)
    axes.set_ylim(0.45, 1.02)
    axes.set_ylabel("validation accuracy (chance 0.5)")
    axes.set_title("Accuracy of accepted subjects")
    axis.label(axes)
    return figure


def _name_line(axis: _Axis, axes: Any, key: str, name: str) -> None:
    """Writes a name above the first point of the first series."""
    series, rows = next(iter(axis.series.items()))
    values = _values_of(rows, key)
    finite = np.flatnonzero(np.isfinite(values))
    if len(finite):
        point = (axis.places(series)[finite[0]], values[finite[0]])
        axes.annotate(name, point, (-4, 9), textcoords="offset points", fontsize=8)


def _acceptance(axis: _Axis) -> Figure:
    """Share of the attempts that were accepted."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    _draw(axis, axes, "acceptance")
    axes.set_ylim(0, 1)
    axes.set_ylabel("accepted share of the attempts")
    axes.set_title("Acceptance")
    axis.label(axes)
    return figure


def _patterns(axis: _Axis) -> Figure:
    """Acceptance and improvement of each pattern in each job."""
    rows = [row for part in axis.series.values() for row in part]
    names = list(rows[0]["patterns"])
    size = (3.5 + 0.9 * len(rows), 1.5 + 0.3 * len(names))
    figure = Figure(figsize=size, layout="constrained")
    both = figure.subplots(1, 2, sharey=True)
    for axes, key in zip(both, ("acceptance", "improvement"), strict=True):
        cells = [[row["patterns"][name][key] for row in rows] for name in names]
        _draw_cells(axes, np.array(cells, np.float64))
        _label_jobs(axis, axes)
        axes.set_yticks(range(len(names)), names, fontsize=8)
        axes.set_title(key)
    return figure


def _draw_cells(axes: Any, cells: NDArray[np.float64]) -> None:
    """A heat map of `(patterns, jobs)` with the number in each cell."""
    top = max(0.01, float(np.nanmax(cells, initial=0)))
    axes.imshow(cells, cmap="cividis", vmin=0, vmax=top, aspect="auto")
    for row, column in np.argwhere(np.isfinite(cells)):
        value = cells[row, column]
        colour = "black" if value > 0.6 * top else "white"  # dark on bright cells
        text = f"{value:.2f}"
        axes.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)


def _label_jobs(axis: _Axis, axes: Any) -> None:
    """Names the columns of a heat map by what was swept."""
    labels = []
    for name, rows in axis.series.items():
        series = f" ({name})" if name else ""
        labels += [f"{shown(row[axis.key])}{series}" for row in rows]
    turned: dict[str, Any] = {}
    if len(max(labels, key=len)) >= _LONG_LABEL:
        turned = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(range(len(labels)), labels, fontsize=8, **turned)
    axes.set_xlabel(axis.key)


_PLOTS = {
    "improvement": _improvement,
    "accuracy": _accuracy,
    "acceptance": _acceptance,
    "patterns": _patterns,
}


def write_plots(sweep: Sweep) -> None:
    """Writes all plots into the sweep's folder."""
    with mpl.rc_context(_STYLE):
        axis = _Axis(sweep)
        for name, plot in _PLOTS.items():
            figure = plot(axis)
            path = sweep.folder / f"{name}.png"
            figure.savefig(path, dpi=130, metadata={"Software": None})
            figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})
