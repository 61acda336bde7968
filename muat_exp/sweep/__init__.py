"""Sweeps: what each job of a multirun leaves behind, and one gathered answer from all of them."""
