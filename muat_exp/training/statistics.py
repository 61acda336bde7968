"""What is logged of an epoch, by name: subjects in training, and statistics over them."""

METRICS = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")
QUANTILES = (0.1, 0.5, 0.9)
SUBJECTS = "training"  # how many subjects train


def mean_name(metric: str) -> str:
    """The name of a metric's mean over the subjects."""
    return f"{metric}_mean"


def quantile_name(metric: str, quantile: float) -> str:
    """The name of a metric's quantile over the subjects.

    >>> quantile_name("train_loss", 0.1)
    'train_loss_q10'
    """
    return f"{metric}_q{round(100 * quantile)}"


def statistic_names() -> list[str]:
    """The names of all that can be logged of an epoch, in the order of tables."""
    names = [SUBJECTS]
    for metric in METRICS:
        names.append(mean_name(metric))
        names += [quantile_name(metric, quantile) for quantile in QUANTILES]
    return names
