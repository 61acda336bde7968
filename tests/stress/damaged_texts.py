"""Damages of a dataset's text files, and of its folder."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from stress.damage import Draw, Unfit, damage, pick_shard

TEXTS = ("config.yaml", "summary.json", "README.md", "probe_set.json", "SHA256SUMS")
_STRUCTURED = ("config.yaml", "summary.json", "probe_set.json")
_ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1.5,
    10**400,
    2**63,
    "",
    "x",
    [],
    {},
    [None],
    {"a": 1},
    [[1]],
    "1e999",
)


def _pick(draw: Draw, dataset: Path, names: tuple[str, ...] = TEXTS) -> Path:
    """One of the text files."""
    found = [dataset / name for name in names if (dataset / name).is_file()]
    if not found:
        raise Unfit
    return draw.choice(found)


def is_sums(what: str) -> bool:
    """Whether a damage was done to the checksums themselves."""
    return what.startswith("SHA256SUMS")


@damage()
def a_text_is_missing(draw: Draw, dataset: Path) -> str:
    path = _pick(draw, dataset)
    path.unlink()
    return f"{path.name} is missing"


@damage()
def something_else_in_the_place_of_a_text(draw: Draw, dataset: Path) -> str:
    path = _pick(draw, dataset)
    return f"{path.name} is {replace_file(draw, path)}"


@damage()
def something_else_in_the_place_of_a_shard(draw: Draw, dataset: Path) -> str:
    path = pick_shard(draw, dataset)
    return f"{path.relative_to(dataset)} is {replace_file(draw, path)}"


def replace_file(draw: Draw, path: Path) -> str:
    """Puts something in the place of a file that is none; returns what."""
    which = draw.choice(["folder", "pipe", "loop", "dangling", "device", "outside", "null"])
    content = path.read_bytes()
    path.unlink()
    if which == "folder":
        path.mkdir()
    elif which == "pipe":
        os.mkfifo(path)
    elif which == "loop":
        path.symlink_to(path.name)
    elif which == "dangling":
        path.symlink_to("nowhere")
    elif which == "device":
        path.symlink_to("/dev/zero")
    elif which == "null":
        path.symlink_to(os.devnull)
    else:
        outside = path.parent / f".outside-{path.name}"
        while (outside.parent / "SHA256SUMS").exists() or outside.parent.name in (
            "prompts",
            "subjects",
        ):
            outside = outside.parent.parent / outside.name
        outside.write_bytes(content)
        path.symlink_to(outside)
    return f"a {which}"


@damage()
def other_bytes_in_a_text(draw: Draw, dataset: Path) -> str:
    path = _pick(draw, dataset)
    content = path.read_bytes()
    contents: dict[str, bytes] = {
        "empty": b"",
        "cut": content[: draw.randrange(1, len(content))],
        "not UTF-8": b"\xff\xfe" + content,
        "not UTF-8 within": content[:50] + b"\xff" + content[50:],
        "zeros": bytes(len(content)),
        "a zero within": content[:60] + b"\x00" + content[60:],
        "UTF-16": content.decode("utf-8", "replace").encode("utf-16"),
        "twice": content + content,
        "only spaces": b" " * 100,
        "of 70 MiB": content + b" " * (70 * 2**20),
        "control characters": b"\x1b[2J\x07" + content,
    }
    name = draw.choice(sorted(contents))
    path.write_bytes(contents[name])
    return f"{path.name} is {name}"


@damage(sound=None)
def other_ends_of_lines(draw: Draw, dataset: Path) -> str:
    path = _pick(draw, dataset)
    content = path.read_bytes()
    which = draw.choice(["CRLF", "a mark of byte order", "no last line end", "a last empty line"])
    changed = {
        "CRLF": content.replace(b"\n", b"\r\n"),
        "a mark of byte order": b"\xef\xbb\xbf" + content,
        "no last line end": content.rstrip(b"\n"),
        "a last empty line": content + b"\n\n",
    }
    path.write_bytes(changed[which])
    return f"{path.name} has {which}"


@damage()
def nesting_without_end(draw: Draw, dataset: Path) -> str:
    path = _pick(draw, dataset, _STRUCTURED)
    depth = draw.choice([200, 5_000, 30_000])
    opening = draw.choice(['{"a":', "[", '[{"a":'])
    text = opening * depth
    if draw.random() < 0.5:
        text += "1" + "".join({"[": "]", "{": "}"}.get(c, "") for c in reversed(text))
    if path.suffix == ".yaml" and draw.random() < 0.5:
        text = "".join(" " * level + "a:\n" for level in range(min(depth, 2_000)))
    path.write_text(text)
    return f"{path.name} nests {depth} times {opening!r}"


@damage()
def odd_yaml(draw: Draw, dataset: Path) -> str:
    path = dataset / "config.yaml"
    if not path.is_file():
        raise Unfit
    text = path.read_text()
    odd = {
        "a date": text.replace("seed: 0", "seed: 2024-01-01"),
        "a time": text.replace("seed: 0", "seed: 2024-01-01T10:00:00Z"),
        "a number of base 60": text.replace("seed: 0", "seed: 190:20:30"),
        "a huge number": text.replace("seed: 0", f"seed: {'9' * 5000}"),
        "a huge float": text.replace("rate: 0.15", "rate: 1e999"),
        "not a number": text.replace("rate: 0.15", "rate: .nan"),
        "a tag": text.replace("seed: 0", "seed: !!python/object/apply:os.system [true]"),
        "an unknown tag": text.replace("seed: 0", "seed: !x 0"),
        "a binary": text.replace("seed: 0", "seed: !!binary AAAA"),
        "a set": text.replace("seed: 0", "seed: !!set {a, b}"),
        "an alias": text.replace("seed: 0", "seed: &a 0\nworkers: *a"),
        "aliases": "a: &a [x,x,x,x,x,x]\n"
        + "".join(f"b{n}: &b{n} [{', '.join(['*a'] * 9)}]\n" for n in range(9)),
        "a merge": "x: &x {seed: 1}\n<<: *x\n" + text,
        "a key twice": text + "seed: 7\n",
        "two documents": text + "---\n" + text,
        "a list": "- 1\n- 2\n",
        "a number": "5\n",
        "nothing": "null\n",
        "a text": '"architecture"\n',
        "a list as key": "? [a, b]\n: 1\n" + text,
        "a number as key": "1: 2\n" + text,
        "null as key": "null: 2\n" + text,
        "a tab": "\tseed: 1\n" + text,
        "a reference": text.replace("seed: 0", "seed: ${oc.env:HOME}"),
    }
    name = draw.choice(sorted(odd))
    path.write_text(odd[name])
    return f"config.yaml with {name}"


@damage()
def odd_json(draw: Draw, dataset: Path) -> str:
    path = _pick(draw, dataset, ("summary.json", "probe_set.json"))
    contents = {
        "null": "null",
        "a number": "5",
        "a text": '"x"',
        "a list": "[]",
        "an object": "{}",
        "NaN": '{"accepted": NaN}',
        "infinity": '{"accepted": 1e999}',
        "a huge number": '{"accepted": ' + "9" * 5000 + "}",
        "a half letter": '{"accepted": "\\ud800"}',
        "a comment": '{"accepted": 1} // x',
        "a key twice": '{"accepted": 1, "accepted": 2}',
    }
    name = draw.choice(sorted(contents))
    path.write_text(contents[name])
    return f"{path.name} is {name}"


@damage()
def a_value_of_another_type(draw: Draw, dataset: Path) -> str:
    path, content = _structured(draw, dataset)
    places = [place for place in _places(content) if _is_checked(path, place)]
    place = draw.choice(places)
    was = _at(content, place)
    new = draw.choice([value for value in _ODD if type(value) is not type(was)])
    _set(content, place, new)
    _write(path, content)
    return f"{path.name}: {_shown(place)} is {str(new)[:30]!r}, was {str(was)[:30]!r}"


@damage()
def a_key_is_missing(draw: Draw, dataset: Path) -> str:
    path, content = _structured(draw, dataset)
    places = [place for place in _places(content) if _is_checked(path, place)]
    place = draw.choice(places)
    parent = _at(content, place[:-1])
    del parent[place[-1]]
    _write(path, content)
    return f"{path.name} without {_shown(place)}"


@damage(sound=None)
def a_further_key(draw: Draw, dataset: Path) -> str:
    path, content = _structured(draw, dataset)
    places = [place for place in _places(content) if isinstance(_at(content, place), dict)]
    parent = _at(content, draw.choice([(), *places]))
    name = draw.choice(["", "further", "é", "a.b", "__class__", "x" * 1000])
    parent[name] = draw.choice(_ODD)
    _write(path, content)
    return f"{path.name} with {name[:20]!r}"


@damage()
def a_figure_somewhat_off(draw: Draw, dataset: Path) -> str:
    path, content = _structured(draw, dataset)
    places = [
        place
        for place in _places(content)
        if type(_at(content, place)) in (int, float) and _is_checked(path, place)
    ]
    if not places:
        raise Unfit
    place = draw.choice(places)
    was = _at(content, place)
    _set(content, place, was + 1 if isinstance(was, int) else was + 0.01)
    _write(path, content)
    return f"{path.name}: {_shown(place)} is {_at(content, place)}, was {was}"


def _structured(draw: Draw, dataset: Path) -> tuple[Path, Any]:
    """One of the files with keys and values, and what it holds."""
    path = _pick(draw, dataset, _STRUCTURED)
    text = path.read_text()
    content = yaml.safe_load(text) if path.suffix == ".yaml" else json.loads(text)
    if not isinstance(content, dict) or not content:
        raise Unfit
    return path, content


def _write(path: Path, content: Any) -> None:
    """Writes content as the file had it, the mark of a configuration included."""
    if path.suffix == ".json":
        path.write_text(json.dumps(content, indent=2))
        return
    mark = path.read_text().partition("\n")[0]
    path.write_text(f"{mark}\n{yaml.safe_dump(content, sort_keys=False)}")


_Place = tuple[Any, ...]


def _places(content: Any, above: _Place = ()) -> Iterator[_Place]:
    """The place of every value within a content."""
    pairs: Any = ()
    if isinstance(content, dict):
        pairs = content.items()
    elif isinstance(content, list):
        pairs = enumerate(content[:3])
    for key, value in pairs:
        yield (*above, key)
        yield from _places(value, (*above, key))


def _at(content: Any, place: _Place) -> Any:
    """The value at a place."""
    for key in place:
        content = content[key]
    return content


def _set(content: Any, place: _Place, value: Any) -> None:
    """Puts a value at a place."""
    _at(content, place[:-1])[place[-1]] = value


def _shown(place: _Place) -> str:
    return ".".join(map(str, place))


def _is_checked(path: Path, place: _Place) -> bool:
    """Whether a value follows from the others, so that another one can be told."""
    from muat_exp.config.identity import determines_data

    if path.name == "summary.json":
        return place[0] not in ("versions", "origin", "asked") and len(place) < 3
    if path.name == "config.yaml":
        return determines_data(_shown(place).rstrip(".0123456789")) and place[-1] != "recipe"
    return True


@damage()
def other_words_in_the_card(draw: Draw, dataset: Path) -> str:
    path = dataset / "README.md"
    if not path.is_file():
        raise Unfit
    lines = path.read_text().splitlines(keepends=True)
    first = next((at for at, line in enumerate(lines) if line.startswith("## Token")), len(lines))
    at = draw.randrange(first)
    which = draw.choice(["missing", "twice", "other"])
    lines[at : at + 1] = {"missing": [], "twice": [lines[at]] * 2, "other": ["other\n"]}[which]
    changed = "".join(lines)
    if changed == path.read_text():
        raise Unfit
    path.write_text(changed)
    return f"README.md: line {at + 1} is {which}"


@damage(forgeable=False)
def other_checksums(draw: Draw, dataset: Path) -> str:
    path = dataset / "SHA256SUMS"
    if not path.is_file():
        raise Unfit
    lines = path.read_text().splitlines()
    at = draw.randrange(len(lines))
    changes: dict[str, Callable[[], list[str]]] = {
        "a line missing": lambda: lines[:at] + lines[at + 1 :],
        "a digest changed": lambda: [*lines[:at], "0" * 64 + lines[at][64:], *lines[at + 1 :]],
        "a digest short": lambda: [*lines[:at], lines[at][10:], *lines[at + 1 :]],
        "a file outside": lambda: [*lines, "0" * 64 + "  ../../etc/passwd"],
        "an absolute file": lambda: [*lines, "0" * 64 + "  /etc/passwd"],
        "words": lambda: [*lines, "no checksum"],
    }
    name = draw.choice(sorted(changes))
    path.write_text("\n".join(changes[name]()) + "\n")
    return f"SHA256SUMS has {name}"


@damage()
def a_folder_is_missing(draw: Draw, dataset: Path) -> str:
    name = draw.choice(["prompts", "subjects"])
    shutil.rmtree(dataset / name)
    return f"{name}/ is missing"


@damage()
def a_folder_is_empty(draw: Draw, dataset: Path) -> str:
    name = draw.choice(["prompts", "subjects"])
    for path in (dataset / name).iterdir():
        path.unlink()
    return f"{name}/ is empty"


@damage()
def a_folder_is_something_else(draw: Draw, dataset: Path) -> str:
    name = draw.choice(["prompts", "subjects"])
    path = dataset / name
    which = draw.choice(["file", "pipe", "link outside", "loop"])
    if which == "link outside":
        outside = dataset.parent / f".outside-{name}"
        path.rename(outside)
        path.symlink_to(outside)
        return f"{name} is a {which}"
    shutil.rmtree(path)
    if which == "file":
        path.write_text("x")
    elif which == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(name)
    return f"{name} is a {which}"


@damage(sound=None)
def further_files(draw: Draw, dataset: Path) -> str:
    which = draw.choice(["text", "folder", "pipe", "loop", "device", "odd name", "git", "deep"])
    path = dataset / draw.choice(["notes", "prompts/notes", "subjects/notes.parquet"])
    if which == "text":
        path.write_text("x")
    elif which == "folder":
        path.mkdir()
    elif which == "pipe":
        os.mkfifo(path)
    elif which == "loop":
        path.symlink_to(path.name)
    elif which == "device":
        path.symlink_to("/dev/zero")
    elif which == "odd name":
        path = path.with_name("a\nb  c\udcff")
        path.write_text("x")
    elif which == "git":
        path = dataset / ".git/HEAD"
        path.parent.mkdir()
        path.write_text("x")
    else:
        path = dataset.joinpath("d", *["d"] * 200, "x")
        path.parent.mkdir(parents=True)
        path.write_text("x")
    return f"further: {path.relative_to(dataset).as_posix()[:30]!r}, {which}"


@damage()
def an_empty_folder(draw: Draw, dataset: Path) -> str:
    shutil.rmtree(dataset)
    dataset.mkdir()
    return "nothing at all"
