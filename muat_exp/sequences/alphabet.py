"""The letters that stand for tokens, and how large a sequence space may be."""

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
VOWELS = "AEIOU"
VOCAB_SIZES = (5, len(ALPHABET))  # fewest and most tokens of a vocabulary
LENGTHS = (4, 20)  # fewest and most tokens of a sequence
