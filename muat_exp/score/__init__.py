"""The judge of interpreters: their answers against what is known of the subjects."""
