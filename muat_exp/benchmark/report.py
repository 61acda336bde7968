"""Tables and a figure of the benchmark's rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from muat_exp.tables import number, terminal_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Row = dict[str, Any]
Results = dict[str, list[Row]]  # by case
_OPTIONS = ("way", "recipe", "architecture", "workers", "examples")
_WAYS = {
    "plain": "one PyTorch loop per subject, DataLoaders",
    "lightning": "one Lightning fit pair per subject",
}
# Okabe and Ito's palette, told apart by every eye
_GREY = "#888888"
_COLOURS = {"robust": "#0072B2", "published": "#D55E00"}  # blue and orange
_BAR = 0.38  # height of a bar; two of them, one per recipe, stand at each part
_OFFSETS = {"robust": _BAR / 2, "published": -_BAR / 2}  # of a recipe's bar from the middle
_SENTENCES = {
    "start_up": (
        "--help answers in {help_seconds:.2f} s; experiment=smoke takes {smoke_seconds:.1f} s"
    ),
    "tracking": (
        "W&B offline costs {cost:+.1%} of a default run "
        "(median of {pairs} pairs: {wandb_seconds:.2f} s with, {csv_seconds:.2f} s without)"
    ),
    "sweep": (
        "a sweep of {jobs} tiny jobs spends {outside_per_job:.2f} s per job outside its work, "
        "which takes {work_per_job:.2f} s"
    ),
}
_STYLE: Any = {
    "svg.hashsalt": "muat_exp",
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def show(results: Results, before: Results) -> None:
    """Prints all tables, with the change since the results before."""
    console = Console(width=128)
    console.print(_whole_pipeline(results, before))
    console.print(_by_architecture(results, before))
    console.print(_growth(results))
    console.print(_phases(results))
    console.print(_on_finished(results))
    for sentence in _sentences(results):
        console.print(sentence)


def _sentences(results: Results) -> Iterator[str]:
    """What a table would be too much for."""
    for case, sentence in _SENTENCES.items():
        (row,) = results[case]
        yield sentence.format(**row)


def _options_of(row: Row) -> tuple[object, ...]:
    """What tells a row from the others of its case."""
    values = [row.get(name) for name in _OPTIONS]
    return tuple(values)


def _change(case: str, row: Row, before: Results) -> str:
    """How the row's speed differs from that of the last results."""
    options = _options_of(row)
    for old in before.get(case, []):
        same = _options_of(old) == options
        if same and "attempts_per_second" in old:
            ratio = row["attempts_per_second"] / old["attempts_per_second"]
            return f"{ratio - 1:+.0%}"
    return ""


def _whole_pipeline(results: Results, before: Results) -> Table:
    """Medium architecture beside the loops, as ratios to the plain one."""
    rows = []
    for case, row in _medium_rows(results):
        speed = row["attempts_per_second"]
        ratio = speed / _plain_speed(results, row["recipe"])
        cells = (
            row["recipe"],
            _way(row),
            f"{speed:.1f}",
            f"{ratio:.1f}x",
            number(row["peak_memory_mib"], 0),
            _change(case, row, before),
        )
        rows.append(cells)
    rows.sort(key=lambda cells: cells[0], reverse=True)
    title = "Whole pipeline, from data to Parquet: medium architecture"
    columns = ("attempts/s", "ratio", "peak MiB", "change")
    return _filled(terminal_table(title, ["recipe", "way"], columns), rows)


def _plain_speed(results: Results, recipe: str) -> float:
    """Attempts per second of the plain loop."""
    for row in results["loop"]:
        if row["way"] == "plain" and row["recipe"] == recipe:
            return float(row["attempts_per_second"])
    raise ValueError(f"there is no plain loop of the recipe {recipe}")


def _medium_rows(results: Results) -> Iterator[tuple[str, Row]]:
    """Case and row of the loops, and of the pipeline with the same architecture."""
    for row in results["loop"]:
        yield "loop", row
    for row in results["pipeline"]:
        if row["architecture"] == "medium":
            yield "pipeline", row


def _way(row: Row) -> str:
    """How a row's subjects were made."""
    if "way" in row:
        return _WAYS[row["way"]]
    return f"muat_exp, workers={row['workers']}"


def _by_architecture(results: Results, before: Results) -> Table:
    """Whole pipeline and training alone."""
    training = {_options_of(row): row for row in results["training"]}
    rows = []
    for row in results["pipeline"]:
        alone = training[_options_of(row)]
        cells = (
            row["recipe"],
            row["architecture"],
            str(row["workers"]),
            f"{row['attempts_per_second']:.0f}",
            f"{row['accepted_per_second']:.0f}",
            f"{alone['attempts_per_second']:.0f}",
            f"{alone['gflops_per_worker']:.0f}",
            f"{alone['share_of_peak']:.0%}",
            _change("pipeline", row, before),
        )
        rows.append(cells)
    columns = (
        "workers",
        "attempts/s",
        "accepted/s",
        "training alone",
        "GFLOP/s per core",
        "of peak",
        "change",
    )
    title = "Whole pipeline and training alone"
    return _filled(terminal_table(title, ["recipe", "architecture"], columns), rows)


