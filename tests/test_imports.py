"""Imports point one way, along the flow of a run; every package that is imported is declared."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import muat_exp

PACKAGE = Path(muat_exp.__file__).parent
ROOT = PACKAGE.parent
MODULES = {
    path.relative_to(ROOT).with_suffix("").as_posix().replace("/", "."): path
    for path in sorted(PACKAGE.rglob("*.py"))
}

# Modules of names, codes and limits, without any work: every room may read them, also one that
# comes before theirs. They import nothing but each other and errors.
DECLARATIONS = {
    "muat_exp.dataset.column_names": "prompts and trackers show columns by these names",
    "muat_exp.executors.processors": "the configuration's default is a worker per processor",
    "muat_exp.generation.outcomes": "the dashboard shows rejections by these reasons",
    "muat_exp.prompts.codings": "configuration and kernels know the codings",
    "muat_exp.sequences.alphabet": "configuration and kernels know the tokens",
    "muat_exp.sequences.patterns": "configuration and kernels know the patterns",
    "muat_exp.signatures.methods": "configuration and kernels know the methods",
    "muat_exp.subjects.activations": "configuration and kernels know the activations",
    "muat_exp.subjects.architecture": "kernels are given the table of layers",
    "muat_exp.subjects.corruption": "the configuration knows the kinds of corruption",
    "muat_exp.subjects.schemes": "configuration and kernels know the schemes of quantisation",
    "muat_exp.subjects.shapes": "the configuration knows the shapes and their limits",
}
EVERYWHERE = {"muat_exp.errors"}  # what a declaration may import beside other declarations


def flow():
    """The order of the packages, which docs/make.py states."""
    for node in ast.parse((ROOT / "docs" / "make.py").read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "FLOW":
            return ast.literal_eval(node.value)
    raise AssertionError("docs/make.py has no FLOW")


def top_level_imports(path):
    """The modules that a module imports when it is imported itself."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            # `from package import module` names the module, `from module import thing` does not.
            for name in node.names:
                full = f"{node.module}.{name.name}"
                yield full if full in MODULES else node.module


def imports():
    """Pairs of modules of ours, the first of which imports the second."""
    for module, path in MODULES.items():
        for imported in top_level_imports(path):
            if imported.partition(".")[0] == "muat_exp":
                yield module, imported


def room(module):
    """The package that a module is in; none for those of muat_exp itself."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and (PACKAGE / parts[1]).is_dir() else ""


def test_imports_point_up_the_flow():
    order = flow()
    against = [
        f"{module} -> {imported}"
        for module, imported in imports()
        if room(module) and room(imported) and imported not in DECLARATIONS
        if order.index(room(imported)) > order.index(room(module))
    ]
    assert against == []


def test_shared_modules_import_no_room_but_the_entry_point():
    rooms = {(module, room(imported)) for module, imported in imports() if not room(module)}
    assert {pair for pair in rooms if pair[1]} == {("muat_exp.__main__", "app")}


def test_declarations_import_only_declarations():
    allowed = DECLARATIONS.keys() | EVERYWHERE
    wrong = [pair for pair in imports() if pair[0] in DECLARATIONS and pair[1] not in allowed]
    assert wrong == []


def test_every_declaration_is_read_before_its_room():
    order = flow()
    early = {
        imported
        for module, imported in imports()
        if room(module) and room(imported)
        if order.index(room(imported)) > order.index(room(module))
    }
    assert early == DECLARATIONS.keys()


def test_no_modules_import_each_other_in_a_circle():
    edges: dict[str, set[str]] = {}
    for module, imported in imports():
        edges.setdefault(module, set()).add(imported)
    done = set()

    def visit(module, path):
        assert module not in path, " -> ".join([*path, module])
        if module not in done:
            for imported in edges.get(module, ()):
                visit(imported, [*path, module])
            done.add(module)

    for module in MODULES:
        visit(module, [])


def requirements():
    """The distributions that pyproject.toml declares, and those of the extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    return {normal(re.split(r"[\[<>=!~ ]", line)[0]) for line in project["dependencies"] + extras}


def normal(name):
    """A distribution's name as indexes compare them."""
    return re.sub(r"[-_.]+", "-", name).lower()


def imported_packages():
    """The packages of others that are imported anywhere, also within functions."""
    names = []
    for path in MODULES.values():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names += [name.name for name in node.names]
            elif isinstance(node, ast.ImportFrom):
                names.append(node.module or "")
    tops = {name.partition(".")[0] for name in names}
    return tops - sys.stdlib_module_names - {"muat_exp"}


def test_every_imported_package_is_declared():
    declared = requirements()
    distributions = packages_distributions()
    undeclared = set()
    for top in imported_packages():
        sources = {normal(name) for name in distributions.get(top, [top])}
        if not sources & declared:
            undeclared.add(top)
    assert undeclared == set()
