"""`python -m bench [PART ...]`: every figure beside its target; all parts unless some are named."""

import sys

from bench.running import PARTS, run

if __name__ == "__main__":
    sys.exit(run(sys.argv[1:] or PARTS))