def _growth(results: Results) -> Table:
    """Time and memory against the number of examples."""
    rows = []
    for row in results["growth"]:
        milliseconds = 1000 * row["seconds"] / row["examples"]
        cells = (
            f"{row['examples']:,}",
            f"{row['seconds']:.1f}",
            f"{milliseconds:.2f}",
            f"{row['attempts_per_second']:.0f}",
            number(row["peak_memory_mib"], 0),
        )
        rows.append(cells)
    columns = ("examples", "seconds", "ms per example", "attempts/s", "peak MiB")
    return _filled(terminal_table("Default configuration", [], columns), rows)


def _phases(results: Results) -> Table:
    """Where the CPU time goes."""
    profiles = {row["recipe"]: row["shares"] for row in results["phases"]}
    of_robust = profiles["robust"]
    rows = []
    for part in sorted(of_robust, key=of_robust.get, reverse=True):
        shares = [f"{profile[part]:.1%}" for profile in profiles.values()]
        rows.append((part, *shares))
    title = "CPU time by part, one worker"
    return _filled(terminal_table(title, ["part"], list(profiles)), rows)


def _on_finished(results: Results) -> Table:
    """Tasks on a dataset, and what each signature method costs."""
    (row,) = results["finished"]
    rows = []
    for task in ("read", "rendered", "written", "validated"):
        speed = row[f"{task}_per_second"]
        rows.append((task, f"{speed:,.0f} examples/s"))
    for method, milliseconds in row["milliseconds_by_method"].items():
        rows.append((f"signature {method}", f"{milliseconds:.2f} ms per subject"))
    return _filled(terminal_table("A finished dataset", ["part"], ["speed"]), rows)


def _filled(table: Table, rows: Sequence[Sequence[str]]) -> Table:
    """The table with these rows."""
    for row in rows:
        table.add_row(*row)
    return table


def plot(results: Results, path: Path) -> None:
    """Draws where the time goes, the speed by architecture, and the growth, as SVG."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(11, 3.8), layout="constrained")
        left, middle, right = figure.subplots(1, 3, width_ratios=(1.3, 1, 1))
        _plot_phases(left, results["phases"])
        _plot_architectures(middle, results["pipeline"])
        _plot_growth(right, results["growth"])
        figure.savefig(path, metadata={"Date": None})


def _plot_phases(axes: Axes, rows: Sequence[Row]) -> None:
    """Bars of the CPU shares, the largest on top."""
    profiles = {row["recipe"]: row["shares"] for row in rows}
    of_robust = profiles["robust"]
    parts = sorted(of_robust, key=of_robust.get)
    for recipe, colour in _COLOURS.items():
        profile = profiles[recipe]
        percents = [100 * profile[part] for part in parts]
        heights = [row + _OFFSETS[recipe] for row in range(len(parts))]
        axes.barh(heights, percents, _BAR, color=colour, label=recipe)
    axes.set_yticks(range(len(parts)), parts)
    axes.set_xlabel("share of CPU time, %")
    axes.set_title("Where the time goes", loc="left")
    axes.legend(frameon=False, loc="lower right")


def _plot_architectures(axes: Axes, rows: Sequence[Row]) -> None:
    """Whole-pipeline speed of each architecture with two workers, on a logarithmic axis."""
    for recipe in _COLOURS:
        chosen = [row for row in rows if row["recipe"] == recipe and row["workers"] == 2]
        speeds = {row["architecture"]: row["attempts_per_second"] for row in chosen}
        _plot_speeds(axes, recipe, speeds)
    axes.set_yscale("log")
    axes.set_ylabel("attempts/s, whole pipeline")
    axes.set_title("Architectures, 2 workers", loc="left")


def _plot_speeds(axes: Axes, recipe: str, speeds: dict[str, float]) -> None:
    """One recipe's line, its name beside the second point, its figures at each."""
    colour = _COLOURS[recipe]
    names = list(speeds)
    values = list(speeds.values())
    axes.plot(names, values, "o-", color=colour)
    _annotate(axes, recipe, (1, values[1]), (14, 12), color=colour)
    for position, speed in enumerate(values):
        point = (position, speed)
        _annotate(axes, f"{speed:.0f}", point, (5, 4), color=_GREY, fontsize=7)


def _annotate(
    axes: Axes, text: str, point: tuple[float, float], offset: tuple[float, float], **style: Any
) -> None:
    """Writes a text beside a point; `offset` is in points of the typeface."""
    axes.annotate(text, point, xytext=offset, textcoords="offset points", **style)


def _plot_growth(axes: Axes, rows: Sequence[Row]) -> None:
    """Seconds against examples, and peak memory on a second axis."""
    examples = [row["examples"] for row in rows]
    seconds = [row["seconds"] for row in rows]
    blue = _COLOURS["robust"]
    axes.plot(examples, seconds, "o-", color=blue)
    axes.set_xlabel("examples")
    axes.set_ylabel("seconds", color=blue)
    axes.set_ylim(0)
    axes.set_title("Time and memory", loc="left")
    _plot_memory(axes.twinx(), rows)


def _plot_memory(axes: Axes, rows: Sequence[Row]) -> None:
    """Peak memory against examples, where it is known, on axes whose scale is on the right."""
    known = [row for row in rows if row["peak_memory_mib"] is not None]
    examples = [row["examples"] for row in known]
    gibibytes = [row["peak_memory_mib"] / 1024 for row in known]
    orange = _COLOURS["published"]
    axes.spines["right"].set_visible(True)
    axes.plot(examples, gibibytes, "s--", color=orange)
    axes.set_ylabel("peak memory, GiB", color=orange)
    axes.set_ylim(0, 2)
