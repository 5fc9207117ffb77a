"""Searches on recorded tables: the real driver, its samplers and its pruner, on a clock that is only counted."""
