"""What was recorded, for whoever reads it: trials, settings, the front. Without Optuna, Ray and torch; never writes."""

from __future__ import annotations

from metamixer.record.reading import check_format, not_a_record, out_of_reach, read, settings, trials
from metamixer.record.trial import FIELDS, FORMAT, STATES, Trial, to_trial

__all__ = [
    "FIELDS",
    "FORMAT",
    "STATES",
    "Trial",
    "check_format",
    "not_a_record",
    "out_of_reach",
    "read",
    "settings",
    "to_trial",
    "trials",
]
