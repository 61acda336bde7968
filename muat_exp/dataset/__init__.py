"""The dataset on disk: schema, Parquet shards, card, and reading it back."""
