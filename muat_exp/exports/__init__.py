"""A dataset in the forms of its readers: each a loader first, and the same as files second."""
