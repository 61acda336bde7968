"""Datasets that were damaged: every task on one ends in a result or in a sentence.

`validate` has to find what is no longer as it was made, and no task may change what it reads, take
memory without bound, or leave something behind that looks finished.
"""

import shutil
import sys
from pathlib import Path

from stress.case import Kind, Trial
from stress.damage import DAMAGES, Damage, Unfit, forge
from stress.damaged_texts import is_sums
from stress.oracle import changes, faults_of, fingerprint
from stress.originals import DATASETS, run_here
from stress.processes import Done, run_forked

_FORGED = 0.7  # share of the damages over which checksums are made anew


def use(dataset: Path) -> int:
    """Loads the subjects of a dataset and uses all that they have; returns the exit code."""
    import muat_exp

    try:
        subjects = muat_exp.load_subjects(dataset)
        subjects.population()
        subjects.population(degraded=True)
        _ = subjects.probes
        for subject in subjects:
            repr(subject)
            _ = subject.widths
            subject.to_module()
            subject.to_module(degraded=True)
            subject.validation()
    except muat_exp.MuatError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _commands(trial: Trial, source: str) -> dict[str, tuple[str, ...]]:
    """The command line of every task on the dataset of a trial."""
    from muat_exp.app.tasks import own_keys

    thorough = ("thorough=true",) if "thorough" in own_keys("validate") else ()
    named = "dataset=dataset"
    style = "separate" if source == "full" else "interwoven"
    answers = trial.originals.folder / f"{source}.jsonl"
    return {
        "validate": ("task=validate", named, *thorough),
        "render": ("task=render", named, f"dataset.style={style}", "hydra.run.dir=rendered"),
        "signature": ("task=signature", named, "signature=mean_std", "hydra.run.dir=signed"),
        "score": ("task=score", named, f"predictions={answers}", "hydra.run.dir=scored"),
        "publish": ("task=publish", named, "repo=me/mine", "dry_run=true"),
    }


def try_one(trial: Trial) -> None:
    """Damages a copy of a dataset and runs every task on it."""
    source = trial.draw.choice(DATASETS)
    dataset = trial.folder / "dataset"
    chosen, forged = _damaged(trial, trial.originals.dataset(source), dataset)
    trial.what = f"{source}: {trial.what}" + (", checksums made anew" if forged else "")
    before = fingerprint(dataset)
    for task, arguments in _commands(trial, source).items():
        done = run_here(arguments, trial.folder)
        _judge(trial, task, done)
        if task == "validate":
            _judge_validation(trial, chosen, forged, done)
    done = run_forked(lambda: use(Path("dataset")), trial.folder, "use(Path('dataset'))")
    _judge(trial, "load_subjects", done)
    for change in changes(before, fingerprint(dataset))[:3]:
        trial.faults.append(f"the dataset that was read: {change}")


def _damaged(trial: Trial, original: Path, dataset: Path) -> tuple[Damage, bool]:
    """Makes the damaged copy; returns how it was damaged, and whether checksums were made anew."""
    names = sorted(DAMAGES)
    trial.draw.shuffle(names)
    turn = sorted(DAMAGES)[trial.number % len(DAMAGES)]
    for name in [turn, *names]:
        shutil.rmtree(dataset, ignore_errors=True)
        shutil.copytree(original, dataset)
        chosen = DAMAGES[name]
        try:
            trial.what = chosen.apply(trial.draw, dataset)
        except Unfit:
            continue
        trial.group = name
        return chosen, _forge(trial, chosen, dataset)
    raise AssertionError("no damage fits")


def _forge(trial: Trial, chosen: Damage, dataset: Path) -> bool:
    """Makes the checksums anew where the draw and the damage have it so; returns whether."""
    wanted = trial.draw.random() < _FORGED
    if not chosen.forgeable or is_sums(trial.what) or not (dataset / "SHA256SUMS").is_file():
        return False
    if not wanted or any(path.is_symlink() or path.is_fifo() for path in dataset.rglob("*")):
        return False
    forge(dataset)
    return True


def _judge(trial: Trial, task: str, done: Done) -> None:
    """Notes what does not hold of a task on a damaged dataset."""
    faults = [f"{task}: {fault}" for fault in faults_of(done)]
    left = {"render": "rendered", "signature": "signed", "score": "scored"}.get(task)
    if done.code and left and not done.ended_by_us:
        there = [path.name for path in (trial.folder / left).rglob("*")]
        if there:
            faults.append(f"{task}: failed and left {', '.join(sorted(there)[:4])}")
    if faults:
        trial.commands.append(done.command)
        trial.faults.extend(faults)


def _judge_validation(trial: Trial, chosen: Damage, forged: bool, done: Done) -> None:
    """Notes where `validate` says of a dataset what is not so."""
    found = done.code != 0
    must_find = chosen.sound is False or (not forged and chosen.sound is True)
    if must_find and not found:
        trial.commands.append(done.command)
        trial.faults.append(f"validate: called sound: {chosen.name}")
    if chosen.sound and forged and found:
        trial.commands.append(done.command)
        trial.faults.append(f"validate: called damaged, though only {chosen.name}")


KIND = Kind(
    "datasets",
    300,
    "damaged datasets, each validated, loaded and used, rendered, signed anew, scored and "
    "published as a dry run",
    try_one,
)
