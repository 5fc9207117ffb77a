"""Linear algebra on one core: the others are the trials'; and several threads' sums differ from machine to machine."""

from __future__ import annotations

import scipy.linalg  # noqa: F401  # the libraries that are limited must be loaded before they are looked for
from threadpoolctl import ThreadpoolController

in_one_thread = ThreadpoolController().wrap(limits=1, user_api="blas")
