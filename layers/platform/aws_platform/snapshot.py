"""An account together with its parts: wallets, terms and vouchers, as they were at one version of the account.

The account's version is the lock of them all: who changes a part replaces the account in the same transaction, and the
account says at which of its versions each part last changed. So parts need no conditions of their own, and a reader who
saw the items of a transaction one by one can tell, and reads again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from aws_platform import keys
from aws_platform.accounts import account_from_item, account_put
from aws_platform.ledger import OutdatedError, through
from aws_platform.notices import page_put
from aws_platform.orders import order_key
from rating.account import Account
from rating.allocation import Source
from rating.civil import local
from rating.edges import account_notices
from rating.funds import Fund, Movement
from rating.orders import PackageRecord, moment
from rating.pricing import ContractPrice, Discount, Terms
from rating.vouchers import Scene, Voucher
from rating.wallet import Edge, Wallet, WalletPackage

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from aws_platform.settings import Settings
    from rating.notices import Notice

type Part = Wallet | Terms | Voucher


@dataclass(frozen=True, slots=True)
class Spending:
    """A payment by a voucher: the part that is left or goes, and the movement for the journal."""

    left: tuple[Voucher, ...] = ()
    removed: tuple[str, ...] = ()
    items: tuple[dict[str, Any], ...] = ()
    movements: tuple[Movement, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An account and the parts that were read of it."""

    account: Account
    wallets: Mapping[str, Wallet] = field(default_factory=dict)
    """By tag; a tag that never had a package has none."""
    terms: Terms = field(default_factory=Terms)
    vouchers: tuple[Voucher, ...] = ()
    """Those with something left."""

    def wallet(self, tag: str) -> Wallet:
        """The wallet of a tag."""
        return self.wallets.get(tag) or Wallet(tag)

    def stocked(self, packages: Iterable[PackageRecord]) -> list[Wallet]:
        """The wallets of these packages, with them inside."""
        wallets: dict[str, Wallet] = {}
        for package in packages:
            wallet = wallets.get(package.tag) or self.wallet(package.tag)
            wallets[package.tag] = wallet.with_package(package.in_wallet())
        return list(wallets.values())


def snapshot_of(account: Account, items: Iterable[Mapping[str, Any]], asked: Iterable[str] | None = None) -> Snapshot:
    """Put together what was read of an account: all of its parts, or of all items those with the `asked` sort keys.

    Raises OutdatedError where a part is not of this version of the account: read again.
    """
    found = {item["sk"]["S"]: item for item in items}
    wanted: Mapping[str, int | None] = account.parts
    if asked is not None:
        wanted = {key: account.parts.get(key) for key in asked}
        found = {key: item for key, item in found.items() if key in wanted}
    versions = {sort_key: int(item["version"]["N"]) for sort_key, item in found.items()}
    if versions != {key: version for key, version in wanted.items() if version is not None}:
        raise OutdatedError
    wallets: dict[str, Wallet] = {}
    vouchers: list[Voucher] = []
    terms = Terms()
    for sort_key, item in found.items():
        document = json.loads(item["body"]["S"])
        if sort_key.startswith(keys.WALLET_PREFIX):
            tag = sort_key.removeprefix(keys.WALLET_PREFIX)
            wallets[tag] = _wallet(tag, document)
        elif sort_key.startswith(keys.VOUCHER_PREFIX):
            vouchers.append(_voucher(sort_key.removeprefix(keys.VOUCHER_PREFIX), document))
        else:
            terms = _terms(document)
    return Snapshot(account, wallets, terms, tuple(vouchers))


def read_snapshot(dynamodb: DynamoDBClient, table: str, account_id: str) -> Snapshot | None:
    """The account with all its parts; None where there is none. Raises OutdatedError: read again."""
    account: Account | None = None
    parts: list[Mapping[str, Any]] = []
    for item in through(dynamodb, table, account_id, keys.LAST_PART):
        if item["sk"]["S"] == keys.ACCOUNT:
            account = account_from_item(item)
        else:
            parts.append(item)
    return snapshot_of(account, parts) if account else None


def is_part(sort_key: str) -> bool:
    """Whether an item of an account's partition is one of its parts."""
    return sort_key == keys.TERMS or sort_key.startswith((keys.WALLET_PREFIX, keys.VOUCHER_PREFIX))


def spend(table: str, account_id: str, voucher: Voucher | None, paid: Decimal) -> Spending:
    """What a payment by a voucher, if there is one, does to it."""
    if voucher is None:
        return Spending()
    after = voucher.spent(paid)
    movement = Movement(Fund.VOUCHER, -paid, after.remaining)
    if after.remaining:
        return Spending((after,), (), (), (movement,))
    return Spending((), (_voucher_key(after),), (spent_voucher_put(table, account_id, after),), (movement,))


