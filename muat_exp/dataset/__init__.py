"""The dataset on disk: records, prompts, Parquet shards, card, and reading it back."""
