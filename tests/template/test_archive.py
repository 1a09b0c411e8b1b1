"""The archive of the template is the one that the code writes and reads."""

from __future__ import annotations

import json
import re
from datetime import date, datetime
from typing import Any

import pytest

from aws_platform import keys
from aws_platform.archive import TABLE, calls_query, packs
from aws_platform.archive_reading import folder
from ingest.record_usage import MAX_AGE_SECONDS, MAX_AHEAD_SECONDS
from tests.template.test_template import resources, template

DAY = date(2025, 3, 1)
HASHES = [f"{number:02d}" for number in range(keys.ACCOUNT_HASHES)]


def destination() -> dict[str, Any]:
    """The stream's destination."""
    found: dict[str, Any] = resources("AWS::KinesisFirehose::DeliveryStream")["ArchiveStream"][
        "ExtendedS3DestinationConfiguration"
    ]
    return found


def processors() -> dict[str, dict[str, str]]:
    """What the stream does with each record: parameters by the processor's type."""
    return {
        one["Type"]: {each["ParameterName"]: each["ParameterValue"] for each in one["Parameters"]}
        for one in destination()["ProcessingConfiguration"]["Processors"]
    }


def table() -> dict[str, Any]:
    """The table in Athena."""
    found: dict[str, Any] = resources("AWS::Glue::Table")["ArchiveTable"]["TableInput"]
    return found


def a_pack() -> dict[str, Any]:
    """A pack, as it is written."""
    (pack,) = packs("acct-1", DAY, datetime.fromisoformat("2025-03-01T10:00:00+08:00"), ["[]"])
    read: dict[str, Any] = json.loads(pack)
    return read


def test_firehose_lays_packs_where_they_are_read() -> None:
    """The partition fields of a pack make the prefix under which the reader and Athena look."""
    asked = processors()["MetadataExtraction"]
    assert asked["JsonParsingEngine"] == "JQ-1.6"
    fields = dict(re.findall(r"(\w+):\.(\w+)", asked["MetadataExtractionQuery"]))
    values = {f"!{{partitionKeyFromQuery:{name}}}": a_pack()[field] for name, field in fields.items()}
    prefix = destination()["Prefix"]
    for expression, value in values.items():
        assert expression in prefix
        prefix = prefix.replace(expression, value)
    assert prefix == folder(DAY, keys.account_hash("acct-1"))
    assert destination()["DynamicPartitioningConfiguration"]["Enabled"] is True


def test_every_pack_is_a_line() -> None:
    """Firehose sets a new line behind each record: told to it by a backslash and an n."""
    assert processors()["AppendDelimiterToRecord"] == {"Delimiter": "\\n"}


def test_firehose_is_within_its_bounds() -> None:
    """With dynamic partitioning a buffer has 64 MB at least, and the open partitions stay below the 500 there are."""
    hints = destination()["BufferingHints"]
    assert hints["SizeInMBs"] >= 64
    # Half as long again in the worst case, which is still far from the alarm.
    alarm = resources("AWS::CloudWatch::Alarm")["ArchiveDelayAlarm"]
    assert 60 <= hints["IntervalInSeconds"] * 1.5 < alarm["Threshold"] / 2
    days = MAX_AGE_SECONDS // 86_400 + 1 + (MAX_AHEAD_SECONDS > 0)
    assert days * keys.ACCOUNT_HASHES <= 500


def test_what_cannot_be_laid_away_is_kept_apart() -> None:
    """Records that Firehose cannot place go where no query takes them for calls, and where an alarm sees them."""
    assert destination()["ErrorOutputPrefix"].startswith("errors/!{firehose:error-output-type}/")
    (metrics,) = resources("AWS::S3::Bucket")["ArchiveBucket"]["MetricsConfigurations"]
    assert metrics["Prefix"] == "errors/"
    alarm = resources("AWS::CloudWatch::Alarm")["ArchiveErrorsAlarm"]
    assert (alarm["Namespace"], alarm["MetricName"], alarm["Statistic"]) == ("AWS/S3", "BytesUploaded", "Sum")
    assert {"Name": "FilterId", "Value": metrics["Id"]} in alarm["Dimensions"]
    assert (alarm["Threshold"], alarm["ComparisonOperator"]) == (0, "GreaterThanThreshold")


