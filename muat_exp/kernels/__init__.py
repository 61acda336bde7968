"""Compiled loops (Numba).

Each computes one subject at a time, so no result depends on its neighbours.
"""
