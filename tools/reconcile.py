"""Whether details + precision row = resources = journal, for every account and month (D15).

    make reconcile STACK=zhangben [ACCOUNT=acct-1] [MONTH=2025-03] [ENDPOINT=http://127.0.0.1:4566]

Reads the ledger of a deployed stack with the caller's credentials and changes nothing. Without an account the whole
table is scanned. Exits with 1 where anything differs.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

import boto3

from aws_platform import keys
from aws_platform.reconcile import balances
from rating import money

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_dynamodb import DynamoDBClient

    from rating.reconciliation import MonthBalance

TITLES = ("account", "month", "details", "precision row", "resources", "journal", "by usage differs by", "")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line for each account and month; 1 where one does not agree."""
    asked = _parser().parse_args(arguments)
    session = boto3.session.Session()
    formation = session.client("cloudformation", endpoint_url=asked.endpoint or None)
    dynamodb = session.client("dynamodb", endpoint_url=asked.endpoint or None)
    table = asked.table or _ledger_table(formation, asked.stack)
    accounts = [asked.account] if asked.account else account_ids(dynamodb, table)
    months = differing = 0
    print("\t".join(TITLES))
    for account_id in accounts:
        for one in balances(dynamodb, table, account_id):
            if asked.month in {None, "", one.month}:
                months += 1
                differing += not one.agrees
                print("\t".join(_line(account_id, one)))
    print(f"{months} months of charges, {differing} that do not agree")
    return 1 if differing else 0


def account_ids(dynamodb: DynamoDBClient, table: str) -> Iterator[str]:
    """Every account of the ledger, in no order."""
    pages = dynamodb.get_paginator("scan").paginate(
        TableName=table,
        FilterExpression="sk = :account",
        ExpressionAttributeValues={":account": {"S": keys.ACCOUNT}},
        ProjectionExpression="pk",
    )
    for page in pages:
        yield from (keys.account_of_ledger(item["pk"]["S"]) for item in page["Items"])


def _line(account_id: str, one: MonthBalance) -> list[str]:
    return [
        account_id,
        one.month,
        money.detail(one.details),
        "none" if one.precision is None else money.detail(one.precision),
        money.yuan(one.resources),
        money.yuan(one.journal),
        money.detail(one.usage_difference),
        "DIFFERS" if not one.agrees else "agrees, not closed yet" if one.open else "agrees",
    ]


def _ledger_table(formation: CloudFormationClient, stack: str) -> str:
    described = formation.describe_stack_resource(StackName=stack, LogicalResourceId="LedgerTable")
    return described["StackResourceDetail"]["PhysicalResourceId"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--stack", default="zhangben", help="the stack whose ledger is read")
    parser.add_argument("--table", default="", help="the ledger table itself, if no stack is to be asked")
    parser.add_argument("--account", default="", help="only this account")
    parser.add_argument("--month", default="", help="only this month of charges, YYYY-MM")
    parser.add_argument("--endpoint", default="", help="another endpoint than AWS's")
    return parser


if __name__ == "__main__":
    sys.exit(main())
