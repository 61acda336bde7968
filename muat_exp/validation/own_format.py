"""Checks a dataset of this program: its files, each example, and what is said of them all."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from muat_exp.config.groups import Config
from muat_exp.config.identity import MARK, config_signature
from muat_exp.dataset.faults import Faults
from muat_exp.dataset.reading import read_config
from muat_exp.errors import DatasetError
from muat_exp.evaluation.measurement import RunContext
from muat_exp.executors.budget import Budget
from muat_exp.executors.threads import ThreadExecutor
from muat_exp.generation.pipeline import ensure_compiled
from muat_exp.generation.source import Source
from muat_exp.progress import Reporter
from muat_exp.prompts.columns import prompt_schema
from muat_exp.prompts.forms import Forms, measure_forms, sampled_places
from muat_exp.prompts.rendering import Renderer
from muat_exp.prompts.tokens import LLAMA3, NONE
from muat_exp.signatures.probe_set import given_probes
from muat_exp.validation.attempts import Attempts, find_attempts
from muat_exp.validation.checksums import check_checksums
from muat_exp.validation.examples import ELSEWHERE, EXACT, Checked, check_examples
from muat_exp.validation.figures import Recount
from muat_exp.validation.files import Batch, batches, check_files, count_examples
from muat_exp.validation.makers import recorded_arithmetic
from muat_exp.validation.places import check_places, strangers, text_problem
from muat_exp.validation.report import Report, counted, enumerated
from muat_exp.validation.retraining import Retraining, Verdict
from muat_exp.validation.sample import SampledRows
from muat_exp.validation.statements import Compared, check_statements, readable_summary
from muat_exp.validation.tally import Tally

# Kinds of faults with which neither splits nor attempts are checked: both follow from the examples,
# all of them.
_UNREADABLE = {"files", "schema"}
_UNKNOWN_EXAMPLES = {"ids", "specification", *_UNREADABLE}
_LONGEST_MARK = 200  # characters that are read of config.yaml's first line


@dataclass(frozen=True)
class Depth:
    """How much is trained again.

    Attributes:
        retrain: how many subjects.
        thorough: whether all of them are, and all rejected attempts besides.
    """

    retrain: int = 20
    thorough: bool = False


def check_own_format(
    folder: Path, depth: Depth, workers: ThreadExecutor, reporter: Reporter, report: Report
) -> None:
    """Checks a dataset of this program.

    Args:
        folder: the dataset's.
        depth: how much is trained again.
        workers: run the kernels.
        reporter: told of the progress.
        report: takes what is wrong, and what was checked.
    """
    report.headline = "no network was run again"
    check_places(folder, report.found)
    _check_checksums(folder, report)
    config = _readable_config(folder, report)
    if config is None:
        return
    check_files(folder, config, report.found)
    ensure_compiled(reporter.note)
    context = _build_context(folder, config, report)
    if context is None:
        return
    examples = _Examples(folder, context, workers, report)
    examples.check_each(depth, reporter)
    examples.check_training(depth)
    examples.check_together()
    recount = _recount(examples, depth, reporter)
    if report.found.found.keys() & _UNREADABLE:
        report.unchecked.append("summary.json and README.md: they follow from all examples")
        return
    compared = check_statements(
        folder, examples.tally, recount, examples.renderer, report.found, examples.forms()
    )
    _report_statements(compared, recount, report)


def _check_checksums(folder: Path, report: Report) -> None:
    """Compares files with their checksums, and says how many were."""
    compared = check_checksums(folder, report.found)
    if compared:
        report.checked.append(f"{counted(compared, 'file')} against SHA256SUMS")
    else:
        report.unchecked.append("files against SHA256SUMS: there is none that lists any")
    others = strangers(folder)
    if others:
        report.unchecked.append(f"what no dataset needs: {enumerated(others)}")


def _readable_config(folder: Path, report: Report) -> Config | None:
    """The configuration that a dataset of ours has; None where it can't be read, which is a fault.

    Its first line tells its signature.
    """
    path = folder / "config.yaml"
    problem = text_problem(path)
    if problem:
        report.found.add("config", f"config.yaml {problem}: a dataset of this program has one.")
        report.unchecked.append("networks, texts and figures: they follow from config.yaml")
        return None
    try:
        config = read_config(folder)
    except DatasetError as error:
        report.found.add("config", str(error))
        report.unchecked.append("networks, texts and figures: they follow from config.yaml")
        return None
    with path.open("rb") as file:
        first = file.readline(_LONGEST_MARK).decode("utf-8", "replace").rstrip()
    expected = f"{MARK}{config_signature(config)}"
    if first != expected:
        report.found.add("config", f"config.yaml does not begin with `{expected}`.")
    return config


def _build_context(folder: Path, config: Config, report: Report) -> RunContext | None:
    """What the configuration fixes; None where there are no probes to measure with.

    Probes that were drawn are drawn again and compared, given ones are read.
    """
    path = folder / "probe_set.json"
    problem = text_problem(path)
    faults = report.found
    if problem:
        faults.add("probes", f"probe_set.json {problem}.")
        if config.signature.probe_set_sha256:
            report.unchecked.append("the networks: the probes that were given are gone")
            return None
        context = RunContext.build(config)
    else:
        context = RunContext.build(config, given_probes(folder, config))
    if problem or path.read_bytes() != context.probes.to_json(config):
        faults.add(
            "probes", "probe_set.json does not hold the probes that the configuration gives."
        )
    return context


def _config_for_rendering(config: Config) -> Config:
    """The configuration, but for a tokenizer's file, which a dataset names without holding it."""
    if config.dataset.tokenizer in (LLAMA3, NONE):
        return config
    return replace(config, dataset=replace(config.dataset, tokenizer=NONE))


