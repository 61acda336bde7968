"""Who runs a cohort's kernels."""
