"""What a user, a disk or a kernel may do to a run, tried by the hundred: `python -m stress`.

Every case is drawn from a seed, the name of its kind and its number, so that one that failed can be
tried again alone. docs/reliability.md tells what is promised, and what came out.
"""

from importlib import import_module

# The modules that register a damage or a mistake for each of their functions.
for _name in ("damaged_tables", "damaged_texts", "wrong_values", "wrong_paths", "wrong_places"):
    import_module(f"stress.{_name}")
