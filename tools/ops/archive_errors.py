"""Packs that Firehose could not lay away, handed to it again."""

from __future__ import annotations

from aws_platform.archive import Archive
from tools.ops.replaying import ERRORS, packs_under_errors
from tools.ops.stack import OpsError, Stack


def lay_again(stack: Stack, prefix: str, *, dry: bool) -> int:
    """Hand the packs under `errors/`, or a folder of it, to the stream again. Twice is harmless: rows repeat."""
    if not prefix.startswith(ERRORS):
        msg = f"PREFIX begins with {ERRORS}"
        raise OpsError(msg)
    packs = packs_under_errors(stack, prefix)
    if dry:
        print(f"{prefix}: {sum(1 for _ in packs)} packs would be handed to the stream")
        return 0
    archive = Archive(stack.firehose, stack.settings.archive_stream)
    handed = 0
    for pack in packs:
        archive.put([pack.rstrip(b"\n")])
        handed += 1
    print(f"{prefix}: {handed} packs handed to the stream; they lie in the archive in about eight minutes")
    return 0
