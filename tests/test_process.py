"""A command as a process: signals, standard streams, options, and folders of its own."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from conftest import HANGS
from test_cli import SMALL, call, command, hear_interrupts

from muat_exp.app import signals
from muat_exp.app.options import arranged, read_options
from muat_exp.app.overrides import hydra_overrides
from muat_exp.errors import ConfigurationError
from muat_exp.output_folder import OutputFolder

PROBES = ["task=probes", "signature.probes=30", "hydra.run.dir=out"]
QUIET = [*SMALL, "logger=none", "hydra.run.dir=out"]
WORDS = {signal.SIGINT: "interrupted: ", signal.SIGTERM: "terminated: "}
LONG = "a" * 300

# A process that is told to wait where a function is called, and says that it is there.
HELD = """
import sys, time
from muat_exp.app import signals
signals.listen()
from muat_exp.app.process import run_process
place, name, method = sys.argv[1:4]
def held(*arguments, **options):
    print("HELD", flush=True)
    while True:
        time.sleep(0.02)
from importlib import import_module
owner = import_module(place)
if name:
    owner = getattr(owner, name)
setattr(owner, method, held)
sys.argv[1:] = sys.argv[4:]
run_process()
"""
COMPILING = ("muat_exp.generation.pipeline", "", "ensure_compiled")
COHORT = ("muat_exp.generation.run_folder", "RunFolder", "finish_cohort")  # in another thread
ROW_GROUP = ("muat_exp.dataset.writing", "ShardWriter", "wait")
LAST_STEP = ("muat_exp.generation.pipeline", "", "replace_folder")


def python(folder, script, *arguments):
    """A process that hears signals, as a terminal would start it."""
    return subprocess.Popen(
        [*command()[:1], "-c", script, *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_interrupts,
    )


def wait_for(process, line):
    assert process.stdout
    for text in process.stdout:
        if text.strip() == line:
            return
    raise AssertionError(f"it never said {line}: {process.communicate()[1]}")


def check_end(process, number):
    """One sentence, the signal's exit code, no traceback."""
    output, errors = process.communicate(timeout=HANGS)
    assert process.returncode == 128 + number, errors
    assert errors.count(WORDS[number]) == 1
    assert "Traceback" not in output + errors
    assert "Exception ignored" not in errors
    assert len(errors.split()) == len(errors.strip().splitlines()[-1].split())


@pytest.mark.parametrize("place", [COMPILING, ROW_GROUP], ids=lambda place: place[-1])
def test_ctrl_c_ends_with_a_sentence_wherever_it_comes(tmp_path, place):
    process = python(tmp_path, HELD, *place, *QUIET)
    wait_for(process, "HELD")
    process.send_signal(signal.SIGINT)
    check_end(process, signal.SIGINT)


def test_a_termination_keeps_what_is_finished(tmp_path):
    process = python(tmp_path, HELD, *LAST_STEP, *QUIET)
    wait_for(process, "HELD")
    process.send_signal(signal.SIGTERM)
    check_end(process, signal.SIGTERM)
    done = call(tmp_path, *QUIET)
    assert done.returncode == 0, done.stderr
    assert "continuing: an earlier run planned" in done.stdout
    assert json.loads((tmp_path / "out/summary.json").read_bytes())["attempts_trained"] == 0


def test_a_second_ctrl_c_ends_what_takes_long_to_close(tmp_path):
    process = python(tmp_path, HELD, *COHORT, *QUIET)  # the thread is waited for
    wait_for(process, "HELD")
    process.send_signal(signal.SIGINT)
    assert process.stderr
    while WORDS[signal.SIGINT] not in process.stderr.readline():
        pass
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=HANGS)
    assert (process.returncode, errors) == (130, "")


def test_a_swallowed_ctrl_c_ends_the_process_too(tmp_path):
    script = (
        "from muat_exp.app import signals\n"
        "import time\n"
        "signals.listen()\n"
        "signals.begin(lambda: 'run the same command again.')\n"
        "signals._PATIENCE = 0.1\n"
        "while True:\n"
        "    try:\n"
        "        print('HELD', flush=True)\n"
        "        time.sleep(60)\n"
        "    except BaseException:\n"
        "        pass\n"
    )
    process = python(tmp_path, script)
    wait_for(process, "HELD")
    process.send_signal(signal.SIGINT)
    check_end(process, signal.SIGINT)


def test_ctrl_c_in_a_destructor_ends_the_process(tmp_path):
    script = (
        "from muat_exp.app import signals\n"
        "import time\n"
        "signals.listen()\n"
        "signals.begin(lambda: 'run the same command again.')\n"
        "class Slow:\n"
        "    def __del__(self):\n"
        "        print('HELD', flush=True)\n"
        "        time.sleep(60)\n"
        "Slow()\n"
    )
    process = python(tmp_path, script)
    wait_for(process, "HELD")
    process.send_signal(signal.SIGINT)
    check_end(process, signal.SIGINT)


