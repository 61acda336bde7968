"""From attempts to a dataset: cohorts, quotas, the run's folder."""
