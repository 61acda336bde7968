"""The schema of the configuration: types, limits, combinations, and what determines the data."""
