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