class _Examples:
    """The examples of a dataset, checked one by one and together.

    Attributes:
        config: the dataset's.
        renderer: of its texts.
        tally: counts and means of what was checked.
        retraining: of the subjects that are trained again.
        verdict: how these came out.
        attempts: that it took to find the examples; None where they do not tell.
    """

    def __init__(
        self, folder: Path, context: RunContext, workers: ThreadExecutor, report: Report
    ) -> None:
        self.config = context.config
        self.renderer = Renderer(_config_for_rendering(self.config))
        self.tally = Tally(self.config)
        self.report = report
        self.attempts: Attempts | None = None
        self.verdict = Verdict()
        self._folder = folder
        self._context = context
        self._workers = workers
        # What is wrong with the summary is told when its figures are compared.
        summary = readable_summary(folder, Faults()) or {}
        self._arithmetic = recorded_arithmetic(summary)
        self.retraining = Retraining(context, workers, derived=bool(summary.get("origin")))

    def check_each(self, depth: Depth, reporter: Reporter) -> None:
        """Checks each example, and trains some or all of them again."""
        faults = self.report.found
        rows = SampledRows(count_examples(self._folder), None if depth.thorough else depth.retrain)
        for batch, checked in self._checked_batches():
            self.tally.add(batch.split, checked, faults)
            sampled = rows.of_next(batch.subjects.num_rows)
            chosen = sampled[checked.measured[sampled]]
            self.retraining.add(batch.subjects.take(pa.array(chosen)))
            reporter.update(self.tally.count, 0, 0.0)
        if self.retraining.waiting:
            reporter.note(f"training {self.retraining.waiting} subjects again")
            self.retraining.finish()
        self._report_each()

    def _checked_batches(self) -> Iterator[tuple[Batch, Checked]]:
        """Some examples after others, and what was found of them."""
        tolerances = EXACT if self._arithmetic.same else ELSEWHERE

        def check(batch: Batch) -> tuple[Batch, Checked]:
            checked = check_examples(
                self._context,
                self.renderer,
                tolerances,
                batch.subjects,
                batch.prompts,
                batch.behaviour,
            )
            return batch, checked

        pairs = batches(self._folder, self.config, self.report.found)
        return self._workers.stream(check, pairs, Budget(self.config).checks)

    def _report_each(self) -> None:
        """Says what was done with each example."""
        tally = self.tally
        report = self.report
        report.examples = tally.count
        columns = ", ".join(prompt_schema(self.config).names[1:])
        if tally.measured:
            report.checked.append(
                f"{tally.measured} of {counted(tally.count, 'example')}: data drawn again, both "
                "networks run again and all that is measured compared, all rendered again that is "
                f"in prompts ({columns})"
            )
        left = tally.count - tally.measured
        if left:
            report.unchecked.append(
                f"the networks and texts of {counted(left, 'example')}: the faults say why"
            )
        if self.config.dataset.behaviour:
            report.checked.append(tally.duplicates.clause())
        if not self._arithmetic.same:
            report.unchecked.append(
                f"last bits, as the dataset was made with {self._arithmetic}: numbers were "
                "compared within what rounding changes"
            )

    def check_training(self, depth: Depth) -> None:
        """Judges the subjects that were trained again."""
        tally = self.tally
        verdict = self.retraining.judge(self._arithmetic, self.report.found)
        self.verdict = verdict
        self.report.headline = _headline(tally, verdict)
        if verdict.total:
            self.report.checked.append(_training_clause(tally, verdict))
        left = tally.count - verdict.total
        if left:
            self.report.unchecked.append(f"the training of {counted(left, 'subject')}{_how(depth)}")

    def forms(self) -> Forms | None:
        """What the forms of the prompts cost and lose.

        None where the arithmetic is another, or where some examples could not be measured.
        """
        tally = self.tally
        if not self._arithmetic.same or not 0 < tally.measured == tally.count:
            return None
        try:
            source = Source.open(self._folder)
            total = len(source.locations.ids)
            records = source.fetch(source.locations.of(sampled_places(self.config, total)))
        except DatasetError:  # what is wrong was found as the examples were checked
            return None
        return measure_forms(self.renderer.config, records, total, self._workers)

    def check_together(self) -> None:
        """Checks what follows from all examples together: their order, splits and attempts."""
        faults = self.report.found
        self.tally.check_ids(faults)
        if faults.found.keys() & _UNKNOWN_EXAMPLES:
            self.report.unchecked.append("splits and attempts: they follow from all examples")
            return
        self.tally.check_splits(faults)
        self.attempts = find_attempts(self.config, self.tally.numbers, faults)