def change(  # noqa: PLR0913 - all that a change can be
    settings: Settings,
    before: Account,
    after: Account,
    when: datetime,
    changed: Iterable[Part] = (),
    removed: Iterable[str] = (),
    *,
    order_id: str | None = None,
    notices: Sequence[Notice] = (),
) -> tuple[Account, list[dict[str, Any]]]:
    """The account's next version with changed parts, and the transaction items that write them all.

    `removed` are sort keys of parts that go, `order_id` names an order or grant that the same transaction writes. The
    version is set here. `before` must have been read with all parts that change. What the change tells, `notices` and
    what comes of arrears and stops, is one more item: no such change can be without its notice.
    """
    table, version = settings.ledger_table, before.version + 1
    parts = dict(before.parts)
    items: list[dict[str, Any]] = []
    for part in changed:
        sort_key, document = _document(part)
        parts[sort_key] = version
        item = {
            **_key(before, sort_key),
            "version": {"N": str(version)},
            "body": {"S": json.dumps(document, ensure_ascii=False, separators=(",", ":"))},
        }
        due = part.next_due if isinstance(part, Wallet) else None
        if due is not None:
            item |= keys.timer(before.account_id, due, sort_key, settings.due_shards)
        items.append({"Put": {"TableName": table, "Item": item}})
    for sort_key in removed:
        del parts[sort_key]
        items.append({"Delete": {"TableName": table, "Key": _key(before, sort_key)}})
    after = replace(after, version=version, parts=parts)
    if order_id is not None:
        after = replace(after, last_order=(order_key(order_id), version))
    told = [*notices, *account_notices(before, after, when)]
    if told:
        items.append(page_put(table, before.account_id, moment(when, version), told))
    return after, [account_put(settings, before, after), *items]


def _key(account: Account, sort_key: str) -> dict[str, Any]:
    return {"pk": {"S": keys.ledger(account.account_id)}, "sk": {"S": sort_key}}


def _document(part: Part) -> tuple[str, Any]:
    if isinstance(part, Wallet):
        return keys.wallet(part.tag), _wallet_document(part)
    if isinstance(part, Terms):
        return keys.TERMS, _terms_document(part)
    return _voucher_key(part), _voucher_document(part)


def _voucher_key(voucher: Voucher) -> str:
    return f"{keys.VOUCHER_PREFIX}{voucher.voucher_id}"


def _wallet_document(wallet: Wallet) -> dict[str, Any]:
    """Short, for it is read with each entitlement check: instants as seconds."""
    return {
        "packages": [
            [
                one.package_id,
                one.source.value,
                one.total,
                one.used,
                int(one.delivered_at.timestamp()),
                int(one.ends_at.timestamp()),
                int(one.told),
            ]
            for one in wallet.packages
        ],
        "billed": {day.isoformat(): calls for day, calls in wallet.billed.items()},
    }


def _wallet(tag: str, document: Mapping[str, Any]) -> Wallet:
    packages = tuple(
        WalletPackage(package_id, Source(source), total, used, _instant(delivered), _instant(ends), Edge(told))
        for package_id, source, total, used, delivered, ends, told in document["packages"]
    )
    return Wallet(tag, packages, {date.fromisoformat(day): calls for day, calls in document["billed"].items()})


def _terms_document(terms: Terms) -> dict[str, Any]:
    return {
        "discounts": [
            [one.tag, str(one.rate), _day_text(one.first_day), _day_text(one.until)] for one in terms.discounts
        ],
        "contract_prices": [
            [one.tag, str(one.unit_price), _day_text(one.first_day), _day_text(one.until)]
            for one in terms.contract_prices
        ],
    }


def _terms(document: Mapping[str, Any]) -> Terms:
    return Terms(
        tuple(
            Discount(tag, Decimal(rate), date.fromisoformat(first), _day(until))
            for tag, rate, first, until in document["discounts"]
        ),
        tuple(
            ContractPrice(tag, Decimal(price), date.fromisoformat(first), _day(until))
            for tag, price, first, until in document["contract_prices"]
        ),
    )


def spent_voucher_put(table: str, account_id: str, voucher: Voucher) -> dict[str, Any]:
    """The transaction item that keeps a voucher with nothing left, which is no part any more."""
    item = {
        "pk": {"S": keys.ledger(account_id)},
        "sk": {"S": f"{keys.SPENT_VOUCHER_PREFIX}{voucher.voucher_id}"},
        "body": {"S": json.dumps(_voucher_document(voucher), separators=(",", ":"))},
    }
    return {"Put": {"TableName": table, "Item": item, "ConditionExpression": "attribute_not_exists(pk)"}}


def voucher_from_item(item: Mapping[str, Any]) -> Voucher:
    """A voucher as it is kept, with something left or not. Its id holds no `#`."""
    return _voucher(item["sk"]["S"].rpartition("#")[2], json.loads(item["body"]["S"]))


def _voucher_document(voucher: Voucher) -> dict[str, Any]:
    return {
        "scene": voucher.scene.value,
        "amount": str(voucher.amount),
        "remaining": str(voucher.remaining),
        "threshold": str(voucher.threshold),
        "single_use": voucher.single_use,
        "issued_at": voucher.issued_at.isoformat(),
        "expires_at": voucher.expires_at and voucher.expires_at.isoformat(),
    }


def _voucher(voucher_id: str, document: Mapping[str, Any]) -> Voucher:
    return Voucher(
        voucher_id,
        Scene(document["scene"]),
        Decimal(document["amount"]),
        Decimal(document["remaining"]),
        Decimal(document["threshold"]),
        document["single_use"],
        datetime.fromisoformat(document["issued_at"]),
        document["expires_at"] and datetime.fromisoformat(document["expires_at"]),
    )


def _instant(seconds: int) -> datetime:
    return local(datetime.fromtimestamp(seconds, UTC))


def _day_text(day: date | None) -> str | None:
    return day.isoformat() if day else None


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None