def test_the_table_has_what_a_pack_has() -> None:
    """Columns and partitions are the fields of a pack; what is in `calls` are arrays of strings."""
    columns = {one["Name"]: one["Type"] for one in table()["StorageDescriptor"]["Columns"]}
    partitions = {one["Name"]: one["Type"] for one in table()["PartitionKeys"]}
    assert columns == {"account_id": "string", "received_at": "string", "calls": "array<array<string>>"}
    assert partitions == {"day": "string", "account_hash": "string"}
    assert columns.keys() | partitions.keys() == a_pack().keys()
    assert table()["Name"] == TABLE


def test_partitions_are_projected() -> None:
    """Every part of the accounts and every day is found without registering it, tomorrow included."""
    given = table()["Parameters"]
    assert given["projection.enabled"] == "true"
    assert given["projection.account_hash.values"].split(",") == HASHES
    condition, sandbox, otherwise = given["projection.day.range"]["Fn::If"]
    assert (condition, otherwise) == ("IsSandbox", "2020-01-01,NOW+1DAYS")
    assert sandbox > "2020-01-01,2090"
    location = given["storage.location.template"]["Fn::Sub"]
    for name, value in (("day", "2025-03-01"), ("account_hash", "07")):
        location = location.replace(f"${{!{name}}}", value)
    assert location == "s3://${ArchiveBucket}/" + folder(DAY, "07")


def test_the_saved_query_is_the_documented_one() -> None:
    """The query that is saved in Athena is the one that the code makes, with parameters for what it is given."""
    saved = template().template["Resources"]["ArchiveQuery"]["Properties"]["QueryString"]
    made = calls_query("d", "acct-1", DAY, DAY, "face_risk")
    hashed = f"lpad(CAST(crc32(to_utf8(?)) % {keys.ACCOUNT_HASHES} AS varchar), 2, '0')"
    for given, parameter in (
        ('"d".', ""),
        (f"'{DAY}'", "?"),
        (f"'{keys.account_hash('acct-1')}'", hashed),
        ("'acct-1'", "?"),
        ("'face_risk'", "?"),
    ):
        assert given in made
        made = made.replace(given, parameter)
    assert saved.rstrip("\n") == made


@pytest.mark.parametrize("prefix", ["calls/", "errors/", "query-results/"])
def test_everything_in_the_bucket_has_an_end(prefix: str) -> None:
    """Calls are kept for `ArchiveDays`, results of queries for a month."""
    rules = resources("AWS::S3::Bucket")["ArchiveBucket"]["LifecycleConfiguration"]["Rules"]
    (rule,) = [one for one in rules if one["Prefix"] == prefix]
    assert rule["Status"] == "Enabled"
    assert rule["ExpirationInDays"] == (30 if prefix == "query-results/" else {"Ref": "ArchiveDays"})


def test_calls_are_kept_until_nobody_needs_them() -> None:
    """No stack keeps calls for less than 90 days: usage may come for 35, and is verified and disputed after that."""
    assert template().template["Parameters"]["ArchiveDays"]["MinValue"] >= 90


def test_queries_stay_in_the_archive() -> None:
    """Results go into the archive's own bucket, encrypted, whatever a client asks for; no query reads everything."""
    group = resources("AWS::Athena::WorkGroup")["ArchiveWorkGroup"]["WorkGroupConfiguration"]
    assert group["EnforceWorkGroupConfiguration"] is True
    assert group["ResultConfiguration"] == {
        "OutputLocation": {"Fn::Sub": "s3://${ArchiveBucket}/query-results/"},
        "EncryptionConfiguration": {"EncryptionOption": "SSE_S3"},
    }
    assert group["BytesScannedCutoffPerQuery"] == 100 * 1024**3


def test_what_is_deleted_by_mistake_can_be_taken_back() -> None:
    """The bucket keeps versions, and everything in it that was deleted is gone for good after a month at the latest."""
    bucket = resources("AWS::S3::Bucket")["ArchiveBucket"]
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    rules = bucket["LifecycleConfiguration"]["Rules"]
    kept = {rule["Prefix"]: rule["NoncurrentVersionExpiration"]["NoncurrentDays"] for rule in rules}
    assert kept == {"calls/": 30, "errors/": 30, "query-results/": 1}
