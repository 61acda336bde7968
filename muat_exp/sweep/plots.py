"""Plots of a gathered sweep, each as PNG and SVG, against what was swept."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from muat_exp.sweep.gather import Row, Sweep, main_key
from muat_exp.sweep.jobs import shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's palette, told apart by every eye.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
_ASIDE = 0.015  # distance between the points of neighbouring series, as a share of the axis
_MOST_TICKS = 8  # values of a numeric axis that are all written below it
_LONG_LABEL = 7  # letters from which labels are turned, so that they do not touch
_TURNED: dict[str, Any] = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
_STYLE: Any = {
    "svg.hashsalt": "muat_exp",
    "svg.fonttype": "none",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
}


@dataclass(frozen=True)
class _Axis:
    """The swept values along the horizontal axis, and the series of the other swept keys.

    Attributes:
        key: the key along the axis.
        others: the other swept keys.
        numeric: whether its values are numbers.
        positions: place of each of its values: the value itself where it is a number, else its
            rank.
        series: rows of each combination of the other swept keys, by their label.
        connected: whether the points of a series are joined by a line.
    """

    key: str
    others: list[str]
    numeric: bool
    positions: dict[Any, float]
    series: dict[str, list[Row]]
    connected: bool

    def places(self, name: str) -> NDArray[np.float64]:
        """Horizontal places of the rows of one series; equal points stand side by side."""
        values = [row[self.key] for row in self.series[name]]
        positions = np.array([self.positions[value] for value in values], np.float64)
        ends = self.positions.values()
        width = (max(ends) - min(ends)) or 1
        return positions + _ASIDE * width * self._from_middle(name)

    def _from_middle(self, name: str) -> float:
        """How many series a series stands aside from the middle one."""
        rank = list(self.series).index(name)
        middle = (len(self.series) - 1) / 2
        return rank - middle

    def label(self, axes: "Axes") -> None:
        """Names the axis, its values and the series."""
        axes.set_xlabel(self.key)
        if not self.numeric or len(self.positions) <= _MOST_TICKS:
            places = list(self.positions.values())
            texts = [shown(value) for value in self.positions]
            axes.set_xticks(places, texts)
        axes.margins(x=0.12)
        handles, _ = axes.get_legend_handles_labels()
        if handles:
            self._add_legend(axes)

    def _add_legend(self, axes: "Axes") -> None:
        """Names the series beside the plot."""
        axes.figure.legend(
            loc="outside right upper",
            title=", ".join(short(key) for key in self.others),
            frameon=False,
            fontsize=8,
            title_fontsize=8,
        )


def _axis(sweep: Sweep) -> _Axis:
    """The axis and the series of a sweep; a search has points of one colour."""
    key = main_key(sweep.rows, sweep.keys)
    others = [name for name in sweep.keys if name != key]
    values = list(dict.fromkeys(row[key] for row in sweep.rows))
    numeric = all(isinstance(value, int | float) for value in values)
    positions = {value: value if numeric else rank for rank, value in enumerate(values)}
    rows = sorted(sweep.rows, key=lambda row: positions[row[key]])
    series = _split(rows, others)
    searched = len(series) > len(_COLOURS)
    if searched:
        series = {"": rows}
    return _Axis(key, others, numeric, positions, series, connected=numeric and not searched)


def _split(rows: Sequence[Row], keys: Sequence[str]) -> dict[str, list[Row]]:
    """Rows by the values of some swept keys."""
    series: dict[str, list[Row]] = {}
    for row in rows:
        name = ", ".join(shown(row[key]) for key in keys)
        series.setdefault(name, []).append(row)
    return series


def short(key: str) -> str:
    """The last part of a dotted key."""
    return key.rpartition(".")[2].rpartition("/")[2]


def _values_of(rows: Sequence[Row], key: str) -> NDArray[np.float64]:
    """One column as floats, None as NaN."""
    values = [row[key] for row in rows]
    return np.array(values, np.float64)  # None becomes NaN


def _draw(axis: _Axis, axes: "Axes", key: str, faint: bool = False) -> None:
    """One line per series, dashed and hollow where `faint`; error bars where there are any."""
    line = "--" if faint else "-"
    marker = f"o{line}" if axis.connected else "o"
    for colour, (name, rows) in zip(_COLOURS, axis.series.items(), strict=False):
        style = _point_style(colour, name, faint)
        places = axis.places(name)
        values = _values_of(rows, key)
        if f"{key}_low" in rows[0]:
            reach = _reach(rows, key)
            axes.errorbar(places, values, reach, fmt=marker, capsize=3, **style)
        else:
            axes.plot(places, values, marker, **style)


def _point_style(colour: str, name: str, faint: bool) -> dict[str, Any]:
    """How the points of a series look; faint ones are not named a second time in the legend."""
    style: dict[str, Any] = {"color": colour, "markersize": 5}
    if faint:
        style["markerfacecolor"] = "white"
    elif name:
        style["label"] = name
    return style


def _reach(rows: Sequence[Row], key: str) -> NDArray[np.float64]:
    """How far the intervals of a column reach below and above its values, `(2, rows)`."""
    low = _values_of(rows, f"{key}_low")
    high = _values_of(rows, f"{key}_high")
    ends = np.stack([low, high])
    return np.abs(ends - _values_of(rows, key))


def _empty_plot() -> tuple[Figure, "Axes"]:
    """A figure and its only axes."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes: Axes = figure.subplots()
    return figure, axes


