"""What we did not make is neither replaced nor removed: it is refused before any work."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

import pytest
from conftest import small_config
from test_cli import SMALL, call

from muat_exp.claims import LIST, claim_output, write_output
from muat_exp.config.groups import DatasetConfig, LoggerConfig
from muat_exp.errors import RunFolderError
from muat_exp.generation.pipeline import generate
from muat_exp.generation.run_folder import RunFolder, load_run_config
from muat_exp.sweep.folder import PLAN, PLOTS, claim_plan
from muat_exp.sweep.jobs import Job

MORE = small_config(dataset=DatasetConfig(num_examples=42), logger=LoggerConfig("none"))


def snapshot(folder):
    """Every entry below a folder: the bytes of a file, the target of a link, None of a folder."""
    return {
        path.relative_to(folder).as_posix(): path.readlink()
        if path.is_symlink()
        else path.read_bytes()
        if path.is_file()
        else None
        for path in sorted(folder.rglob("*"))
    }


def put_file(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("mine")


def put_folder(path):
    put_file(path / "data.csv")


def put_link(path):
    put_folder(path.parent.parent / "elsewhere")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(path.parent.parent / "elsewhere")


def put_dangling_link(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to("nowhere")


NAMES = [
    "dataset", ".dataset.old", ".dataset.staged", "metrics.csv", "summary.json", "config.json",
    "probe_set.json", "cohorts", ".lock", LIST,
]  # fmt: skip


@pytest.mark.parametrize("put", [put_file, put_folder, put_link, put_dangling_link])
@pytest.mark.parametrize("name", NAMES)
def test_what_was_there_before_a_run_is_refused_and_left_alone(tmp_path, name, put):
    put(tmp_path / "out" / name)
    before = snapshot(tmp_path)
    with pytest.raises(RunFolderError, match=str(tmp_path / "out" / name)):
        generate(small_config(), tmp_path / "out")
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(("logger", "name"), [("wandb", "wandb"), ("tensorboard", "tensorboard")])
def test_a_tracker_takes_no_folder_of_somebody_else(tmp_path, logger, name):
    put_folder(tmp_path / name)
    before = snapshot(tmp_path)
    with pytest.raises(RunFolderError, match=str(tmp_path / name)):
        generate(small_config(logger=LoggerConfig(logger)), tmp_path)
    assert snapshot(tmp_path) == before


def test_files_of_other_names_are_no_hindrance(tmp_path):
    for name in ("notes.txt", ".config.json.bak", ".summary.json.old", ".cohort-mine", "wandb/x"):
        put_file(tmp_path / name)
    generate(small_config(logger=LoggerConfig("none")), tmp_path)
    for name in ("notes.txt", ".config.json.bak", ".summary.json.old", ".cohort-mine", "wandb/x"):
        assert (tmp_path / name).read_text() == "mine"


@pytest.fixture
def copied(run, tmp_path):
    """A finished run of its own."""
    return shutil.copytree(run.folder, tmp_path / "out")


def refused(folder, config=MORE):
    """The sentence with which a longer run in a folder is refused; it changes nothing there."""
    before = snapshot(folder.parent)
    with pytest.raises(RunFolderError) as caught:
        generate(config, folder)
    assert snapshot(folder.parent) == before
    return str(caught.value)


def test_a_dataset_that_became_a_link_is_not_replaced(copied):
    moved = (copied / "dataset").rename(copied.parent / "moved")
    (copied / "dataset").symlink_to(moved)
    assert str(copied / "dataset") in refused(copied)


@pytest.mark.parametrize("name", ["dataset", ".dataset.old", ".dataset.staged"])
@pytest.mark.parametrize("put", [put_file, put_folder, put_link])
def test_what_came_into_a_datasets_place_later_is_not_removed(copied, name, put):
    if (copied / name).exists():
        shutil.rmtree(copied / name)
    put(copied / name)
    assert str(copied / name) in refused(copied)


def test_the_dataset_of_another_run_is_not_replaced(copied, full):
    shutil.rmtree(copied / "dataset")
    shutil.copytree(full.dataset, copied / "dataset")
    assert str(copied / "dataset") in refused(copied)


@pytest.mark.parametrize("put", [put_folder, put_link])
def test_a_file_that_became_something_else_is_not_removed(copied, put):
    (copied / "summary.json").unlink()
    put(copied / "summary.json")
    assert str(copied / "summary.json") in refused(copied)


def test_a_logger_that_comes_later_claims_what_it_writes(copied):
    (copied / LIST).write_text((copied / LIST).read_text().replace("metrics.csv\n", ""))
    assert str(copied / "metrics.csv") in refused(copied, small_config())


def test_what_others_put_into_a_dataset_moves_with_it(copied):
    dataset = copied / "dataset"
    for name in (".git/HEAD", "notes.txt", "prompts/mine.parquet", "figures/a/b.png"):
        put_file(dataset / name)
    (dataset / ".git/refs").mkdir()
    (dataset / "subjects/link").symlink_to("../notes.txt")
    generate(MORE, copied)
    for name in (".git/HEAD", "notes.txt", "prompts/mine.parquet", "figures/a/b.png"):
        assert (dataset / name).read_text() == "mine"
    assert (dataset / ".git/refs").is_dir()
    assert (dataset / "subjects/link").is_symlink()
    assert json.loads((dataset / "summary.json").read_bytes())["accepted"] == 42


def test_a_run_that_was_killed_between_the_renames_goes_on(copied):
    put_file(copied / "dataset/notes.txt")
    (copied / "dataset").rename(copied / ".dataset.old")
    generate(MORE, copied)
    assert (copied / "dataset/notes.txt").read_text() == "mine"
    assert not (copied / ".dataset.old").exists()


def test_a_run_that_was_killed_while_it_removed_the_old_dataset_goes_on(copied):
    old = shutil.copytree(copied / "dataset", copied / ".dataset.old")
    put_file(old / "notes.txt")
    shutil.rmtree(old / "prompts")
    generate(MORE, copied)
    assert (copied / "dataset/notes.txt").read_text() == "mine"
    assert not old.exists()


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"model_type": "gpt2"}', b"\xff\xfe"])
def test_a_damaged_configuration_is_a_sentence_that_names_the_folder(copied, content):
    (copied / "config.json").write_bytes(content)
    assert str(copied) in refused(copied)
    with pytest.raises(RunFolderError, match=str(copied)):
        load_run_config(copied)


def test_a_run_that_is_refused_leaves_no_lock(tmp_path):
    put_folder(tmp_path / "dataset")
    with pytest.raises(RunFolderError), RunFolder.open(tmp_path, small_config()):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["dataset"]


def test_the_project_that_one_works_in_is_no_run_folder(tmp_path):
    put_folder(tmp_path / "dataset")
    before = snapshot(tmp_path)
    done = call(tmp_path, *SMALL, "logger=none", "hydra.run.dir=.")
    assert done.returncode == 1
    assert done.stderr == (
        f"error: {tmp_path / 'dataset'} is there already, and muat_exp did not make it; "
        "move it away, or choose another folder for the results.\n"
    )
    assert snapshot(tmp_path) == before


def test_an_output_is_replaced_by_the_next_one_and_nothing_else_is(tmp_path):
    path = tmp_path / "out/score.json"
    write_output(path, b"1")
    write_output(path, b"2")
    assert path.read_bytes() == b"2"
    put_file(tmp_path / "out/report.html")
    with pytest.raises(RunFolderError, match=r"report\.html"):
        claim_output(path, tmp_path / "out/report.html")


def test_what_a_killed_command_left_half_written_is_removed(tmp_path):
    path = tmp_path / "out[1].json"
    half, another = (tmp_path / f".{name}.x1.muat-partial" for name in ("out[1].json", "out1.json"))
    half.touch()
    another.touch()
    write_output(path, b"{}")
    assert set(tmp_path.iterdir()) == {path, another, tmp_path / ".muat_exp"}


def test_a_sweep_claims_every_plot_that_it_draws(tmp_path):
    from muat_exp.sweep import plots

    assert tuple(plots._PLOTS) == PLOTS
    put_file(tmp_path / "improvement.png")
    with pytest.raises(RunFolderError, match=r"improvement\.png"):
        claim_plan(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["improvement.png"]


def without_dotfiles(folder, copy):
    """A copy as `cp -r folder/* copy` makes it."""
    hidden = shutil.ignore_patterns(".*")
    return shutil.copytree(folder, copy, ignore=hidden)


def test_a_run_that_was_copied_without_its_list_goes_on(run, tmp_path):
    copy = without_dotfiles(run.folder, tmp_path / "copy")
    generate(MORE, copy)
    assert json.loads((copy / "summary.json").read_bytes())["accepted"] == 42


def test_a_run_of_another_configuration_gets_no_list(run, tmp_path):
    copy = without_dotfiles(run.folder, tmp_path / "copy")
    assert "seed" in refused(copy, small_config(seed=99))


@pytest.mark.parametrize("put", [put_file, put_folder, put_link])
def test_the_dataset_of_a_run_without_a_list_must_bear_its_mark(run, tmp_path, put):
    copy = without_dotfiles(run.folder, tmp_path / "copy")
    shutil.rmtree(copy / "dataset")
    put(copy / "dataset")
    before = snapshot(tmp_path)
    with pytest.raises(RunFolderError, match=str(copy / "dataset")):
        generate(MORE, copy)
    after = snapshot(tmp_path)
    assert all(after[name] == content for name, content in before.items())


@pytest.mark.parametrize("content", ['{"config": {}}', "{}", "{"])
def test_a_configuration_of_another_program_makes_no_run_ours(run, tmp_path, content):
    copy = without_dotfiles(run.folder, tmp_path / "copy")
    (copy / "config.json").write_text(content)
    assert "config.json is there already" in refused(copy)


def test_claims_at_the_same_time_lose_no_name(tmp_path):
    names = [f"report-{number}.txt" for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: write_output(tmp_path / "out" / name, b""), names))
    claim_output(*(tmp_path / "out" / name for name in names))


@pytest.mark.parametrize("plan", ['[{"overrides": ["seed=1"], "folder": "0"}]', None])
def test_a_sweep_that_was_copied_without_its_list_is_gathered_again(tmp_path, plan):
    if plan:
        (tmp_path / PLAN).write_text(plan)
    Job(0, ("seed=1",)).write(tmp_path / "0")
    put_file(tmp_path / "sweep.csv")
    claim_plan(tmp_path)


@pytest.mark.parametrize("plan", ["{}", "[1]", "[", '["seed=1"]', "[{}]"])
def test_a_plan_of_another_form_makes_no_folder_ours(tmp_path, plan):
    (tmp_path / PLAN).write_text(plan)
    with pytest.raises(RunFolderError, match=PLAN):
        claim_plan(tmp_path)


def test_a_job_that_was_copied_without_its_list_goes_on(run, tmp_path):
    copy = without_dotfiles(run.folder, tmp_path / "0")
    job = Job(0, ("seed=1",))
    (copy / "job.json").write_text(json.dumps(asdict(job)))
    job.write(copy)
    generate(MORE, copy)