def _headline(tally: Tally, verdict: Verdict) -> str:
    """What was done, in a few words."""
    every = tally.measured == tally.count > 0
    run = "every network" if every else f"{tally.measured} networks"
    return f"{tally.count} examples, {run} run again, {verdict.total} trained again"


def _training_clause(tally: Tally, verdict: Verdict) -> str:
    """How the subjects came out that were trained again."""
    ways = [f"{verdict.equal} to the last bit"]
    if verdict.near:
        ways.append(f"{verdict.near} but for rounding")
    if verdict.straying:
        ways.append(f"{verdict.straying} otherwise, which rounding may explain")
    if verdict.wrong:
        ways.append(f"{verdict.wrong} otherwise")
    start = f"{verdict.total} of {counted(tally.count, 'subject')} trained again from their numbers"
    return f"{start}: {', '.join(ways)}"


def _how(depth: Depth) -> str:
    """How to have all trained again; nothing where it was asked for."""
    return "" if depth.thorough else " (thorough=true trains all again)"


def _recount(examples: _Examples, depth: Depth, reporter: Reporter) -> Recount:
    """What is known of the attempts; trains the rejected ones again where that is asked for."""
    attempts = examples.attempts
    unchecked = examples.report.unchecked
    if attempts is None:
        return Recount()
    by_pattern = attempts.by_pattern(examples.config)
    if by_pattern is None:
        unchecked.append("the attempts at each pattern: there are too many to be drawn again")
    recount = Recount(attempts, by_pattern)
    if not attempts.rejected:
        return recount
    rejected = f"the training of {counted(attempts.rejected, 'rejected attempt')}"
    if examples.retraining.derived:
        unchecked.append(f"{rejected}: another configuration judged them")
        return recount
    if not depth.thorough:
        unchecked.append(f"{rejected}{_how(depth)}")
        return recount
    return replace(recount, rejected=_train_rejected(examples, attempts, reporter))


def _train_rejected(
    examples: _Examples, attempts: Attempts, reporter: Reporter
) -> Counter[tuple[str, str]] | None:
    """Trains the rejected attempts again; their numbers by pattern and reason.

    None where rounding may have changed what became of some.
    """
    retraining = examples.retraining
    done = 0
    for numbers in attempts.rejected_blocks(retraining.size):
        reporter.note(f"training rejected attempts again: {done} of {attempts.rejected}")
        retraining.train_rejected(numbers)
        done += len(numbers)
    report = examples.report
    told = f"{counted(done, 'rejected attempt')} trained again"
    omitted = len(retraining.omitted)
    if not examples.verdict.exact:
        report.checked.append(f"{told}: {omitted} are accepted here, which rounding may explain")
        return None
    report.checked.append(told)
    for number in retraining.omitted:
        sentence = "it is accepted when it is trained again, but not in the dataset."
        report.found.add("attempts", f"attempt {number}: {sentence}")
    return None if omitted else retraining.rejected


def _report_statements(compared: Compared, recount: Recount, report: Report) -> None:
    """Says what was compared of the summary and the card."""
    if compared.summary:
        report.checked.append("every figure of summary.json")
    if compared.summary and recount.rejected is None:
        report.unchecked.append("why each attempt was rejected, but that the counts add up")
    if compared.card:
        report.checked.append("every line of README.md")
    else:
        report.unchecked.append("README.md: it can't be read, or summary.json is wrong already")
    if compared.card and not compared.tokens:
        report.unchecked.append("token counts: none are told, or they can't be counted here")
