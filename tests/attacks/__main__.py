"""The long attack, as every role in all phases: `python -m tests.attacks [examples] [seed]`; ends with 1 if it hit."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import time

from tests.attacks.fuzzing import attack
from tests.attacks.runs import long_runs
from tests.attacks.stage import staged


def main(arguments: list[str]) -> int:
    """Attack with so many examples of each operation, and tell what came of it."""
    examples, seed = (int(given) for given in (*arguments, "500", "2")[:2])
    logging.disable(logging.CRITICAL)
    found = 0
    print(f"{'role':28}{'requests':>10}{'2xx':>8}{'4xx':>8}{'5xx':>6}{'wrong':>7}{'CPU s':>8}")
    with contextlib.ExitStack() as until_the_end:
        # Metrics are printed by the functions.
        with contextlib.redirect_stdout(io.StringIO()):
            stage = until_the_end.enter_context(staged())
        for run in long_runs(examples, seed):
            begun = time.process_time()
            with contextlib.redirect_stdout(io.StringIO()):
                site, findings = attack(stage, run)
            by_class = [0] * 6
            for (_, status, _), number in site.answers.items():
                by_class[status // 100] += number
            spent = time.process_time() - begun
            _, _, ok, _, refused, failed = by_class
            print(f"{run.role.name:28}{sum(by_class):10,}{ok:8,}{refused:8,}{failed:6,}{len(findings):7,}{spent:8.0f}")
            for finding in findings:
                print(f"  {finding}")
            sys.stdout.flush()
            found += len(findings)
    return min(found, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
