"""The task `export`: writes a dataset as the files that a kind of reader takes."""

import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import ClassVar

import orjson

from muat_exp.app.request import DatasetKeys, Request
from muat_exp.config.checks import require, require_in
from muat_exp.config.keys import key
from muat_exp.exports.formats import FILES, FORMATS, LONG_ROWS, ROWS, Options, Written


@dataclass(frozen=True)
class Keys(DatasetKeys):
    """What it is told beside the configuration."""

    task: ClassVar[str] = "export"
    format: str = key()
    rows: str = key(choices=ROWS)
    max_tokens: int = key(limits=(0, 10_000_000))
    over_long: str = key(choices=LONG_ROWS)
    files: str = key(choices=FILES)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_given("format", f"one of {', '.join(FORMATS)}")
        require_in("format", self.format, tuple(FORMATS))

    def options(self, tokenizer: str) -> Options:
        """The options of the formats."""
        chosen = {
            item.name: getattr(self, item.name)
            for item in fields(Options)
            if item.name != "tokenizer"
        }
        return Options(**chosen, tokenizer=tokenizer)


def run(request: Request[Keys]) -> float:
    """Writes the files into `export` in the run's folder, and prints what they hold."""
    config = request.config
    keys = request.keys
    _refuse_others_options(keys.format, request.given)
    from muat_exp.dataset.hub import dataset_folder

    source = dataset_folder(keys.dataset_dir)
    from muat_exp.exports.formats import format_module
    from muat_exp.exports.place import claim_export, replaced

    options = keys.options(config.dataset.tokenizer)
    module = format_module(keys.format)
    module.check(options)
    final = claim_export(request.folder)
    with replaced(final) as folder:
        written: Written = module.write(source, folder, options)
        (folder / "export.json").write_bytes(_description(keys.format, written))
    _print(keys.format, written, final)
    return 0.0


def _refuse_others_options(name: str, given: tuple[str, ...]) -> None:
    """Raises `ConfigurationError` for an option of another format."""
    for other, known in FORMATS.items():
        for option in known.options:
            wrong = option in given and option not in FORMATS[name].options
            require(not wrong, f"{option} is a key of format={other}; format={name} has none such.")


def _description(name: str, written: Written) -> bytes:
    """The content of `export.json`."""
    content = {"format": name} | asdict(written)
    return orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _print(name: str, written: Written, final: Path) -> None:
    """Prints what was written, and where."""
    counts = ", ".join(f"{count} of {split}" for split, count in written.counts.items())
    dropped = f"; {written.dropped} too long, dropped" if written.dropped else ""
    print(f"{name}: {counts}{dropped}")
    print(f"export: {os.path.relpath(final)}")
