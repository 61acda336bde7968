"""`make bench`: how fast everything is, measured in one run beside training one subject at a time."""
