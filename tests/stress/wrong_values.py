"""Mistakes in keys, values, options and tasks."""

from collections.abc import Iterator
from dataclasses import Field, fields, is_dataclass
from typing import Any

from muat_exp.app.tasks import own_keys, task_module, task_names
from muat_exp.config.files import option_names
from muat_exp.config.groups import Config
from muat_exp.config.keys import Key, key_of, walk
from stress.case import Trial
from stress.mistakes import SMALLEST, Mistake, copy_dataset, in_turn, mistake

_NO_NUMBER = ("nan", "text", "[]", "[1]", "{}", "{a:1}", "null", "''", "true", "a,b", "é", "1.2.3")
_NO_WHOLE_NUMBER = ("0.5", "1e400", "inf", "-inf", "1e999")
_NO_LIST = ("5", "text", "null", "{a:1}", "[[a]]", "[null]", "[a,5]", "[a,a]", "['']", "true", "''")
_NO_CHOICE = ("", "null", "5", "[]", "[a]", "{a:1}", "no_such", "''", "é", "true", "a b", "None")
_NO_TEXT = ("null", "[]", "[a]", "{a:1}", "5", "true", "1.5")
_NO_BOOLEAN = ("5", "text", "null", "[]", "{a:1}", "2", "-1", "''", "0.5")
_STRANGE = (
    "${nowhere}", "${seed", "${oc.env:NOWHERE}", "${oc.env:HOME}", "${}", "${seed:1}", "'", '"',
    "[", "]", "{", "}", "[1", "{a:", "a=b", "a:b", "$(ls)", "%s", "{0}", "\\", "a\\b", "\n",
    "a\nb", "\t", " ", "😀", "x" * 300, "x" * 100_000, "???", "*", "!", "`ls`", "@", "10" * 60,
    "-", "--", "0x10", "1_0", "2024-01-01", "1:30", "yes", "off", "~", "<", "glob(*)",
    "range(1,3)", "choice(1,2)", "interval(0,1)", "sort(2,1)", "tag(a,1)", "shuffle(1,2)",
    "int(x)", "str([a])", "json_str(x)",
)  # fmt: skip


def _leaves() -> list[tuple[str, Field[Any]]]:
    """Every dotted key of the configuration that holds a value, and its field."""
    found = []
    for name, item in walk(Config):
        if not (isinstance(item.type, type) and is_dataclass(item.type)):
            found.append((name, item))
    return found


def _parent_key(name: str) -> Key:
    """What is known of the key that a dotted name belongs to, with limits of a range's ends."""
    known = {key: key_of(item) for key, item in walk(Config)}
    own = known[name]
    if own.low is None and name.rpartition(".")[2] in ("min", "max"):
        return known[name.rpartition(".")[0]]
    return own


def _wrong_for(name: str, kind: Any) -> Iterator[str]:
    """Values that a key can't have."""
    declared = _parent_key(name)
    if kind is bool:
        yield from _NO_BOOLEAN
    elif kind in (int, float):
        yield from _NO_NUMBER
        yield from _NO_WHOLE_NUMBER if kind is int else ("inf", "-inf", "1e999")
        yield from _outside(declared, kind)
    elif kind is str:
        yield from _NO_CHOICE if declared.choices else _NO_TEXT
    elif kind == tuple[str, ...]:
        yield from _NO_LIST
    else:
        yield from _NO_WHOLE_NUMBER
        yield from _NO_NUMBER


def _outside(declared: Key, kind: type) -> Iterator[str]:
    """Numbers just outside the limits of a key, and far outside."""
    step = 1 if kind is int else 1e-3
    if declared.low is not None:
        yield str(kind(declared.low - step))
        yield str(kind(-(10**9)))
    if declared.high is not None:
        yield str(kind(declared.high + step))
        yield str(kind(10**19))


@mistake(20)
def a_value_that_a_key_cannot_have(trial: Trial) -> Mistake:
    name, item = trial.draw.choice(_leaves())
    choices = list(_wrong_for(name, item.type))
    value = trial.draw.choice(choices)
    free_text = item.type is str and not key_of(item).choices
    return Mistake(
        f"{name}={value}",
        [*SMALLEST, f"{name}={value}"],
        refused=not free_text,
        wrong=not free_text,
    )


@mistake(12)
def a_strange_value(trial: Trial) -> Mistake:
    name, _ = trial.draw.choice(_leaves())
    value = trial.draw.choice(_STRANGE)
    return Mistake(f"{name}={value[:40]!r}", [*SMALLEST, f"{name}={value}"])


@mistake(5)
def a_value_for_a_group(trial: Trial) -> Mistake:
    groups = [name for name, item in walk(Config) if is_dataclass(item.type)]
    name = trial.draw.choice(groups)
    value = trial.draw.choice([*_NO_CHOICE, *_STRANGE])
    return Mistake(f"{name}={value[:40]!r}", [*SMALLEST, f"{name}={value}"])


@mistake(5)
def two_values_that_contradict(trial: Trial) -> Mistake:
    name, item = trial.draw.choice([pair for pair in _leaves() if pair[1].type in (int, float)])
    declared = _parent_key(name)
    ends = [end for end in (declared.low, declared.high) if end is not None] or [1e-9, 1e9]
    value = trial.draw.choice(ends)
    shown = str(int(value) if item.type is int else float(value))
    if name in ("dataset.num_examples", "cohort_size") and value > 10:
        shown = "1000"
    return Mistake(f"{name}={shown}", [*SMALLEST, f"{name}={shown}"])


