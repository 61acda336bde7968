"""Names of columns of the `subjects` configuration that several rooms read."""

# What is measured of each subject, in the order of `evaluation.measurement.Measured.scores`.
SCORES = (
    "degraded_accuracy",
    "improved_accuracy",
    "improvement",
    "degraded_test_accuracy",
    "test_accuracy",
)
# The columns of lists of floats.
ARRAYS = ("weights", "degraded_weights", "signature", "degraded_signature", "history")
# What is measured besides where every sequence of the space is asked: accuracies on the task's own
# sequences and on all of them, and how many of these are called rightly and wrongly positive, and
# rightly and wrongly negative.
EXACT_SCORES = ("exact_task_accuracy", "exact_accuracy")
CONFUSION = ("tp", "fp", "tn", "fn")
# The column of answers, packed into bytes, in the configuration of the same name.
BEHAVIOUR = "behaviour"
# A dataset's configurations, each a folder of files; the last one where it was asked for.
PROMPTS = "prompts"
SUBJECTS = "subjects"
PARTS = (PROMPTS, SUBJECTS, BEHAVIOUR)
