"""Mistakes around a command: sweeps, the environment, and where it prints."""

from stress.case import Trial
from stress.mistakes import SMALLEST, Mistake, copy_dataset, in_turn, mistake
from stress.originals import PLAIN, TINY

_ACCEPTS_NOTHING = ("dataset.max_attempts_per_example=1", "dataset.on_shortfall=accept")
_SWEPT = ("-m", *SMALLEST[:-1], "hydra.sweep.dir=out")


@mistake(8)
def a_wrong_sweep(trial: Trial) -> Mistake:
    wrong = in_turn(
        trial,
        [
            "seed=1,x", "seed=1,-1", "corruption.rate=0.1,7", "corruption.rate=0.1,nan",
            "sede=1,2", "architecture=small,huge", "architecture.num_layers.min=1,99",
            "signature=pca_5,nope", "training.recipe=[],x", "logger.name=csv,none,x",
            "task=generate,validate", "resume=a,b", "workers=1,none",
            "dataset.tasks=[classification],[x]", "seed=choice(1,x)", "seed=1,1.5",
            "corruption.kind=flip_target,flop", "dataset.num_examples=2,0", "seed=range(0,2),x",
            "cohort_size=16,-16", "progress=true,maybe", "engine=compiled,jax", "seed=1,[]",
            "seed=1,{}",
        ],
    )  # fmt: skip
    return Mistake(f"-m {wrong}", [*_SWEPT, wrong], refused=True, wrong=True)


@mistake(9)
def a_strange_sweep(trial: Trial) -> Mistake:
    arguments = in_turn(
        trial,
        [
            [], ["seed=range(1,0)"], ["seed=choice()"], ["seed=glob(*)"], ["seed=interval(0,1)"],
            ["seed=range(0,2)"], ["seed=1,1"], ["seed=1,2", "hydra.sweep.subdir=seed_${seed}"],
            ["seed=1,2", "hydra.sweep.subdir=${hydra.job.override_dirname}"], ["seed=1,"],
            ["seed=,"], ["seed=1,2", "hydra.sweep.subdir=."],
            ["seed=1,2", "hydra.sweep.subdir=same"], ["seed=1,2", "hydra/launcher=nowhere"],
            ["seed=1,2", "hydra/sweeper=nowhere"], ["seed=1,2", "hydra.job.chdir=true"],
            ["seed=1,2", "hydra.sweeper.max_batch_size=1"],
            ["seed=1,2", "hydra.sweeper.max_batch_size=0"], ["seed=1,2", "hydra.sweep.dir="],
            ["training.recipe=$a,$b_{"], ["training.recipe='[red]','[/]'"], ["logger.group=a,b"],
            ["training.recipe=job,status", "seed=1,2"], ["seed=1,2", "hydra.job.num=5"],
            ["patterns.enabled=[starts_with],[ends_with]"],
            ["patterns.enabled=[starts_with],[starts_with,ends_with]"],
            ["training.min_test_accuracy=1,0.5", *_ACCEPTS_NOTHING],
            ["dataset={num_examples:2},{num_examples:3}"], ["seed=1,2", "task=gather"],
            ["+sweep=nowhere"], ["signature.components=1,2", "hydra.mode=RUN"],
            ["architecture=small,medium"],
            ["architecture.num_layers={min:1,max:2},{min:2,max:2}"],
            ["training.recipe='a b','c=d'"],
        ],
    )  # fmt: skip
    return Mistake(f"-m {' '.join(arguments)}", [*_SWEPT, *arguments])


