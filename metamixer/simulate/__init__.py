"""Searches on recorded tables: the real driver, its samplers and its stopping rule, on a clock that is only counted."""
