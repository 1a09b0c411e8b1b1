"""Addresses, phone numbers and languages, as requests give them."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StrictStr

_EMAIL = re.compile(r"[^@\s\x00-\x1f<>,;]+@[^@\s\x00-\x1f<>,;]+\.[^@\s\x00-\x1f<>,;]+")
_PHONE = re.compile(r"\+?[0-9][0-9 -]{3,30}")


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


Email = Annotated[StrictStr, Field(max_length=254), AfterValidator(_email)]
Phone = Annotated[StrictStr, Field(max_length=32), AfterValidator(_phone)]
Locale = Literal["zh-CN", "en"]
