"""The same stack by the `sam deploy` that is used against AWS."""

from __future__ import annotations

import httpx

from local.cloud import LocalCloud
from local.deploy import sam_deploy


def test_sam_deploy() -> None:
    """`sam deploy` takes template and artifacts as they are, the stack it makes answers, and it may be repeated."""
    with LocalCloud(deployer=sam_deploy) as cloud:
        assert httpx.get(f"{cloud.url}/healthz", timeout=60).status_code == 200
        kinds = {
            "IngestFunction",
            "RollupFunction",
            "UsageTable",
            "LedgerTable",
            "SettlementQueue",
            "BillingBus",
            "Api",
        }
        assert kinds <= set(cloud.resources)
        assert sam_deploy(cloud.emulator).resources == cloud.resources
