"""`python -m tests.fuzz`: what reads a file, tried with ever new bytes for FUZZ_MINUTES (60), from FUZZ_SEED on.

Each round runs the tests by hypothesis of ingest's pure parts with another seed and many examples, also those that read
the same bytes with Python's csv module. It ends at the first that fails, with the command that repeats it.
"""

import os
import secrets
import subprocess
import sys
import time
from pathlib import Path

_UNIT = Path(__file__).with_name("unit")
_TESTS = [str(_UNIT / folder) for folder in ("services/ingest", "common/rows", "common/batches")]


def main() -> int:
    """Run rounds until the time is over; 1 when a test fails."""
    minutes = float(os.environ.get("FUZZ_MINUTES") or 60)
    seed = int(os.environ.get("FUZZ_SEED") or secrets.randbelow(10**6))
    examples = os.environ.setdefault("HYPOTHESIS_EXAMPLES", "300")
    began = time.monotonic()
    rounds = 0
    while rounds == 0 or time.monotonic() - began < 60 * minutes:
        command = [
            sys.executable,
            *("-m", "pytest", *_TESTS, "-m", "hypothesis", f"--hypothesis-seed={seed + rounds}"),
            *("--numprocesses", "auto", "--quiet", "--show-capture=no", "-p", "no:cacheprovider", "-o", "timeout=3600"),
        ]
        finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        rounds += 1
        if finished.returncode:
            print(finished.stdout, f"again: HYPOTHESIS_EXAMPLES={examples} {' '.join(command[1:])}", sep="\n")
            return 1
        print(f"seed {seed + rounds - 1}: {finished.stdout.splitlines()[-1]}", flush=True)
    print(f"{rounds} rounds of at most {examples} examples a test, from FUZZ_SEED={seed} on: all held")
    return 0


if __name__ == "__main__":
    sys.exit(main())
