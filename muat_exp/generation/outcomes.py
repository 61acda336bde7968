"""What may become of an attempt."""

ACCEPTED = "accepted"
NEVER_LEARNED = "never_learned"  # its validation loss did not fall enough in the degraded stage
NO_IMPROVEMENT = "no_improvement"  # the clean stage gained too little accuracy
UNLEARNED = "unlearned"  # it failed the test on fresh sequences
AMBIGUOUS = "ambiguous"  # another pattern explains it as well, or nearly so
DIVERGED = "diverged"  # its numbers blew up

REASONS = (NEVER_LEARNED, NO_IMPROVEMENT, UNLEARNED, AMBIGUOUS, DIVERGED)  # of a rejection
TRAINED = (ACCEPTED, NO_IMPROVEMENT, UNLEARNED, AMBIGUOUS)  # what went through both stages
