"""`sam build` into .aws-sam/build, only when something that goes into it has changed.

    python tools/build.py [--architecture arm64|x86_64]

Needs no Docker, and no network once the wheels of the layers' locks are in .wheels/. The state of the last
build is a digest of every input, so that touching a file, or checking out another branch and coming back,
costs nothing.

Not with `--cached`: SAM's cache knows the sources of a layer but not the architecture it was built for, and
would ship arm64 code in an x86_64 stack.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
INPUTS = ("template.yaml", "functions", "layers", "requirements/sam.txt", "tools/build.py")
LOCKS = tuple(f"layers/{name}/requirements.txt" for name in ("runtime", "api", "export"))
OUTPUT = ROOT / ".aws-sam" / "build"
STAMP = ROOT / ".aws-sam" / "inputs"
MACHINES = {"arm64": "aarch64", "x86_64": "x86_64"}


def host_architecture() -> str:
    """The template's word for this machine's instruction set."""
    machine = platform.machine()
    return {"aarch64": "arm64", "AMD64": "x86_64"}.get(machine, machine)


def input_files() -> Iterator[Path]:
    """Every file that decides what the build holds, in a fixed order."""
    for name in INPUTS:
        path = ROOT / name
        if path.is_file():
            yield path
            continue
        for file in sorted(path.rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                yield file


def digest(files: Iterator[Path], *words: str) -> str:
    """One hash over names and contents of `files`, and `words`."""
    total = hashlib.sha256()
    for word in words:
        total.update(word.encode() + b"\0")
    for file in files:
        total.update(str(file.relative_to(ROOT)).encode() + b"\0")
        total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


def fetch_wheels(architecture: str) -> Path:
    """Fetch the layers' wheels for `architecture` once per lock, checked against its hashes.

    Raises:
        subprocess.CalledProcessError: pip could not fetch them.
    """
    directory = ROOT / ".wheels" / architecture
    stamp = directory / "lock"
    wanted = digest(ROOT / name for name in LOCKS)
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return directory
    shutil.rmtree(directory, ignore_errors=True)
    target = ["--platform", f"manylinux2014_{MACHINES[architecture]}", "--python-version", "3.13"]
    for lock in LOCKS:
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "-qq", "--no-deps"]
        command += ["--require-hashes", "--only-binary=:all:", *target, "--implementation", "cp"]
        command += ["--dest", str(directory), "--requirement", lock]
        subprocess.run(command, check=True, cwd=ROOT)  # noqa: S603 - fixed command, no shell
    stamp.write_text(wanted, encoding="utf-8")
    return directory


def sam_build(architecture: str, wheels: Path) -> None:
    """Run `sam build`.

    Raises:
        subprocess.CalledProcessError: a build failed; its output is on stderr.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    environment |= {
        "PATH": f"{ROOT / '.venv' / 'bin'}{os.pathsep}{environment.get('PATH', os.defpath)}",
        "ARCHITECTURE": architecture,
        "WHEELS": str(wheels),
        "SAM_CLI_TELEMETRY": "0",
        "__SAM_CLI_APP_DIR": str(ROOT / ".aws-sam" / "cli"),
        "AWS_DEFAULT_REGION": environment.get("AWS_DEFAULT_REGION", "ap-southeast-1"),
    }
    command = [str(ROOT / ".venv-sam" / "bin" / "sam"), "build", "--template", "template.yaml", "--parallel"]
    command += ["--parameter-overrides", f"Architecture={architecture}"]
    done = subprocess.run(  # noqa: S603 - fixed command, no shell
        command,
        check=False,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        print(done.stdout, file=sys.stderr)
        done.check_returncode()


def size(directory: Path) -> int:
    """Bytes of all files below `directory`."""
    return sum(file.stat().st_size for file in directory.rglob("*") if file.is_file())


def report(seconds: float) -> None:
    """Say how long it took and how large each artifact is."""
    parts = sorted((path for path in OUTPUT.iterdir() if path.is_dir()), key=lambda path: path.name)
    for part in parts:
        print(f"  {part.name:<20} {size(part) / 1e6:7.2f} MB")
    print(f"built {len(parts)} artifacts in {seconds:.1f} s")


def main(arguments: list[str]) -> int:
    """Build if needed.

    Returns:
        0, or 1 when the build failed.
    """
    parser = argparse.ArgumentParser(description="Build the functions and layers of template.yaml.")
    parser.add_argument("--architecture", choices=sorted(MACHINES), default=host_architecture())
    architecture = parser.parse_args(arguments).architecture
    STAMP.parent.mkdir(exist_ok=True)
    with (ROOT / ".aws-sam" / "lock").open("w", encoding="utf-8") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        wanted = digest(input_files(), architecture, sys.version)
        if OUTPUT.is_dir() and STAMP.exists() and STAMP.read_text(encoding="utf-8") == wanted:
            return 0
        STAMP.unlink(missing_ok=True)
        start = time.monotonic()
        try:
            sam_build(architecture, fetch_wheels(architecture))
        except subprocess.CalledProcessError as failure:
            print(f"build failed: {failure.cmd[0]} ended with {failure.returncode}", file=sys.stderr)
            return 1
        STAMP.write_text(wanted, encoding="utf-8")
        report(time.monotonic() - start)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
