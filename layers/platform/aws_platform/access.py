"""Who may do what: the scopes of a token, and the one check of whose account it is (contract, Conventions)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from aws_platform import problems
from aws_platform.accounts import read_account_with
from aws_platform.keys import is_account_id

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from aws_platform.reading import Item
    from rating.account import Account

ADMIN = "billing:admin"
READ = "billing:read"
WRITE = "billing:write"
PRODUCER = "usage:write"


class Access(Enum):
    """The scopes of which a token needs one."""

    PUBLIC = frozenset[str]()
    ANY_TOKEN = frozenset({ADMIN, READ, WRITE, PRODUCER})
    CUSTOMER_READ = frozenset({READ, ADMIN})
    CUSTOMER_WRITE = frozenset({WRITE, ADMIN})
    OPERATOR = frozenset({ADMIN})
    METERING = frozenset({PRODUCER})
    ENTITLEMENT = frozenset({READ, ADMIN, PRODUCER})


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls."""

    account_id: str | None
    scopes: frozenset[str]

    @property
    def is_operator(self) -> bool:
        """May read and write on every account."""
        return ADMIN in self.scopes


def principal_of(event: Mapping[str, Any]) -> Principal:
    """The caller as the JWT authorizer has verified it. Raises Problem 401 where there is none."""
    claims = event.get("requestContext", {}).get("authorizer", {}).get("jwt", {}).get("claims")
    if not claims:
        raise problems.unauthorized()
    account_id = claims.get("account_id")
    return Principal(
        account_id if isinstance(account_id, str) else None, frozenset(str(claims.get("scope", "")).split())
    )


def check_scope(event: Mapping[str, Any], access: Access) -> Principal | None:
    """The caller, where the route wants one. Raises Problem 401 or 403."""
    if access is Access.PUBLIC:
        return None
    principal = principal_of(event)
    if not principal.scopes & access.value:
        raise problems.forbidden()
    return principal


def check_account(
    principal: Principal,
    account_id: str,
    dynamodb: DynamoDBClient,
    table: str,
    *,
    access: Access = Access.CUSTOMER_READ,
    also: Sequence[str] = (),
) -> tuple[Account, dict[str, Item]]:
    """The account that the caller may act on, and its items with the sort keys `also`.

    The only check of whose account it is. A customer sees its own account and no difference between another's and none
    at all: Problem 403 either way. Only the operator hears 404 `account_not_found`. The producer may ask about any
    account where the route is open to it.
    """
    any_account = principal.is_operator or (PRODUCER in access.value and PRODUCER in principal.scopes)
    if not any_account and principal.account_id != account_id:
        raise problems.forbidden()
    account: Account | None = None
    items: dict[str, Item] = {}
    # What is no id is not asked for: it may be more than a key can hold.
    if is_account_id(account_id):
        account, items = read_account_with(dynamodb, table, account_id, also)
    if account is None:
        raise problems.not_found("account") if principal.is_operator else problems.forbidden()
    return account, items
