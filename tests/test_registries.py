"""The registries: a code, a name or a limit is written in one place.

An unknown one is an error.
"""

import ast
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

import muat_exp
from muat_exp.config.files import conf_folder
from muat_exp.config.groups import Config
from muat_exp.kernels import compact, compiled, network, profiles, quantization, rules
from muat_exp.prompts.codings import CODINGS, coding_code
from muat_exp.sequences.alphabet import ALPHABET, LENGTHS, VOCAB_SIZES
from muat_exp.sequences.patterns import (
    DEFAULT_NAMES,
    DEFINITIONS,
    NAMES,
    PUBLISHED,
    RULES,
    rule_code,
)
from muat_exp.signatures.methods import METHODS, PUBLISHED_METHODS, method_code
from muat_exp.subjects.activations import ACTIVATIONS, activation_code
from muat_exp.subjects.corruption import CORRUPTION_KINDS
from muat_exp.subjects.schemes import PUBLISHED_SCHEMES, SCHEMES, scheme_code

PACKAGE = Path(muat_exp.__file__).parent
MODULES = {path.relative_to(PACKAGE).as_posix(): path for path in sorted(PACKAGE.rglob("*.py"))}
KERNELS = [name for name in MODULES if name.startswith("kernels/")]


def tree(module):
    return ast.parse(MODULES[module].read_text())


def strings(module):
    """The string constants of a module, texts that only contain a name left aside."""
    return {node.value for node in ast.walk(tree(module)) if isinstance(node, ast.Constant)}


def coded(module, function):
    """Names by the constant that a module assigns `function("<name>")` to."""
    names = {}
    for node in tree(module).body:
        match node:
            case ast.Assign(
                targets=[ast.Name(id=constant)],
                value=ast.Call(func=ast.Name(id=called), args=[ast.Constant(value=name)]),
            ) if called == function:
                names[constant] = name
    return names


@pytest.mark.parametrize(
    ("kernels", "code", "registry"),
    [
        (rules, rule_code, RULES),
        (profiles, method_code, METHODS),
        (network, activation_code, ACTIVATIONS),
        (quantization, scheme_code, SCHEMES),
        (compact, coding_code, CODINGS),
    ],
    ids=["patterns", "signature methods", "activations", "quantization schemes", "codings"],
)
def test_kernels_take_every_code_from_the_registry(kernels, code, registry):
    constants = coded(f"kernels/{Path(kernels.__file__).name}", code.__name__)
    assert sorted(constants.values()) == sorted(registry)
    for constant, name in constants.items():
        assert getattr(kernels, constant) == code(name)
    assert [code(name) for name in registry] == list(range(len(registry)))


@pytest.mark.parametrize(
    ("kernels", "code", "registry", "published"),
    [
        (profiles, method_code, METHODS, PUBLISHED_METHODS),
        (quantization, scheme_code, SCHEMES, PUBLISHED_SCHEMES),
    ],
    ids=["signature methods", "quantization schemes"],
)
def test_what_the_published_family_defines_otherwise_has_codes_of_its_own(
    kernels, code, registry, published
):
    assert published.keys() <= registry.keys()
    codes = [code(name, PUBLISHED) for name in published]
    assert codes == list(range(len(registry), len(registry) + len(published)))
    assert [getattr(kernels, f"_PUBLISHED_{name.upper()}") for name in published] == codes
    for name in registry.keys() - published.keys():
        assert code(name, PUBLISHED) == code(name)


@pytest.mark.parametrize("module", KERNELS)
def test_kernels_number_nothing_by_its_place(module):
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple):
            assert "range(" not in ast.unparse(node.value), node.lineno


def test_the_compilation_cache_knows_all_modules_that_kernels_take_constants_from():
    sources = {
        node.module or ""
        for module in KERNELS
        if module != "kernels/compiled.py"  # compiles, and is not compiled
        for node in ast.walk(tree(module))
        if isinstance(node, ast.ImportFrom)
    }
    own = [source for source in sources if source.startswith("muat_exp.")]
    imported = {source.removeprefix("muat_exp.").replace(".", "/") + ".py" for source in own}
    assert imported - set(KERNELS) <= set(compiled.REGISTRIES)