def _misspelt(trial: Trial, name: str) -> str:
    """A name with one letter wrong, doubled, missing, or two of them changed about."""
    at = trial.draw.randrange(len(name) - 1)
    return trial.draw.choice(
        [
            name[:at] + name[at + 1 :],
            name[:at] + name[at] + name[at:],
            name[:at] + name[at + 1] + name[at] + name[at + 2 :],
            name[:at] + "q" + name[at + 1 :],
            name.upper(),
            name + "s",
            f"{name}.further",
            name.replace(".", "/"),
            f"{name}@x",
        ]
    )


@mistake(6)
def a_key_misspelt(trial: Trial) -> Mistake:
    known = {name for name, _ in walk(Config)}
    name = trial.draw.choice(sorted(known))
    wrong = _misspelt(trial, name)
    sign = trial.draw.choice(["", "", "", "+", "++", "~"])
    argument = f"{sign}{wrong}=1"
    unknown = wrong not in known
    return Mistake(argument, [*SMALLEST, argument], refused=unknown, wrong=unknown)


@mistake(4)
def an_option_misspelt(trial: Trial) -> Mistake:
    groups = (
        "architecture",
        "patterns",
        "corruption",
        "signature",
        "training",
        "dataset",
        "logger",
    )
    group = trial.draw.choice([*groups, "experiment", "sweep", "task"])
    option = trial.draw.choice(option_names(group))
    wrong = _misspelt(trial, option)
    known = wrong in option_names(group)
    argument = f"{trial.draw.choice(['', '', '+', '++'])}{group}={wrong}"
    return Mistake(argument, [*SMALLEST, argument], refused=not known)


@mistake(14)
def an_argument_of_another_form(trial: Trial) -> Mistake:
    arguments = in_turn(
        trial,
        [
            ["seed"], ["=5"], ["seed==5"], ["seed =5"], ["seed= 5"], ["seed:5"], ["--seed", "5"],
            ["--seed=5"], ["-x"], ["--help=x"], ["--cfg"], ["--cfg", "nothing"], ["generate"],
            ["--cfg", "job", "--package", "nowhere"], ["--resolve"],
            ["--resolve", "--cfg", "job"], ["--info", "nothing"], ["--config-name", "nowhere"],
            ["--config-dir", "nowhere"], ["--config-path", "nowhere"],
            ["--experimental-rerun", "nowhere"], [""], [" "], ["'"], ["--multirun"],
            ["--run", "--multirun"], ["~seed"], ["~architecture"], ["+seed=1"], ["++seed=1"],
            ["~seed=9"], ["seed=1", "seed=2"], ["--shell-completion"], ["--", "seed=1"],
            ["@architecture=small"], ["architecture@x=small"], ["/architecture=small"],
            ["seed=1,2"], ["hydra=x"], ["hydra.mode=X"], ["hydra.job.chdir=true"],
            ["hydra.nowhere=1"], ["hydra.verbose=true"], ["hydra/job_logging=nowhere"],
            ["hydra/launcher=nowhere"], ["hydra.run.dir="], ["hydra.run.dir=null"],
            ["hydra.run.dir=[]"], ["hydra.output_subdir=x"], ["hydra.run.dir=${nowhere}"],
            ["hydra.run.dir=${now:%Y}/x"], ["hydra.job.name=${seed}"],
            ["hydra.searchpath=[nowhere]"], ["hydra.callbacks=null"], ["_target_=os.system"],
            ["+callbacks.x._target_=os.system"], ["hydra.callbacks.x._target_=os.system"],
            ["--version"], ["--hydra-help"], ["--info", "searchpath"], ["--info", "defaults"],
        ],
    )  # fmt: skip
    shown = " ".join(arguments)
    return Mistake(
        shown, [*arguments, *SMALLEST] if trial.draw.random() < 0.5 else [*SMALLEST, *arguments]
    )


@mistake(8)
def keys_of_other_tasks(trial: Trial) -> Mistake:
    copy_dataset(trial)
    task = trial.draw.choice(task_names())
    owners = [(owner, key) for owner in task_names() for key in own_keys(owner)]
    _, key = trial.draw.choice(owners)
    value = trial.draw.choice(["dataset", "nowhere", "me/mine", "true", "", "null", "[]", "5", "é"])
    base = [f"task={task}"]
    if trial.draw.random() < 0.5 and "dataset_dir" in own_keys(task):
        base.append("dataset=dataset")
    argument = f"{'dataset' if key == 'dataset_dir' and trial.draw.random() < 0.5 else key}={value}"
    smallest = SMALLEST if task == "generate" else ("hydra.run.dir=out",)
    foreign = key not in own_keys(task) and not argument.startswith("dataset=")
    return Mistake(
        f"{' '.join(base)} {argument}",
        [*base, argument, *smallest],
        refused=foreign or task == "dashboard",
    )


@mistake(3)
def keys_of_a_task_with_values_that_cannot_be(trial: Trial) -> Mistake:
    copy_dataset(trial)
    tasks = [name for name in task_names() if name not in ("generate", "dashboard")]
    task = trial.draw.choice(tasks)
    kinds = {item.name: item.type for item in fields(task_module(task).Keys)}
    if not kinds:
        return Mistake(f"task={task} with a key", [f"task={task}", "dataset=x"], refused=True)
    key = trial.draw.choice(sorted(kinds))
    value = trial.draw.choice([*_NO_BOOLEAN, *_NO_CHOICE, *_STRANGE])
    good = {"dataset_dir": "dataset", "repo": "me/mine", "predictions": "x.jsonl", "sweep_dir": "x"}
    given = [f"{name}={good[name]}" for name in kinds if name in good and name != key]
    dry = ["dry_run=true"] if "dry_run" in kinds else []
    return Mistake(
        f"task={task} {key}={value[:40]!r}",
        [f"task={task}", *given, *dry, "hydra.run.dir=out", f"{key}={value}"],
    )
