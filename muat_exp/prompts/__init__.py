"""Networks as texts, and texts as networks."""
