"""Plots of a gathered sweep, each as PNG and SVG, against what was swept."""

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from muat_exp.claims import claim_output
from muat_exp.errors import MuatError, first_line
from muat_exp.sweep.gather import Row, Sweep
from muat_exp.sweep.labels import Value, names, shown
from muat_exp.sweep.results import PatternResult, Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_Figure = Callable[[Result], float]  # of one job

# Okabe and Ito's palette, told apart by every eye.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
_ASIDE = 0.015  # distance between the points of neighbouring series, as a share of the axis
_MOST_TICKS = 8  # values of a numeric axis that are all written below it
_LONG_LABEL = 7  # letters from which labels are turned, so that they do not touch
_TURNED: dict[str, Any] = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
_MOST_CELLS = 40  # jobs whose cells of a heat map bear numbers and names
_BACKEND = "MPLBACKEND"  # a notebook sets it for its own kernel; importing Matplotlib reads it
_STYLE: Any = {
    "text.parse_math": False,  # a label is shown as it stands
    "text.usetex": False,
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
        others: the other swept keys, as the legend calls them.
        numeric: whether its values are numbers.
        positions: place of each of its values: the value itself where it is a number, else its
            rank.
        texts: label of each of its values.
        series: rows of each combination of the other swept keys, by their label.
        connected: whether the points of a series are joined by a line.
    """

    key: str
    others: list[str]
    numeric: bool
    positions: dict[Value, float]
    texts: dict[Value, str]
    series: dict[str, list[Row]]
    connected: bool

    def places(self, name: str) -> NDArray[np.float64]:
        """Horizontal places of the rows of one series; equal points stand side by side."""
        values = [row.axis_value(self.key) for row in self.series[name]]
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
            places = _thinned(list(self.positions.values()))
            texts = _thinned([self.texts[value] for value in self.positions])
            axes.set_xticks(places, texts, **_turned(texts))
        axes.margins(x=0.12)
        if len(self.series) > 1:
            self._add_legend(axes)

    def _add_legend(self, axes: "Axes") -> None:
        """Names the series beside the plot."""
        from matplotlib.lines import Line2D

        marks = [
            Line2D([], [], color=colour, marker="o", markersize=5)
            for colour, _ in zip(_COLOURS, self.series, strict=False)
        ]
        legend = axes.figure.legend(
            marks,
            [""] * len(marks),
            loc="outside right upper",
            title=", ".join(self.others),
            frameon=False,
            fontsize=8,
            title_fontsize=8,
        )
        for text, name in zip(legend.get_texts(), self.series, strict=True):
            text.set_text(name)  # a name that begins with an underscore stands for none


def _axis(sweep: Sweep) -> _Axis:
    """The axis and the series of a sweep; a search has points of one colour."""
    key = sweep.main_key
    labels = sweep.labels
    others = [name for name in sweep.keys if name != key]
    short = names(others, taken=[])
    values = list(dict.fromkeys(row.axis_value(key) for row in sweep.rows))
    numeric = all(isinstance(value, int | float) for value in values)
    positions = {
        value: float(value) if numeric else float(rank) for rank, value in enumerate(values)
    }
    rows = sorted(sweep.rows, key=lambda row: positions[row.axis_value(key)])
    series = _split(rows, {name: labels[name] for name in others})
    searched = len(series) > len(_COLOURS)
    if searched:
        series = {"": rows}
    texts = {value: labels.get(key, {}).get(value, shown(value)) for value in values}
    legend = [short[name] for name in others]
    return _Axis(key, legend, numeric, positions, texts, series, connected=numeric and not searched)


def _split(rows: Sequence[Row], labels: dict[str, dict[Value, str]]) -> dict[str, list[Row]]:
    """Rows by the values of some swept keys, of which the labels are given."""
    series: dict[str, list[Row]] = {}
    for row in rows:
        name = ", ".join(labels[key].get(row.swept[key], shown(row.swept[key])) for key in labels)
        series.setdefault(name, []).append(row)
    return series


def _turned(texts: Sequence[str]) -> dict[str, Any]:
    """How labels below an axis are turned: long ones, so that they do not touch."""
    longest = max(map(len, texts), default=0)
    return _TURNED if longest >= _LONG_LABEL else {}


def _thinned(items: list[Any]) -> list[Any]:
    """Some of many items, at equal distances."""
    return items[:: 1 + len(items) // _MOST_CELLS]


def _draw(axis: _Axis, axes: "Axes", values_of: _Figure, faint: bool = False) -> None:
    """One line per series, dashed and hollow where `faint`."""
    line = "--" if faint else "-"
    marker = f"o{line}" if axis.connected else "o"
    for colour, (name, rows) in zip(_COLOURS, axis.series.items(), strict=False):
        style: dict[str, Any] = {"color": colour, "markersize": 5}
        if faint:
            style["markerfacecolor"] = "white"
        values = np.array([values_of(row.result) for row in rows])
        axes.plot(axis.places(name), values, marker, **style)


def _draw_means(axis: _Axis, axes: "Axes") -> None:
    """Improvements with their intervals, one line per series."""
    marker = "o-" if axis.connected else "o"
    for colour, (name, rows) in zip(_COLOURS, axis.series.items(), strict=False):
        means = [row.result.improvement for row in rows]
        values = np.array([mean.value for mean in means])
        ends = np.array([[mean.low for mean in means], [mean.high for mean in means]])
        reach = np.abs(ends - values)  # (2, jobs)
        axes.errorbar(
            axis.places(name), values, reach, fmt=marker, capsize=3, color=colour, markersize=5
        )


def _empty_plot() -> tuple["Figure", "Axes"]:
    """A figure and its only axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes: Axes = figure.subplots()
    return figure, axes


def _improvement(axis: _Axis) -> "Figure":
    """Improvement of the accepted subjects, with its 95 % interval."""
    figure, axes = _empty_plot()
    _draw_means(axis, axes)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("improved - degraded accuracy")
    axes.set_title("Improvement of accepted subjects (95 % interval)")
    axis.label(axes)
    return figure


def _accuracy(axis: _Axis) -> "Figure":
    """Degraded and improved validation accuracy of the accepted subjects."""
    figure, axes = _empty_plot()
    _draw(axis, axes, _improved)
    _draw(axis, axes, _degraded, faint=True)
    _name_line(axis, axes, _improved, "improved")
    _name_line(axis, axes, _degraded, "degraded")
    axes.axhline(0.5, color="#bbbbbb", linewidth=0.8, zorder=0)
    axes.set_ylim(0.45, 1.02)
    axes.set_ylabel("validation accuracy (chance 0.5)")
    axes.set_title("Accuracy of accepted subjects")
    axis.label(axes)
    return figure


def _improved(result: Result) -> float:
    """Mean accuracy of the improved networks."""
    return result.accuracies["improved_accuracy"]


def _degraded(result: Result) -> float:
    """Mean accuracy of the degraded networks."""
    return result.accuracies["degraded_accuracy"]


def _name_line(axis: _Axis, axes: "Axes", values_of: _Figure, name: str) -> None:
    """Writes a name above the first point of the first series."""
    series, rows = next(iter(axis.series.items()))
    values = np.array([values_of(row.result) for row in rows])
    finite = np.flatnonzero(np.isfinite(values))
    if not len(finite):
        return
    first = finite[0]
    place = axis.places(series)[first]
    above = (-4, 9)  # points
    axes.annotate(name, (place, values[first]), above, textcoords="offset points", fontsize=8)


def _acceptance(axis: _Axis) -> "Figure":
    """Share of the attempts that were accepted."""
    figure, axes = _empty_plot()
    _draw(axis, axes, lambda result: result.acceptance)
    axes.set_ylim(0, 1)
    axes.set_ylabel("accepted share of the attempts")
    axes.set_title("Acceptance")
    axis.label(axes)
    return figure


def _patterns(axis: _Axis) -> "Figure":
    """Acceptance and improvement of each pattern in each job; empty where it was not enabled."""
    from matplotlib.figure import Figure

    rows = [row for part in axis.series.values() for row in part]
    enabled = list(dict.fromkeys(name for row in rows for name in row.result.patterns))
    width = 3.5 + 0.9 * min(len(rows), _MOST_CELLS)
    height = 1.5 + 0.3 * len(enabled)
    figure = Figure(figsize=(width, height), layout="constrained")
    for axes, (title, value_of) in zip(
        figure.subplots(1, 2, sharey=True), _CELLS.items(), strict=True
    ):
        cells = [[_cell(row, name, value_of) for row in rows] for name in enabled]
        _draw_cells(axes, np.array(cells, np.float64))
        _label_jobs(axis, axes)
        axes.set_yticks(range(len(enabled)), enabled, fontsize=8)
        axes.set_title(title)
    return figure


_CELLS: dict[str, Callable[[PatternResult], float]] = {
    "acceptance": lambda result: result.acceptance,
    "improvement": lambda result: result.improvement.value,
}


def _cell(row: Row, pattern: str, value_of: Callable[[PatternResult], float]) -> float:
    """One figure of a pattern in a job; NaN where the pattern was not enabled there."""
    result = row.result.patterns.get(pattern)
    return np.nan if result is None else value_of(result)


def _draw_cells(axes: "Axes", cells: NDArray[np.float64]) -> None:
    """A heat map of `(patterns, jobs)`, with the number in each cell where there are not many."""
    highest = float(np.nanmax(cells, initial=0))
    top = max(0.01, highest)
    axes.imshow(cells, cmap="cividis", vmin=0, vmax=top, aspect="auto")
    if cells.shape[1] > _MOST_CELLS:
        return
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
        labels += [f"{axis.texts[row.axis_value(axis.key)]}{series}" for row in rows]
    places = _thinned(list(range(len(labels))))
    axes.set_xticks(places, _thinned(labels), fontsize=8, **_turned(labels))
    axes.set_xlabel(axis.key)


_PLOTS: dict[str, Callable[[_Axis], "Figure"]] = {
    "improvement": _improvement,
    "accuracy": _accuracy,
    "acceptance": _acceptance,
    "patterns": _patterns,
}


class Drawn(NamedTuple):
    """What came of the plots of a sweep.

    Attributes:
        pictures: the PNG of each plot that was drawn.
        faults: a sentence for each that failed.
    """

    pictures: list[Path]
    faults: list[str]


def write_plots(sweep: Sweep) -> Drawn:
    """Writes all plots into the sweep's folder; none where no job has results."""
    drawn = Drawn([], [])
    if not sweep.rows:
        return drawn
    for name, plot in _PLOTS.items():
        try:
            with _drawing():
                figure = plot(_axis(sweep))
                drawn.pictures.append(_save(figure, sweep.folder / name))
        except MuatError as error:  # a file of somebody else is in the way
            drawn.faults.append(f"no plot of {name}: {error}")
        except Exception as error:  # what drawing raises has no common class; the tables are there
            reason = f"{type(error).__name__}: {first_line(error)}"
            drawn.faults.append(f"no plot of {name}: {reason}.")
    return drawn


@contextmanager
def _drawing() -> Iterator[None]:
    """Matplotlib in our style, whatever the environment and the user's own style say."""
    with _without_backend():
        import matplotlib as mpl

    with mpl.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        warnings.filterwarnings("ignore", "constrained_layout not applied", UserWarning)
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


@contextmanager
def _without_backend() -> Iterator[None]:
    """An environment that names no backend: plots are drawn into files, by none."""
    named = os.environ.pop(_BACKEND, None)
    try:
        yield
    finally:
        if named is not None:
            os.environ[_BACKEND] = named


def _save(figure: "Figure", path: Path) -> Path:
    """Writes a figure as PNG and SVG, without what changes from run to run; returns the PNG."""
    picture = path.with_suffix(".png")
    claim_output(picture, path.with_suffix(".svg"))
    figure.savefig(picture, dpi=130, metadata={"Software": None})
    figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})
    return picture
