"""Tables and a figure of the benchmark's rows."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

Results = dict[str, list[dict[str, Any]]]
_OPTIONS = ("way", "recipe", "architecture", "workers", "examples")
_WAYS = {
    "plain": "one PyTorch loop a subject, DataLoaders",
    "lightning": "one Lightning fit pair a subject",
}
# Okabe and Ito's palette, told apart by every eye
_BLUE = "#0072B2"
_ORANGE = "#D55E00"
_GREY = "#888888"


def _options_of(row: dict[str, Any]) -> tuple[Any, ...]:
    """What tells a row from the others of its case."""
    return tuple(row.get(name) for name in _OPTIONS)


def change(case: str, row: dict[str, Any], before: Results) -> str:
    """How the row's speed differs from that of the last results."""
    for old in before.get(case, []):
        if _options_of(old) == _options_of(row) and "attempts_per_second" in old:
            return f"{row['attempts_per_second'] / old['attempts_per_second'] - 1:+.0%}"
    return ""


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A table, its numbers to the right."""
    made = Table(title=title, title_justify="left")
    for column in columns:
        made.add_column(
            column,
            justify="left" if column in ("recipe", "way", "architecture", "part") else "right",
        )
    for row in rows:
        made.add_row(*row)
    return made


def _whole_pipeline(results: Results, before: Results) -> Table:
    """Medium architecture beside the loops, as ratios to the plain one."""
    plain = {
        row["recipe"]: row["attempts_per_second"]
        for row in results["loop"]
        if row["way"] == "plain"
    }
    rows = []
    for case in ("loop", "pipeline"):
        for row in results[case]:
            if row.get("architecture", "medium") == "medium":
                way = _WAYS[row["way"]] if case == "loop" else f"muat_exp, workers={row['workers']}"
                speed = row["attempts_per_second"]
                cells = (
                    f"{speed:.1f}",
                    f"{speed / plain[row['recipe']]:.1f}x",
                    f"{row['peak_memory_mib']:.0f}",
                )
                rows.append((row["recipe"], way, *cells, change(case, row, before)))
    title = "Whole pipeline, from data to Parquet: medium architecture"
    rows.sort(key=lambda cells: cells[0], reverse=True)
    return table(title, ("recipe", "way", "attempts/s", "ratio", "peak MiB", "change"), rows)


def _by_architecture(results: Results, before: Results) -> Table:
    """Whole pipeline and training alone."""
    training = {_options_of(row): row for row in results["training"]}
    rows = []
    for row in results["pipeline"]:
        alone = training[_options_of(row)]
        rates = [f"{row[key]:.0f}" for key in ("attempts_per_second", "accepted_per_second")]
        cells = (
            f"{alone['attempts_per_second']:.0f}",
            f"{alone['gflops_per_worker']:.0f}",
            f"{alone['share_of_peak']:.0%}",
        )
        rows.append(
            (
                row["recipe"],
                row["architecture"],
                str(row["workers"]),
                *rates,
                *cells,
                change("pipeline", row, before),
            )
        )
    columns = (
        "recipe",
        "architecture",
        "workers",
        "attempts/s",
        "accepted/s",
        "training alone",
        "GFLOP/s a core",
        "of peak",
        "change",
    )
    return table("Whole pipeline and training alone", columns, rows)


def _growth(results: Results) -> Table:
    """Time and memory against the number of examples."""
    rows = [
        (f"{row['examples']:,}", f"{row['seconds']:.1f}", f"{1000 * row['seconds'] / row['examples']:.2f}",
         f"{row['attempts_per_second']:.0f}", f"{row['peak_memory_mib']:.0f}")
        for row in results["growth"]
    ]  # fmt: skip
    return table(
        "Default configuration",
        ("examples", "seconds", "ms an example", "attempts/s", "peak MiB"),
        rows,
    )


def _phases(results: Results) -> Table:
    """Where the CPU time goes."""
    profiles = {row["recipe"]: row["shares"] for row in results["phases"]}
    parts = sorted(profiles["robust"], key=profiles["robust"].get, reverse=True)
    rows = [(part, *(f"{shares[part]:.1%}" for shares in profiles.values())) for part in parts]
    return table("CPU time by part, one worker", ("part", *profiles), rows)


def _on_finished(results: Results) -> Table:
    """Tasks on a dataset, and what each signature method costs."""
    row = results["finished"][0]
    rates = ("read_per_second", "rendered_per_second", "written_per_second", "validated_per_second")
    rows = [(rate.removesuffix("_per_second"), f"{row[rate]:,.0f} examples/s") for rate in rates]
    rows += [
        (f"signature {name}", f"{taken:.2f} ms a subject")
        for name, taken in row["milliseconds_by_method"].items()
    ]
    return table("A finished dataset", ("part", "speed"), rows)


def show(results: Results, before: Results) -> None:
    """Prints all tables."""
    console = Console(width=128)
    start = results["start_up"][0]
    tracked = results["tracking"][0]
    swept = results["sweep"][0]
    for shown in (_whole_pipeline(results, before), _by_architecture(results, before)):
        console.print(shown)
    for part in (_growth, _phases, _on_finished):
        console.print(part(results))
    console.print(
        f"--help answers in {start['help_seconds']:.2f} s; experiment=smoke takes {start['smoke_seconds']:.1f} s"
    )
    console.print(
        f"W&B offline costs {tracked['cost']:+.1%} of a default run (median of {tracked['pairs']} pairs: "
        f"{tracked['wandb_seconds']:.2f} s with, {tracked['csv_seconds']:.2f} s without)"
    )
    console.print(
        f"a sweep of {swept['jobs']} tiny jobs spends {swept['outside_a_job']:.2f} s a job outside its work, "
        f"which takes {swept['work_a_job']:.2f} s"
    )


def plot(results: Results, path: Path) -> None:
    """Draws where the time goes, the speed by architecture, and the growth, as SVG."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    style: Any = {
        "svg.hashsalt": "muat_exp",
        "svg.fonttype": "none",
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    with mpl.rc_context(style):
        figure = Figure(figsize=(11, 3.8), layout="constrained")
        left, middle, right = figure.subplots(1, 3, width_ratios=(1.3, 1, 1))
        _plot_phases(left, results["phases"])
        _plot_architectures(middle, results["pipeline"])
        _plot_growth(right, results["growth"])
        figure.savefig(path, metadata={"Date": None})


