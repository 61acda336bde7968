"""Token sequences and the patterns in them."""
