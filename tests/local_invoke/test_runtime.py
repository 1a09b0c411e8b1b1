"""What a function sees under the real Lambda runtime: its artifact and layers alone. `test_events` calls each one."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.deploy import BUILD
from tests.local_invoke.rie import Runtime

LOOK_AROUND = """
import sys
from zoneinfo import ZoneInfo
import rating, aws_platform, boto3, botocore

def handle(event, context):
    return {
        "echo": event,
        "name": context.function_name,
        "files": [module.__file__ for module in (rating, aws_platform, boto3, botocore)],
        "cached": all(module.__cached__ for module in (rating, aws_platform, boto3, botocore)),
        "zone": str(ZoneInfo("Asia/Shanghai")),
        "seen": [name for name in ("pytest", "moto", "pydantic", "pip") if _found(name)],
    }

def _found(name):
    from importlib.util import find_spec
    return find_spec(name) is not None
"""

FAILS_AT_INIT = "import pydantic\n"


def test_function_sees_layers_and_nothing_else(tmp_path: Path) -> None:
    """A function imports from its layers, with their bytecode, and cannot reach the packages of the tests."""
    (tmp_path / "look.py").write_text(LOOK_AROUND, encoding="utf-8")
    layers = tuple(BUILD / name for name in ("RatingLayer", "PlatformLayer", "RuntimeLayer"))
    with Runtime("Look", artifact=tmp_path, layers=layers, handler="look.handle") as runtime:
        reply = runtime.invoke({"a": 1})
        assert runtime.init.cpu > 0
    assert not reply.failed, reply.payload
    assert reply.payload["echo"] == {"a": 1}
    assert reply.payload["name"] == "Look"
    assert all(file.startswith(str(BUILD)) for file in reply.payload["files"])
    assert reply.payload["cached"]
    assert reply.payload["zone"] == "Asia/Shanghai"
    assert reply.payload["seen"] == []


def test_missing_package_is_an_error(tmp_path: Path) -> None:
    """A function that imports what its layers lack fails its first event, and the runtime says so."""
    (tmp_path / "fails.py").write_text(FAILS_AT_INIT, encoding="utf-8")
    with Runtime("Fails", artifact=tmp_path, layers=(BUILD / "RuntimeLayer",), handler="fails.handle") as runtime:
        reply = runtime.invoke({})
        assert "ImportModuleError" in runtime.log()
    assert reply.failed


@pytest.mark.parametrize("layer", ["RatingLayer", "PlatformLayer", "RuntimeLayer", "ApiLayer"])
def test_layers_ship_bytecode(layer: str) -> None:
    """Every module of a layer has bytecode beside it that is never checked against its source."""
    unchecked = 0b01
    sources = [path for path in (BUILD / layer).rglob("*.py") if "__pycache__" not in path.parts]
    assert sources
    for source in sources:
        cached = source.parent / "__pycache__" / f"{source.stem}.cpython-313.pyc"
        assert int.from_bytes(cached.read_bytes()[4:8], "little") == unchecked, cached