def _plot_phases(axes: Any, rows: list[dict[str, Any]]) -> None:
    """Bars of the CPU shares, the largest on top."""
    profiles = {row["recipe"]: row["shares"] for row in rows}
    parts = sorted(profiles["robust"], key=profiles["robust"].get)
    for offset, (recipe, colour) in zip(
        (0.2, -0.2), (("robust", _BLUE), ("published", _ORANGE)), strict=True
    ):
        shares = [100 * profiles[recipe][part] for part in parts]
        axes.barh([i + offset for i in range(len(parts))], shares, 0.38, color=colour, label=recipe)
    axes.set_yticks(range(len(parts)), parts)
    axes.set_xlabel("share of CPU time, %")
    axes.set_title("Where the time goes", loc="left")
    axes.legend(frameon=False, loc="lower right")


def _plot_architectures(axes: Any, rows: list[dict[str, Any]]) -> None:
    """Whole-pipeline speed of each architecture with two workers, on a logarithmic axis."""
    for recipe, colour in (("robust", _BLUE), ("published", _ORANGE)):
        points = [
            (row["architecture"], row["attempts_per_second"])
            for row in rows
            if (row["recipe"], row["workers"]) == (recipe, 2)
        ]
        axes.plot(*zip(*points, strict=True), "o-", color=colour)
        axes.annotate(recipe, points[1], xytext=(14, 12), textcoords="offset points", color=colour)
        for name, speed in points:
            axes.annotate(
                f"{speed:.0f}",
                (name, speed),
                xytext=(5, 4),
                textcoords="offset points",
                fontsize=7,
                color=_GREY,
            )
    axes.set_yscale("log")
    axes.set_ylabel("attempts/s, whole pipeline")
    axes.set_title("Architectures, 2 workers", loc="left")


def _plot_growth(axes: Any, rows: list[dict[str, Any]]) -> None:
    """Seconds against examples, and peak memory on a second axis."""
    examples = [row["examples"] for row in rows]
    seconds = [row["seconds"] for row in rows]
    axes.plot(examples, seconds, "o-", color=_BLUE)
    axes.set_xlabel("examples")
    axes.set_ylabel("seconds", color=_BLUE)
    axes.set_ylim(0)
    memory = axes.twinx()
    memory.spines["right"].set_visible(True)
    memory.plot(examples, [row["peak_memory_mib"] / 1024 for row in rows], "s--", color=_ORANGE)
    memory.set_ylabel("peak memory, GiB", color=_ORANGE)
    memory.set_ylim(0, 2)
    axes.set_title("Time and memory", loc="left")
