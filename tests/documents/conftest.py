"""Makes `pages` known to the tests of this folder, in whatever process runs them."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
