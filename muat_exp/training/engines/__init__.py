"""Ways to train the subjects of a cohort."""
