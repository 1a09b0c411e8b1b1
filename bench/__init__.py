"""The benchmarks: counts and ratios, each beside its target (`make bench`, docs/benchmarks.md)."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# As in Lambda, where the layers and the function's own folder lie on the path.
for _folder in ("layers/rating", "layers/platform", "functions"):
    if str(ROOT / _folder) not in sys.path:
        sys.path.append(str(ROOT / _folder))
