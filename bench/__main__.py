"""`python -m bench [PART ...]`: every figure beside its target; all parts unless some are named.

`python -m bench record` keeps the units that are priced, and has docs/scale.md say what they come to; with `units`
behind it units are counted again and CPU is kept, with `prices` only the template and the prices are looked at again.
"""

import sys

from bench.running import PARTS, run

if __name__ == "__main__":
    if sys.argv[1:2] == ["record"]:
        from bench.costs import record

        record(*sys.argv[2:3])
    else:
        sys.exit(run(sys.argv[1:] or PARTS))