def test_signals_that_are_ignored_stay_so(monkeypatch):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    ended = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("sys.unraisablehook", sys.unraisablehook)  # put back at the end
    try:
        signals.listen()
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
        signal.signal(signal.SIGTERM, ended)


def shell(folder, line, *arguments, **environment):
    """What bash makes of a line in which `{}` stands for the command."""
    words = " ".join(f"'{word}'" for word in arguments)
    ours = " ".join(command())
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line.format(f"{ours} {words}")],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=HANGS,
        check=False,
    )


@pytest.mark.parametrize(
    ("line", "code"),
    [("{} | head -1", 0), ("{} >&- 2>&- <&-", 0), ("{} >/dev/full", 1)],
)
def test_a_command_outlives_its_outputs(tmp_path, line, code):
    done = shell(tmp_path, line, *PROBES)
    assert done.returncode == code, done.stderr
    assert (tmp_path / "out/benchmark_set.json").is_file()
    told = "error: Standard output can't be written: No space left on device.\n"
    assert done.stderr == (told if code else "")


@pytest.mark.parametrize("option", ["--help", "--cfg job"])
def test_nobody_needs_to_read_to_the_end(tmp_path, option):
    done = shell(tmp_path, "{} | head -1", *option.split())
    assert (done.returncode, done.stderr) == (0, "")


def test_letters_that_cannot_be_shown_are_written_as_codes(tmp_path):
    done = shell(tmp_path, "{}", *PROBES[:2], "hydra.run.dir=Zürich", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert r"probe_set: Z\xfcrich/probe_set.json" in done.stdout


@pytest.mark.parametrize(
    "argument", [f"hydra.run.dir={LONG}", f"resume=x/{LONG}", f"config={'a/' * 3000}"]
)
def test_a_name_that_is_too_long_is_a_sentence(argument):
    with pytest.raises(ConfigurationError, match="is too long: a name may have 255 bytes"):
        hydra_overrides([argument])


def test_a_name_that_is_no_text_is_a_sentence():
    with pytest.raises(ConfigurationError, match="no text in UTF-8"):
        hydra_overrides(["hydra.run.dir=x\udcff"])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--resolve"], "give --cfg job besides"),
        (["--package", "architecture"], "give --cfg job besides"),
        (["--cfg", "hydra", "--resolve"], "give --cfg all --resolve --package hydra"),
        (["--cfg", "job", "-m"], "--multirun and --cfg can't be combined"),
        (["--cfg", "all of it"], "invalid choice: 'all of it'"),
        (["--nonsense"], "unrecognized arguments: --nonsense"),
        (["--shell-completion"], "needs install=<shell>"),
        (["--shell-completion", "install=tcsh"], "needs install=<shell>"),
        (["--config-path", "/tmp"], "config=<dataset folder> runs"),
        (["--experimental-rerun", "config.pickle"], "config=<dataset folder> runs"),
        (["--config-name", "base"], "begins with 'defaults: [config, _self_]'"),
    ],
)
def test_an_option_without_sense_is_a_sentence(arguments, sentence):
    with pytest.raises(ConfigurationError) as raised:
        read_options(arguments)
    assert sentence in str(raised.value)


def test_options_may_stand_anywhere():
    given = ["seed=1", "--cfg", "job", "experiment=smoke"]
    options = read_options(given)
    assert options.overrides == ["seed=1", "experiment=smoke"]
    assert arranged(given, options) == ["seed=1", "experiment=smoke", "--cfg", "job"]


def test_hydras_own_help_goes_without_overrides():
    given = ["seed=1", "--hydra-help"]
    assert arranged(given, read_options(given)) == ["--hydra-help"]


def test_the_version_is_ours(tmp_path):
    done = call(tmp_path, "--version")
    assert done.stdout.startswith("muat_exp ")
    assert list(tmp_path.iterdir()) == []


def test_a_configuration_of_ones_own_may_be_based_on_ours(tmp_path):
    (tmp_path / "mine.yaml").write_text("defaults: [config, _self_]\nseed: 5\n")
    options = ["--config-dir", ".", "--config-name", "mine"]
    done = call(tmp_path, *options, "--cfg", "job")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("seed: 5\n")


def test_runs_begun_in_one_second_have_folders_of_their_own(tmp_path):
    wanted = tmp_path / "outputs/12-00-00"
    claimed = [OutputFolder.claim(wanted) for _ in range(3)]
    names = [folder.path.name for folder in claimed]
    assert names == ["12-00-00", "12-00-00-2", "12-00-00-3"]
    for folder in reversed(claimed):
        folder.restore()
    assert list(tmp_path.iterdir()) == []


def test_two_runs_at_once_both_end_well(tmp_path):
    options = {"cwd": tmp_path, "stdout": subprocess.DEVNULL}
    now = time.time()
    time.sleep(1 - now % 1)  # both compose their folder's name within the next second
    both = [subprocess.Popen(command(*PROBES[:2]), **options) for _ in range(2)]
    assert [process.wait(HANGS) for process in both] == [0, 0]
    assert len(list(tmp_path.glob("outputs/*/*/probe_set.json"))) == 2
