"""The task `probes`: makes a probe set and a benchmark set, or checks a probe set's file."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from muat_exp.app.request import Request, TaskKeys
from muat_exp.config.groups import Config

if TYPE_CHECKING:
    from muat_exp.signatures.probe_set import ProbeSet


@dataclass(frozen=True)
class Keys(TaskKeys):
    """What it is told beside the configuration: nothing."""

    task: ClassVar[str] = "probes"


class _Column(NamedTuple):
    """A column of counts.

    Attributes:
        name: its title.
        counts: by pattern.
        total: what stands below them.
    """

    name: str
    counts: list[int]
    total: int


def run(request: Request[Keys]) -> float:
    """Makes both sets in the run's folder, or checks the file of `signature.probe_set`."""
    config = request.config
    if config.signature.probe_set:
        _check_set(config)
    else:
        _make_sets(config, request.folder)
    return 0.0


def _make_sets(config: Config, folder: Path) -> None:
    """Writes `probe_set.json` and `benchmark_set.json` and prints what they hold."""
    from muat_exp.claims import claim_output, write_output
    from muat_exp.evaluation.benchmark_set import draw_benchmark
    from muat_exp.sequences.space import space_arrays
    from muat_exp.signatures.probe_set import draw_probes

    paths = {name: folder / f"{name}.json" for name in ("probe_set", "benchmark_set")}
    claim_output(*paths.values())
    space = space_arrays(config.patterns.build())
    probes = draw_probes(config, space)
    benchmark = draw_benchmark(config, space)
    members = benchmark.labels.sum(axis=0).tolist()
    _print_probes(
        config, probes, _Column("members in the benchmark set", members, len(benchmark.tokens))
    )
    contents = {
        "probe_set": probes.to_json(config),
        "benchmark_set": benchmark.to_json(config),
    }
    for name, path in paths.items():
        write_output(path, contents[name])
        print(f"{name}: {os.path.relpath(path)}")


def _check_set(config: Config) -> None:
    """Checks the file of `signature.probe_set` and prints what it holds.

    Raises:
        ConfigurationError: it is no probe set, of other patterns, or a probe is no member of its
            pattern.
    """
    from muat_exp.evaluation.benchmark_set import label_sequences
    from muat_exp.sequences.space import space_arrays
    from muat_exp.signatures.probe_set import run_probes

    probes = run_probes(config, space_arrays(config.patterns.build()))
    members = label_sequences(config.patterns, probes.tokens).sum(axis=0).tolist()
    _print_probes(config, probes, _Column("members in all", members, len(probes.tokens)))
    signature = config.signature
    print(f"{signature.probe_set} is sound; sha256 {signature.probe_set_sha256}")


def _print_probes(config: Config, probes: "ProbeSet", further: _Column) -> None:
    """A table of the patterns: their sizes, their probes and a further column."""
    import numpy as np
    from rich.console import Console
    from rich.table import Table

    space = config.patterns
    title = f"Sequences of {space.sequence_length} tokens of {space.vocab_size}"
    table = Table("pattern", title=title, title_justify="left")
    sizes = [pattern.size for pattern in space.build()]
    drawn = np.bincount(probes.origins, minlength=probes.patterns).tolist()
    columns = [
        _Column("size", sizes, space.vocab_size**space.sequence_length),
        _Column("probes", drawn, len(probes.tokens)),
        further,
    ]
    for column in columns:
        table.add_column(column.name, justify="right")
    for row, name in enumerate(space.enabled):
        table.add_row(name, *(str(column.counts[row]) for column in columns))
    table.add_section()
    table.add_row("sequences in all", *(str(column.total) for column in columns))
    Console(soft_wrap=True).print(table)
