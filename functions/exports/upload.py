"""Puts a file into the bucket, a part at a time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

PART_BYTES = 8 * 1024 * 1024
"""What is in memory of a file. Parts have at least 5 MiB, and at most 10,000 make a file."""
CONTENT_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "zip": "application/zip",
}


def upload(s3: S3Client, bucket: str, key: str, path: Path) -> int:
    """Put the file there, whole or not at all; its size in bytes. Doing it again is harmless.

    Raises what the client raises; parts that were sent by then are thrown away.
    """
    place: Any = {"Bucket": bucket, "Key": key}
    kind = CONTENT_TYPES[path.suffix.removeprefix(".")]
    size = path.stat().st_size
    if size <= PART_BYTES:
        s3.put_object(**place, ContentType=kind, Body=path.read_bytes())
        return size
    sending = {**place, "UploadId": s3.create_multipart_upload(**place, ContentType=kind)["UploadId"]}
    try:
        parts = _send_parts(s3, sending, path)
        s3.complete_multipart_upload(**sending, MultipartUpload={"Parts": parts})
    except Exception:
        # What cannot be thrown away now is by the bucket's lifecycle.
        s3.abort_multipart_upload(**sending)
        raise
    return size


def _send_parts(s3: S3Client, sending: dict[str, Any], path: Path) -> list[CompletedPartTypeDef]:
    parts: list[CompletedPartTypeDef] = []
    with path.open("rb") as file:
        while content := file.read(PART_BYTES):
            number = len(parts) + 1
            sent = s3.upload_part(**sending, PartNumber=number, Body=content)
            parts.append({"PartNumber": number, "ETag": sent["ETag"]})
            # Before the next is read: there is room for one.
            del content
    return parts
