"""Addresses, phone numbers and languages, as requests give them."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StrictStr

_EMAIL = re.compile(r"[^@\s\x00-\x1f<>,;]+@[^@\s\x00-\x1f<>,;]+\.[^@\s\x00-\x1f<>,;]+")
_PHONE = re.compile(r"\+?[0-9][0-9 -]{3,30}")


def described(pattern: str) -> dict[str, Any]:
    """What the OpenAPI document says of a text that a validator of ours holds against this pattern as a whole."""
    return {"pattern": f"^{pattern}$"}


def _email(text: str) -> str:
    if not _EMAIL.fullmatch(text):
        msg = "not an e-mail address"
        raise ValueError(msg)
    return text


def _phone(text: str) -> str:
    if not _PHONE.fullmatch(text):
        msg = "not a phone number"
        raise ValueError(msg)
    return text


Email = Annotated[StrictStr, Field(max_length=254, json_schema_extra=described(_EMAIL.pattern)), AfterValidator(_email)]
Phone = Annotated[StrictStr, Field(max_length=32, json_schema_extra=described(_PHONE.pattern)), AfterValidator(_phone)]
Locale = Literal["zh-CN", "en"]