def _improvement(axis: _Axis) -> Figure:
    """Improvement of the accepted subjects, with its 95 % interval."""
    figure, axes = _empty_plot()
    _draw(axis, axes, "improvement")
    axes.set_ylim(bottom=0)
    axes.set_ylabel("improved - degraded accuracy")
    axes.set_title("Improvement of accepted subjects (95 % interval)")
    axis.label(axes)
    return figure


def _accuracy(axis: _Axis) -> Figure:
    """Degraded and improved validation accuracy of the accepted subjects."""
    figure, axes = _empty_plot()
    _draw(axis, axes, "improved_accuracy")
    _draw(axis, axes, "degraded_accuracy", faint=True)
    _name_line(axis, axes, "improved_accuracy", "improved")
    _name_line(axis, axes, "degraded_accuracy", "degraded")
    axes.axhline(0.5, color="#bbbbbb", linewidth=0.8, zorder=0)
    axes.set_ylim(0.45, 1.02)
    axes.set_ylabel("validation accuracy (chance 0.5)")
    axes.set_title("Accuracy of accepted subjects")
    axis.label(axes)
    return figure


def _name_line(axis: _Axis, axes: "Axes", key: str, name: str) -> None:
    """Writes a name above the first point of the first series."""
    series, rows = next(iter(axis.series.items()))
    values = _values_of(rows, key)
    finite = np.flatnonzero(np.isfinite(values))
    if not len(finite):
        return
    first = finite[0]
    place = axis.places(series)[first]
    above = (-4, 9)  # points
    axes.annotate(name, (place, values[first]), above, textcoords="offset points", fontsize=8)


def _acceptance(axis: _Axis) -> Figure:
    """Share of the attempts that were accepted."""
    figure, axes = _empty_plot()
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
    width = 3.5 + 0.9 * len(rows)
    height = 1.5 + 0.3 * len(names)
    figure = Figure(figsize=(width, height), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, key in ((left, "acceptance"), (right, "improvement")):
        cells = [[row["patterns"][name][key] for row in rows] for name in names]
        _draw_cells(axes, np.array(cells, np.float64))
        _label_jobs(axis, axes)
        axes.set_yticks(range(len(names)), names, fontsize=8)
        axes.set_title(key)
    return figure


def _draw_cells(axes: "Axes", cells: NDArray[np.float64]) -> None:
    """A heat map of `(patterns, jobs)` with the number in each cell."""
    highest = float(np.nanmax(cells, initial=0))
    top = max(0.01, highest)
    axes.imshow(cells, cmap="cividis", vmin=0, vmax=top, aspect="auto")
    for row, column in np.argwhere(np.isfinite(cells)):
        value = cells[row, column]
        bright = value > 0.6 * top
        axes.text(
            column,
            row,
            f"{value:.2f}",
            ha="center",
            va="center",
            fontsize=7,
            color="black" if bright else "white",
        )


def _label_jobs(axis: _Axis, axes: "Axes") -> None:
    """Names the columns of a heat map by what was swept."""
    labels = []
    for name, rows in axis.series.items():
        series = f" ({name})" if name else ""
        values = [shown(row[axis.key]) for row in rows]
        labels += [f"{value}{series}" for value in values]
    longest = max(len(label) for label in labels)
    turned = _TURNED if longest >= _LONG_LABEL else {}
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
    axis = _axis(sweep)
    with mpl.rc_context(_STYLE):
        for name, plot in _PLOTS.items():
            figure = plot(axis)
            _save(figure, sweep.folder / name)


def _save(figure: Figure, path: Path) -> None:
    """Writes a figure as PNG and SVG, without what changes from run to run."""
    figure.savefig(path.with_suffix(".png"), dpi=130, metadata={"Software": None})
    figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})
