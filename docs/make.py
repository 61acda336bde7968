"""Makes docs/architecture.md from its template and the first docstring line of every module.

    python docs/make.py            # writes it
    python docs/make.py --check    # exits with 1 where it is out of date

A test runs the check. The modules are parsed, not imported.
"""

import argparse
import ast
from collections.abc import Iterator
from pathlib import Path
from string import Template

DOCS = Path(__file__).parent
PACKAGE = DOCS.parent / "muat_exp"
TEMPLATE = DOCS / "architecture.template.md"
TARGET = DOCS / "architecture.md"

# The packages in the order of the flow: each imports from those before it. A test checks that, and
# names the modules of mere declarations that any of them may read.
FLOW = (
    "config",
    "kernels",
    "sequences",
    "subjects",
    "executors",
    "training",
    "signatures",
    "evaluation",
    "prompts",
    "dataset",
    "tracking",
    "generation",
    "validation",
    "score",
    "exports",
    "sweep",
    "app",
    "benchmark",
)


def render() -> str:
    """The text of docs/architecture.md."""
    rooms = "\n\n".join(_room(PACKAGE / name, f"`{name}/`") for name in FLOW)
    shared = _modules(PACKAGE)
    return Template(TEMPLATE.read_text("utf-8")).substitute(rooms=rooms, shared=_listed(shared))


def unlisted_packages() -> list[str]:
    """Packages that `FLOW` lacks, and names in it that are none."""
    there = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    return sorted(there ^ set(FLOW))


def _room(folder: Path, title: str) -> str:
    """A package: what it is for, and its modules."""
    purpose = _first_line(folder / "__init__.py")
    return f"### {title}\n\n{purpose}\n\n{_listed(_modules(folder))}"


def _modules(folder: Path) -> dict[str, str]:
    """The first docstring line of each module of a package and of the packages within it.

    Of the whole package only its own modules are taken: its packages are rooms of their own.
    """
    lines = {}
    for path in sorted(_module_paths(folder)):
        name = path.relative_to(folder).with_suffix("").as_posix()
        lines[name] = _first_line(path)
    return lines


def _module_paths(folder: Path) -> Iterator[Path]:
    """The files of a package's modules."""
    found = folder.glob("*.py") if folder == PACKAGE else folder.rglob("*.py")
    for path in found:
        if path.name != "__init__.py":
            yield path


def _first_line(path: Path) -> str:
    """The first line of a module's docstring.

    Raises:
        SystemExit: it has none.
    """
    docstring = ast.get_docstring(ast.parse(path.read_text("utf-8")))
    if not docstring:
        raise SystemExit(f"{path} has no docstring.")
    return docstring.splitlines()[0]


def _listed(lines: dict[str, str]) -> str:
    """Names and lines as a Markdown list."""
    return "\n".join(f"- `{name}`: {line}" for name, line in lines.items())


def main() -> None:
    """Writes the document, or says that it is out of date."""
    parser = argparse.ArgumentParser(description="Makes docs/architecture.md.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if it differs")
    check = parser.parse_args().check
    if unlisted_packages():
        names = ", ".join(unlisted_packages())
        raise SystemExit(f"{names}: FLOW in docs/make.py and the packages of muat_exp differ.")
    text = render()
    if not check:
        TARGET.write_text(text, "utf-8")
    elif not TARGET.is_file() or TARGET.read_text("utf-8") != text:
        raise SystemExit("docs/architecture.md is out of date; `make docs` writes it.")


if __name__ == "__main__":
    main()
