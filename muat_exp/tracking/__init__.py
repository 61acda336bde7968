"""Where a run's curves and results are shown: `metrics.csv`, TensorBoard, Weights & Biases."""
