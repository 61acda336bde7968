"""Repositories in the layout of the published family, read as this program's own datasets are."""
