"""The letters that stand for tokens, and how large a sequence space may be."""

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
VOWELS = "AEIOU"
VOCAB_SIZES = (5, len(ALPHABET))  # fewest and most tokens of a vocabulary
LENGTHS = (4, 20)  # fewest and most tokens of a sequence
EXACT_SPACE = 2_000_000  # most sequences of a space on all of which networks are run