@pytest.mark.parametrize("code", [-1, len(RULES)])
def test_an_unknown_rule_is_an_error(code):
    with pytest.raises(ValueError, match="no predicate"):
        rules.match_rows(code, -1, np.zeros((1, 5), np.uint8))
    with pytest.raises(ValueError, match="no draw"):
        rules.draw_rows(np.uint64(0), 10, 5, code, -1, np.zeros(0), 1)


def test_an_unknown_method_is_an_error():
    layer = np.zeros((2, 16), np.float32)
    recipe = profiles.Recipe(
        methods=np.array([len(METHODS) + len(PUBLISHED_METHODS)]),
        columns=np.ones(1, np.int64),
        bins=10,
        cosines=np.zeros((1, 3)),
        sines=np.zeros((1, 3)),
        origins=np.zeros(3, np.int64),
        alphabetical=np.zeros(3, np.int64),
        patterns=1,
    )
    with pytest.raises(ValueError, match="no kernel"):
        profiles._profile_layer(layer, 3, recipe, np.zeros((2, 1), np.float32))


@pytest.mark.parametrize(
    ("registry", "rooms"),
    [
        (RULES, {"sequences/patterns.py", "kernels/rules.py"}),
        (
            CORRUPTION_KINDS,
            {"subjects/corruption.py"},
        ),
    ],
    ids=["patterns", "corruption kinds"],
)
def test_a_name_is_written_in_its_registry_and_its_kernels_alone(registry, rooms):
    defaults = {
        "starts_with",  # its letter is a key of the configuration
        "ends_with",
        Config().corruption.kind,
    }
    for module in MODULES.keys() - rooms:
        found = strings(module) & registry.keys()
        assert found <= (defaults if module.startswith("config/") else set()), module


@pytest.mark.parametrize("module", sorted(MODULES.keys() - {"sequences/alphabet.py"}))
def test_the_limits_of_the_sequence_space_are_written_once(module):
    text = MODULES[module].read_text()
    assert ALPHABET not in text
    for low, high in (VOCAB_SIZES, LENGTHS):
        assert not re.search(rf"\b{low}, {high}\b", text)


def options(group):
    """The values of each option of a configuration group."""
    files = sorted((conf_folder() / group).glob("*.yaml"))
    return {path.stem: yaml.safe_load(path.read_text()) for path in files}


def test_options_name_what_is_in_the_registries():
    for option in options("patterns").values():
        assert set(option.get("enabled", ())) <= set(NAMES)
        assert option.get("definitions", "distinct") in DEFINITIONS
    for option in options("signature").values():
        assert set(option.get("methods", ())) <= METHODS.keys()
    for option in options("corruption").values():
        assert option.get("kind", "flip_any") in CORRUPTION_KINDS


def test_the_option_all_enables_every_pattern():
    assert sorted(options("patterns")["all"]["enabled"]) == sorted(NAMES)
    assert muat_exp.load_config([]).patterns.enabled == DEFAULT_NAMES


def test_every_entry_says_what_it_is():
    assert all(rule.description for rule in RULES.values())
    assert all(method.doc for method in [*METHODS.values(), *PUBLISHED_METHODS.values()])
    assert all(kind.doc for kind in CORRUPTION_KINDS.values())
    assert all(scheme.doc for scheme in [*SCHEMES.values(), *PUBLISHED_SCHEMES.values()])
    assert all(DEFINITIONS.values())


def test_published_twins_are_rules_themselves():
    for name, rule in RULES.items():
        assert rule.published in {"", *RULES}, name
        assert rule.choosable or not rule.default
    twins = {rule.published for rule in RULES.values()}
    assert all(rule.choosable or name in twins for name, rule in RULES.items())


def test_a_configuration_is_checked_without_arrays_and_kernels():
    command = "import sys, muat_exp.config.groups; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", command], capture_output=True, text=True, check=True
    )
    assert not {"numpy", "numba", "torch"} & set(done.stdout.split())


def test_whole_texts_are_read_and_written_as_utf8():
    """Without an encoding Python takes the machine's, which differs on Windows."""
    call = re.compile(r"\.(?:read_text|write_text)\((?!\"utf-8\"|[^)]*\)?[^)]*encoding=)")
    found = []
    for name, path in MODULES.items():
        lines = path.read_text("utf-8").splitlines()
        found += [f"{name}: {line.strip()}" for line in lines if call.search(line)]
    assert found == []
