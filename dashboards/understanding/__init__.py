"""What the dashboard says of a study beside its points: roles, choices, words, spaces, the atlas, lineages.

Every function returns plain values that JSON can hold, documented where it is defined. Nothing here trains: records
are read through `metamixer.record`, and no torch, Ray or Optuna is imported.
"""
