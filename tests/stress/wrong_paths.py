"""Mistakes in paths: odd names that are good, places that are none, folders of other programs."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from stress.case import Trial
from stress.mistakes import SMALLEST, Mistake, copy_dataset, copy_run, mistake
from stress.originals import PLAIN

_ODD_NAMES = (
    "Zürich", "a b", "выход", "数据", "😀", "it's", 'say "x"', "a=b", "a,b", "[x]", "{x}", "(x)",
    "a\\b", "100%", "$HOME", "#x", "a:b", "a;b", "a&b", "a|b", "-x", "+x", "~x", "2024", "1e5",
    "null", "true", "None", "a@b", "x" * 200, "é" * 100, "a\tb", " lead", "trail ", "...", "a\nb",
    "*", "?", "!x", "%s", "${x", "$(x)", "`x`", "\\", "''", "a\u202eb", "e\u0301", "\x7f",
    "\\u00fc", "a''b", "'a'", '"a"',
)  # fmt: skip
_QUOTES_LEFT_OUT = ("''", "'a'", '"a"')


@mistake(8)
def a_folder_with_an_odd_name(trial: Trial) -> Mistake:
    name = trial.draw.choice([name for name in _ODD_NAMES if name not in _QUOTES_LEFT_OUT])
    which = trial.draw.choice(["run", "resume", "validate", "score", "gather", "sweep"])
    if which == "run":
        arguments = [*PLAIN, f"hydra.run.dir={name}"]
        return _may_refer(Mistake(f"hydra.run.dir={name!r}", arguments, made=f"{name}/dataset"))
    if which == "resume":
        copy_run(trial, name)
        return _may_refer(Mistake(f"resume={name!r}", [f"resume={name}"], sound=True))
    if which == "gather":
        shutil.copytree(trial.originals.sweep, trial.folder / name)
        return _may_refer(
            Mistake(f"sweep_dir={name!r}", ["task=gather", f"sweep_dir={name}"], sound=True)
        )
    if which == "sweep":
        few = ["-m", *SMALLEST[:-1], "seed=1,2", f"hydra.sweep.dir={name}"]
        return _may_refer(Mistake(f"hydra.sweep.dir={name!r}", few, made=f"{name}/sweep.csv"))
    copy_dataset(trial, name)
    if which == "validate":
        return _may_refer(
            Mistake(f"dataset={name!r}", ["task=validate", f"dataset={name}"], sound=True)
        )
    answers = trial.folder / f"{name}.jsonl"
    shutil.copy(trial.originals.folder / "plain.jsonl", answers)
    arguments = ["task=score", f"dataset={name}", f"predictions={answers.name}", "hydra.run.dir=o"]
    return _may_refer(Mistake(f"predictions={answers.name!r}", arguments, sound=True))


def _may_refer(made: Mistake) -> Mistake:
    """Lets a name be refused that begins a reference or parts the values of a sweep."""
    if any(sign in made.what for sign in ("${", ",")):
        made.sound = False
        made.made = ""
    return made


def _file(path: Path) -> None:
    path.write_text("x")


def _folder(path: Path) -> None:
    path.mkdir()


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


def _dangling(path: Path) -> None:
    path.symlink_to("nowhere")


def _closed(path: Path) -> None:
    path.mkdir(mode=0)


_THINGS: tuple[Callable[[Path], None], ...] = (_file, _folder, _pipe, _loop, _dangling, _closed)
_PLACES = (
    "nowhere", "", ".", "..", "/", "/dev/null", "/dev/zero", "/dev/full", "/proc/self/mem",
    "/proc/1", "x" * 300, "y/" * 3000, "a\nb", "~", "~nobody/x", "~/nowhere", "file://x",
    "http://x", "./x/../x/", "x/", "//x", "nowhere/nowhere", "me/mine/further", "/nowhere/x",
    "/proc/x", "/sys/x", "\udcff", "s3://a/b", "C:\\x", "C:/x", "null", "[]", "[x]", "{a:1}",
    "''", "'x", "${hydra.run.dir}",
)  # fmt: skip


# Folders that are made; a tokenizer that only the card needs; a set that modification alone needs.
_MADE_OR_UNREAD = ("hydra.run.dir", "hydra.sweep.dir", "dataset.tokenizer", "benchmark_set")


@mistake(12)
def a_place_that_is_none(trial: Trial) -> Mistake:
    copy_dataset(trial)
    thing = trial.draw.choice([None, None, *_THINGS])
    place = trial.draw.choice(_PLACES)
    if thing:
        place = "thing"
        thing(trial.folder / place)
    keys = {
        "hydra.run.dir": [*SMALLEST[:-1]],
        "hydra.sweep.dir": ["-m", *SMALLEST[:-1], "seed=1,2"],
        "resume": [],
        "signature.probe_set": list(SMALLEST),
        "dataset.tokenizer": list(SMALLEST),
        "dataset": ["task=validate"],
        "predictions": ["task=score", "dataset=dataset", "hydra.run.dir=out"],
        "benchmark_set": _scoring(trial),
        "sweep_dir": ["task=gather"],
    }
    key = trial.draw.choice(sorted(keys))
    if key == "hydra.run.dir" and place in ("/", "~", ".."):
        place = "/proc"
    if key == "hydra.sweep.dir" and place in ("/", "~", "..", "/nowhere/x", "~/nowhere"):
        place = "/proc"
    if key == "hydra.run.dir" and place in ("/nowhere/x", "~/nowhere"):
        place = "/proc/x"
    what = f"{key}={place[:40]!r}" + (f" {thing.__name__}" if thing else "")
    refused = key not in _MADE_OR_UNREAD and place not in (
        "", ".", "null", "''", "[]",
    )  # fmt: skip
    if key == "signature.probe_set" and not place.strip("'"):
        refused = False
    return Mistake(what, [*keys[key], f"{key}={place}"], refused=refused and "${" not in place)


def _scoring(trial: Trial) -> list[str]:
    """A command line that scores true answers."""
    answers = trial.originals.folder / "plain.jsonl"
    return ["task=score", "dataset=dataset", f"predictions={answers}", "hydra.run.dir=out"]


@mistake(8)
def a_folder_of_somebody_else(trial: Trial) -> Mistake:
    out = trial.folder / "out"
    out.mkdir()
    name = trial.draw.choice(
        [
            "dataset", "metrics.csv", "config.json", "summary.json", "cohorts", "probe_set.json",
            ".lock", ".muat_exp", ".dataset.old", ".dataset.staged", "score.json", "sweep.csv",
            "sweep-plan.json", "benchmark_set.json", "0", "notes.txt",
        ]
    )  # fmt: skip
    which = trial.draw.choice(["file", "model", "folder", "full folder", "link", "loop", "pipe"])
    path = out / name
    if which == "file":
        path.write_bytes(trial.draw.choice([b"mine", b"{", b"[]", b"null", b"\xff"]))
    elif which == "model":
        path.write_text('{"architectures": ["BertModel"], "model_type": "bert", "config": {}}')
    elif which == "folder":
        path.mkdir()
    elif which == "full folder":
        path.mkdir()
        (path / "mine").write_text("mine")
    elif which == "link":
        target = trial.folder / "elsewhere"
        target.mkdir()
        (target / "mine").write_text("mine")
        path.symlink_to(target)
    elif which == "loop":
        path.symlink_to(name)
    else:
        os.mkfifo(path)
    commands = {
        "generate": [*SMALLEST[:-1], "logger=csv", "hydra.run.dir=out"],
        "resume": ["resume=out"],
        "probes": ["task=probes", "hydra.run.dir=out"],
        "sweep": ["-m", *SMALLEST[:-1], "seed=1,2", "hydra.sweep.dir=out"],
        "gather": ["task=gather", "sweep_dir=out"],
        "score": [*_scoring(trial)],
    }
    copy_dataset(trial)
    command = trial.draw.choice(sorted(commands))
    return Mistake(f"{command} where {name} is a {which}", commands[command], keeps=f"out/{name}")


@mistake(6)
def a_run_that_was_changed(trial: Trial) -> Mistake:
    out = copy_run(trial)
    name = trial.draw.choice(["config.json", "summary.json", "cohorts/manifest.jsonl", ".muat_exp"])
    path = out / name
    content = path.read_bytes()
    contents = [
        b"", b"{", b"null", b"[]", b"5", b'{"config": 5}',
        b'{"config": {}, "config_signature": 1}', content[: len(content) // 2],
        content.replace(b"seed", b"sede"), b"\xff" + content, b"[" * 100_000,
        content.replace(b'"seed": 0', b'"seed": 1e999'), content + content,
    ]  # fmt: skip
    at = trial.draw.randrange(len(contents) + 1)
    if at == len(contents):
        path.unlink()
    else:
        path.write_bytes(contents[at])
    again = trial.draw.choice([["resume=out"], [*PLAIN, "hydra.run.dir=out"]])
    told = "missing" if at == len(contents) else f"{contents[at][:20]!r}"
    return Mistake(f"{again[0]} where {name} is {told}", again)


@mistake(6)
def a_file_of_the_wrong_form(trial: Trial) -> Mistake:
    copy_dataset(trial)
    kind = trial.draw.choice(["predictions", "probes", "benchmark", "tokenizer"])
    good = (trial.originals.folder / "plain.jsonl").read_bytes()
    probes = (trial.originals.dataset("plain") / "probe_set.json").read_bytes()
    base = good if kind == "predictions" else probes
    lines = base.splitlines(keepends=True)
    content = trial.draw.choice(
        [
            b"", b"{", b"null", b"[]", b"5", b"\xff\xfe", bytes(100), b"[" * 100_000,
            b'{"a":' * 50_000, base[: len(base) // 2], base + base, b"".join(lines[1:]),
            b"\xef\xbb\xbf" + base, base.replace(b"\n", b"\r\n"), base.replace(b"0", b"1e999"),
            base.replace(b"0", b"9" * 5000), base.replace(b'"', b"'"),
            base.replace(b": 1", b": null"), base.replace(b"example_id", b"id"),
            b'{"example_id": true, "completion": "x"}\n',
            b'{"example_id": 0.5, "completion": "x"}\n', b'{"example_id": 0, "completion": 5}\n',
            b'{"example_id": "0", "completion": "x"}\n', b'{"example_id": 0}\n',
            b'{"example_id": 0, "completion": "x", "task": 5}\n',
            b'{"example_id": 0, "completion": "x", "task": "x"}\n', base.replace(b"A", b"Z"),
            b'{"example_id": 0, "completion": "' + b"x" * 5_000_000 + b'"}\n',
            b"PAR1" + bytes(50) + b"PAR1",
        ]
    )  # fmt: skip
    name = {"predictions": trial.draw.choice(["a.jsonl", "a.parquet", "a.csv"])}.get(kind, "a.json")
    (trial.folder / name).write_bytes(content)
    commands = {
        "predictions": [
            "task=score",
            "dataset=dataset",
            f"predictions={name}",
            "hydra.run.dir=out",
        ],
        "probes": [*PLAIN, f"signature.probe_set={name}", "hydra.run.dir=out"],
        "benchmark": [*_scoring(trial), f"benchmark_set={name}"],
        "tokenizer": [*SMALLEST, f"dataset.tokenizer={name}"],
    }
    return Mistake(f"{kind}: {name} holds {content[:30]!r} ({len(content)})", commands[kind])
