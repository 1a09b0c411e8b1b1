"""Buckets: nobody outside reads them, nothing goes over the wire in the clear, and no slip deletes them."""

from __future__ import annotations

from cfnlint.rules import CloudFormationLintRule, RuleMatch
from cfnlint.template import Template

from tools.house_rules import _shared
from tools.house_rules._shared import Properties

BLOCKS = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
IN_THE_CLEAR = {"Bool": {"aws:SecureTransport": "false"}}


class BucketProtection(CloudFormationLintRule):
    """Every public access blocked, encryption, a policy that denies what is not TLS, Retain, and a lifecycle."""

    id = "E9011"
    shortdesc = "Buckets are private, encrypted at rest and on the wire, kept with Retain, and have a lifecycle"
    description = "Usage and bills lie in buckets: nobody may read them by accident, and no slip may delete them"
    tags = ("house", "s3")

    def match(self, cfn: Template) -> list[RuleMatch]:
        """Find buckets that show or lose something."""
        closed = _closed_to_plain_http(cfn)
        found = []
        for name, bucket in _shared.of_type(cfn, "AWS::S3::Bucket"):
            access = bucket.get("PublicAccessBlockConfiguration", {})
            found += [_shared.at(name, f"needs {block}: true") for block in BLOCKS if access.get(block) is not True]
            if not bucket.get("BucketEncryption", {}).get("ServerSideEncryptionConfiguration"):
                found.append(_shared.at(name, "needs BucketEncryption"))
            if not bucket.get("LifecycleConfiguration", {}).get("Rules"):
                found.append(_shared.at(name, "needs a LifecycleConfiguration: what is kept for ever is decided, too"))
            if name not in closed:
                found.append(_shared.at(name, "needs a BucketPolicy that denies s3:* without TLS, to everybody"))
            resource = _shared.resources(cfn)[name]
            found += [
                _shared.at(name, f"needs {policy}: Retain")
                for policy in ("DeletionPolicy", "UpdateReplacePolicy")
                if resource.get(policy) != "Retain"
            ]
        return found


def _closed_to_plain_http(cfn: Template) -> set[str | None]:
    """Buckets whose policy denies everything that does not come over TLS, to the bucket and to what is in it."""
    return {
        _shared.target(policy.get("Bucket"))
        for _, policy in _shared.of_type(cfn, "AWS::S3::BucketPolicy")
        for statement in _shared.as_list(policy.get("PolicyDocument", {}).get("Statement"))
        if _denies_plain_http(statement, str(_shared.target(policy.get("Bucket"))))
    }


def _denies_plain_http(statement: Properties, bucket: str) -> bool:
    covered = _shared.as_list(statement.get("Resource"))
    return (
        statement.get("Effect") == "Deny"
        and statement.get("Principal") == "*"
        and _shared.as_list(statement.get("Action")) == ["s3:*"]
        and statement.get("Condition") == IN_THE_CLEAR
        and {"Fn::GetAtt": [bucket, "Arn"]} in covered
        and {"Fn::Sub": f"${{{bucket}.Arn}}/*"} in covered
    )
