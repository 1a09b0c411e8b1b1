"""The commands of docs/deploy.md that speak to the API, as a newcomer runs them one after another."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from tests.support.product import CUSTOMER, OPERATOR, PRODUCER, Product, Reply

PAGE = (Path(__file__).parents[2] / "docs" / "deploy.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r'^curl (?:-X \w+ )?"?\$API.*$', PAGE, re.MULTILINE)
TOKENS = {"$OPERATOR": (OPERATOR, None), "$CUSTOMER": (CUSTOMER, "acct-1"), "$PRODUCER": (PRODUCER, None)}


def run(product: Product, command: str) -> Reply:
    """The answer to a command of curl."""
    words = shlex.split(command.replace("$NOW", product.now.isoformat()).replace("$MONTH", f"{product.now:%Y-%m}"))[1:]
    method, headers, body, address = "GET", {}, None, ""
    while words:
        match words.pop(0):
            case "-X":
                method = words.pop(0)
            case "-H":
                name, value = words.pop(0).split(": ", 1)
                headers[name] = value
            case "-d":
                body = words.pop(0)
            case word:
                address = word
    token = headers.pop("authorization", "Bearer none").removeprefix("Bearer ")
    scopes, account_id = TOKENS.get(token, (None, None))
    parts = urlsplit(address.removeprefix("$API"))
    return product.request(method, parts.path, body, scopes, account_id, headers, dict(parse_qsl(parts.query)))


def test_from_nothing_to_the_first_bill(product: Product) -> None:
    """The page's commands open an account, count a call, show what it will cost, and the next morning its bill."""
    *today, tomorrow = COMMANDS
    answers = [run(product, command) for command in today]
    assert [answer.status for answer in answers] == [200, 201, 202, 200, 201, 200, 200, 200]
    assert answers[5].body["accepted"] == 1
    product.move("2025-03-02T09:00:00+08:00")
    (line,) = [one for one in run(product, tomorrow).body["items"] if one["transaction_type"] == "postpay_daily"]
    assert line["raw_quantity"] == 1
    # The free packages of the first half hour reach back to the whole day.
    assert answers[7].body["total_cost"] == "1.00"
    assert (line["deducted_quantity"], line["total_cost"]) == (1, "0.00000000")
