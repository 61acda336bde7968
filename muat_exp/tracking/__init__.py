"""Where a run's curves and results are shown: `metrics.csv`, TensorBoard, Weights & Biases, as the group `logger` says."""
