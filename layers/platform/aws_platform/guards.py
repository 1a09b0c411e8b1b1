"""What routes ask of their path before they look at the body: 404 comes before 422 (contract, Conventions)."""

from __future__ import annotations

from aws_platform import problems
from aws_platform.api import Call
from rating.catalog import load


def check_tag(call: Call) -> None:
    """The tag of the path is one of the catalog's. Raises Problem 404 `tag_not_found`."""
    if not load().has_tag(call.event["pathParameters"]["tag"]):
        raise problems.not_found("tag")
