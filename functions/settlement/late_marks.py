"""What becomes of a late mark once its day was counted: it is removed, left for the next pass, or put off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_platform import failures, keys

if TYPE_CHECKING:
    from datetime import date

    from mypy_boto3_dynamodb import DynamoDBClient

    from aws_platform.due import DueDay


def remove_mark(dynamodb: DynamoDBClient, table: str, account_id: str, day: date, raised: str) -> bool:
    """Remove a late mark; False where usage has arrived since it was read as `raised`: that is for another run."""
    with failures.UnlessOvertaken():
        dynamodb.delete_item(
            TableName=table,
            Key=_key(account_id, day),
            ConditionExpression="attribute_not_exists(pk) OR raised = :raised",
            ExpressionAttributeValues={":raised": {"S": raised}},
        )
        return True
    return False


def leave_mark(dynamodb: DynamoDBClient, table: str, account_id: str, day: date, raised: str) -> None:
    """Leave word on a late mark that it was `raised` so when the day was counted: what raises it again is new."""
    with failures.UnlessOvertaken():
        dynamodb.update_item(
            TableName=table,
            Key=_key(account_id, day),
            UpdateExpression="SET #left = :raised",
            ConditionExpression="attribute_exists(pk)",
            ExpressionAttributeNames={"#left": "left"},
            ExpressionAttributeValues={":raised": {"S": raised}},
        )


def put_off(dynamodb: DynamoDBClient, table: str, account_id: str, due: DueDay) -> None:
    """Have a mark that a run has left, and new usage raised, wait for the run that is to take that usage (D4)."""
    if due.put_off_to is None or due.raised is None:
        return
    entry = keys.due_sort_key(due.put_off_to, account_id, keys.late_mark(due.day))
    with failures.UnlessOvertaken():
        dynamodb.update_item(
            TableName=table,
            Key=_key(account_id, due.day),
            UpdateExpression="SET due_sk = :entry REMOVE #left",
            ConditionExpression="raised = :raised",
            ExpressionAttributeNames={"#left": "left"},
            ExpressionAttributeValues={":entry": {"S": entry}, ":raised": {"S": due.raised}},
        )


def _key(account_id: str, day: date) -> dict[str, Any]:
    return {"pk": {"S": keys.usage_account(account_id)}, "sk": {"S": keys.late_mark(day)}}
