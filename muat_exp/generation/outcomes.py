"""What can become of an attempt."""

ACCEPTED = "accepted"
REASONS = ("never_learned", "no_improvement", "unlearned", "diverged")  # for a rejection
