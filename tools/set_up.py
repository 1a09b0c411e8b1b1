"""Brings one virtual environment in line with its lock file.

    python3.13 tools/set_up.py .venv requirements/dev.txt

Runs before anything is installed, so it uses the standard library alone. Every package is checked against
the hashes of the lock. An environment that already matches (same lock, same interpreter) is left alone; a
file lock lets two `make` commands start side by side in a fresh clone.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
import time
import venv
from pathlib import Path

STAMP = ".installed"


def fingerprint(lock: Path) -> str:
    """What an environment made now from `lock` would hold: the interpreter and the lock's content."""
    return f"{sys.version} {sys.base_prefix} {hashlib.sha256(lock.read_bytes()).hexdigest()}\n"


def install(directory: Path, lock: Path) -> None:
    """Make `directory` anew with exactly what `lock` names.

    Raises:
        subprocess.CalledProcessError: pip could not install; its own words are on stderr.
    """
    shutil.rmtree(directory, ignore_errors=True)
    venv.create(directory, with_pip=True)
    pip = [str(directory / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--no-input"]
    command = [
        *pip,
        "install",
        "-qq",
        "--no-deps",
        "--only-binary=:all:",
        "--require-hashes",
        "--requirement",
    ]
    subprocess.run([*command, str(lock)], check=True)  # noqa: S603 - fixed command, no shell


def main(arguments: list[str]) -> int:
    """Make the environment if it is missing or stale.

    Returns:
        0, or 1 when the installation failed.
    """
    directory, lock = Path(arguments[0]), Path(arguments[1])
    stamp = directory / STAMP
    wanted = fingerprint(lock)
    with Path(f"{directory}.lock").open("w", encoding="utf-8") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
            stamp.touch()
            return 0
        print(f"setting up {directory} from {lock} ...", flush=True)
        start = time.monotonic()
        try:
            install(directory, lock)
        except subprocess.CalledProcessError as failure:
            print(f"could not set up {directory}: pip ended with {failure.returncode}", file=sys.stderr)
            return 1
        stamp.write_text(wanted, encoding="utf-8")
        print(f"{directory} is ready after {time.monotonic() - start:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
