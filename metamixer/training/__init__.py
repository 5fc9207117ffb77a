"""Training one architecture, and what its accuracy is to be compared with.

`metamixer.training.evaluate:evaluate` is what a search's workers call, by that name; `metamixer.training.recipe:Recipe`
is the `[training]` table of a study and imports no torch.
"""