_HOSTILE: dict[str, tuple[str | None, ...]] = {
    "HYDRA_FULL_ERROR": ("1", "0", "x"),
    "PYTHONIOENCODING": ("ascii", "latin-1", "utf-16"),
    "PYTHONUTF8": ("0", "1"),
    "LC_ALL": ("C", "nowhere", "de_DE.UTF-8"),
    "MPLBACKEND": ("module://matplotlib_inline.backend_inline", "nowhere", "TkAgg"),
    "MPLCONFIGDIR": ("/nowhere", "/dev/null"),
    "NUMBA_DISABLE_JIT": ("1",),
    "NUMBA_CACHE_DIR": ("/nowhere/x", "/dev/null"),
    "NUMBA_NUM_THREADS": ("1", "0", "x"),
    "NUMBA_BOUNDSCHECK": ("1",),
    "NUMBA_DEBUG": ("0",),
    "NUMBA_CPU_NAME": ("generic",),
    "NUMBA_OPT": ("0",),
    "OMP_NUM_THREADS": ("1", "0", "x", "1000"),
    "MKL_NUM_THREADS": ("x",),
    "TORCH_LOGS": ("nonsense", "+dynamo"),
    "TORCH_NUM_THREADS": ("x",),
    "PL_TRAINER_LIMIT_VAL_BATCHES": ("0",),
    "PL_TRAINER_DETECT_ANOMALY": ("1",),
    "PL_TRAINER_MAX_EPOCHS": ("1",),
    "PL_TRAINER_FAST_DEV_RUN": ("1",),
    "PL_TRAINER_ACCELERATOR": ("gpu", "x"),
    "PL_TRAINER_PRECISION": ("16", "64"),
    "PL_TRAINER_DEVICES": ("7",),
    "PL_TRAINER_GRADIENT_CLIP_VAL": ("0.1",),
    "PL_TRAINER_OVERFIT_BATCHES": ("1",),
    "PL_GLOBAL_SEED": ("5", "x"),
    "PL_DEV_DEBUG": ("1",),
    "HOME": (None, "/nowhere", "/dev/null", ""),
    "TMPDIR": ("/nowhere", "/dev/null"),
    "TZ": ("nowhere", "Asia/Kathmandu"),
    "COLUMNS": ("1", "0", "x", "100000"),
    "TERM": ("dumb", "", None),
    "NO_COLOR": ("1",),
    "FORCE_COLOR": ("1",),
    "PYTHONWARNINGS": ("error", "x"),
    "PYTHONOPTIMIZE": ("2",),
    "PYTHONHASHSEED": ("1",),
    "PYTHONDEVMODE": ("1",),
    "PYTHONDONTWRITEBYTECODE": ("1",),
    "PYTHONSAFEPATH": ("1",),
    "WANDB_MODE": ("disabled", "online", "offline", "x"),
    "WANDB_DIR": ("/nowhere", "/dev/null"),
    "WANDB_PROJECT": ("a/b", ""),
    "WANDB_NAME": ("x" * 500,),
    "WANDB_TAGS": ("," * 100, "x" * 100),
    "WANDB_API_KEY": ("x",),
    "WANDB_BASE_URL": ("nowhere",),
    "WANDB_SILENT": ("x", "true"),
    "HF_HOME": ("/nowhere", "/dev/null"),
    "HF_HUB_OFFLINE": ("1", "x"),
    "HF_ENDPOINT": ("nowhere",),
    "SLURM_NTASKS": ("4",),
    "SLURM_JOB_ID": ("7",),
    "LOCAL_RANK": ("1",),
    "RANK": ("1",),
    "WORLD_SIZE": ("2",),
    "MASTER_ADDR": ("nowhere",),
    "CUDA_VISIBLE_DEVICES": ("0", "x"),
    "ARROW_DEFAULT_MEMORY_POOL": ("system", "x"),
    "ARROW_IO_THREADS": ("0", "x"),
    "PYTORCH_ENABLE_MPS_FALLBACK": ("x",),
    "KMP_DUPLICATE_LIB_OK": ("x",),
    "MUAT_EXP_TRACEBACKS": ("1",),
    "XDG_CACHE_HOME": ("/nowhere", "/dev/null"),
    "PATH": ("",),
    "USER": (None,),
    "DISPLAY": (":7",),
}


@mistake(12)
def a_hostile_environment(trial: Trial) -> Mistake:
    names = sorted(_HOSTILE)
    first = 3 * trial.turn
    chosen = [names[at % len(names)] for at in range(first, first + 3)]
    environment = {name: trial.draw.choice(_HOSTILE[name]) for name in chosen}
    told = " ".join(f"{name}={value}" for name, value in environment.items())
    which = trial.draw.choice(["generate", "generate", "generate", "wrong", "sweep"])
    if which == "generate":
        arguments = [*PLAIN, f"logger={trial.draw.choice(['csv', 'wandb'])}", "hydra.run.dir=out"]
        return Mistake(
            told, arguments, environment=environment, made="out/dataset", dataset="plain"
        )
    if which == "wrong":
        arguments = [*PLAIN, "seed=x", "hydra.run.dir=out"]
        return Mistake(f"seed=x with {told}", arguments, refused=True, environment=environment)
    arguments = [*_SWEPT, "seed=1,2"]
    return Mistake(f"a sweep with {told}", arguments, environment=environment, made="out/sweep.csv")


_STREAMS = {
    "stdout closed": '"$@" >&-',
    "stderr closed": '"$@" 2>&-',
    "both closed": '"$@" >&- 2>&-',
    "stdin closed": '"$@" <&-',
    "stdout full": '"$@" >/dev/full',
    "stderr full": '"$@" 2>/dev/full',
    "head": 'set -o pipefail; "$@" | head -1',
    "no reader": 'set -o pipefail; "$@" | true',
    "stderr without a reader": 'set -o pipefail; "$@" 2>&1 >/dev/null | true',
    "ascii": 'PYTHONIOENCODING=ascii "$@"',
    "few open files": 'ulimit -n 40; "$@"',
    "small files": 'ulimit -f 20; "$@"',
    "few processes": 'ulimit -u 10; "$@"',
    "little memory": 'ulimit -v 4000000; "$@"',
    "no umask": 'umask 777; "$@"',
    "a folder that went": 'mkdir gone && cd gone && rmdir ../gone && "$@"',
    "background": '"$@" & wait $!',
    "nohup": 'nohup "$@" </dev/null',
}


@mistake(10)
def a_stream_that_does_not_take_it(trial: Trial) -> Mistake:
    name = in_turn(trial, sorted(_STREAMS))
    copy_dataset(trial)
    commands = {
        "--help": ["--help"],
        "--cfg job": ["--cfg", "job"],
        "generate": [*PLAIN, "hydra.run.dir=out"],
        "validate": ["task=validate", "dataset=dataset"],
        "probes": ["task=probes", "hydra.run.dir=out"],
        "wrong": [*TINY, "seed=x"],
        "sweep": [*_SWEPT, "seed=1,2"],
    }
    command = trial.draw.choice(sorted(commands))
    silent = name in (
        "stderr closed", "both closed", "stderr full", "stderr without a reader", "head",
        "no reader", "stdout full", "stdout closed",
    )  # fmt: skip
    return Mistake(
        f"{command} with {name}", commands[command], shell=_STREAMS[name], may_be_silent=silent
    )
