"""The task `probes`: makes a probe set and a benchmark set, or checks a probe set's file."""

import os
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from muat_exp.config.groups import Config
from muat_exp.evaluation.benchmark_set import draw_benchmark, label_sequences
from muat_exp.files import write_atomically
from muat_exp.sequences.space import space_arrays
from muat_exp.signatures.probe_set import ProbeSet, draw_probes, run_probes


def make_sets(config: Config, folder: Path) -> None:
    """Writes `probe_set.json` and `benchmark_set.json` and prints what they hold."""
    space = space_arrays(config.patterns.build())
    probes = draw_probes(config, space)
    benchmark = draw_benchmark(config, space)
    members = benchmark.labels.sum(axis=0)
    _print_probes(
        config, probes, [("members in the benchmark set", members.tolist(), len(benchmark.tokens))]
    )
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (
        ("probe_set", probes.to_json(config)),
        ("benchmark_set", benchmark.to_json(config)),
    ):
        path = folder / f"{name}.json"
        write_atomically(path, content)
        print(f"{name}: {os.path.relpath(path)}")


def check_set(config: Config) -> None:
    """Checks the file of `signature.probe_set` and prints what it holds.

    Raises:
        ConfigurationError: it is no probe set, of other patterns, or a probe is no member of its
            pattern.
    """
    probes = run_probes(config, space_arrays(config.patterns.build()))
    members = label_sequences(config.patterns, probes.tokens).sum(axis=0)
    _print_probes(config, probes, [("members in all", members.tolist(), len(probes.tokens))])
    print(f"{config.signature.probe_set} is sound; sha256 {config.signature.probe_set_sha256}")


def _print_probes(
    config: Config, probes: ProbeSet, columns: list[tuple[str, list[int], int]]
) -> None:
    """A table of the patterns: sizes, probes, and columns of counts with their totals."""
    space = config.patterns
    title = f"Sequences of {space.sequence_length} tokens of {space.vocab_size}"
    table = Table("pattern", title=title, title_justify="left")
    counts = np.bincount(probes.origins, minlength=probes.patterns).tolist()
    shown = [
        (
            "size",
            [pattern.size for pattern in space.build()],
            space.vocab_size**space.sequence_length,
        )
    ]
    shown += [("probes", counts, len(probes.tokens)), *columns]
    for name, _, _ in shown:
        table.add_column(name, justify="right")
    for place, name in enumerate(space.enabled):
        table.add_row(name, *(str(values[place]) for _, values, _ in shown))
    table.add_section()
    table.add_row("sequences in all", *(str(total) for _, _, total in shown))
    Console(soft_wrap=True).print(table)
