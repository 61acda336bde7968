"""`make bench`: how fast everything is, beside training one subject at a time."""
