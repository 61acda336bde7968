"""The command line: Hydra's entry, composing a configuration, the tasks, the jobs of a sweep."""
