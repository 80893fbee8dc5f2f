"""The stores that the contract suite runs on, by address, so that other processes can open them too."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from headgate.stores import ObjectStore, open_store
from tests.contracts.servers import ministack


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with ministack(tmp_path_factory.mktemp("ministack")) as endpoint:
        yield endpoint


@pytest.fixture
def s3_login(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str, str], None]:
    """Set the standard variables, and only those: no profile or proxy of whoever runs the tests plays a part."""

    def login(endpoint: str, access: str = "test", secret: str = "test") -> None:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        settings = {
            "AWS_ENDPOINT_URL_S3": endpoint,
            "AWS_ACCESS_KEY_ID": access,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1",
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)

    return login


@pytest.fixture(params=["memory", "directory", "s3-ministack", pytest.param("s3-ceph", marks=pytest.mark.ceph)])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Address of an empty store of the kind that the test's parameter names."""
    kind = request.param
    if kind == "memory":
        return f"memory:{uuid.uuid4().hex}"
    if kind == "directory":
        return f"file://{tmp_path / 'store'}"
    login = request.getfixturevalue("s3_login")
    if kind == "s3-ministack":
        login(request.getfixturevalue("emulator"))
    else:
        endpoint = os.environ.get("HEADGATE_TEST_CEPH")
        if not endpoint:
            pytest.skip("HEADGATE_TEST_CEPH names no Ceph RGW; `infra/ceph/rgw start` prints it")
        login(endpoint, os.environ["HEADGATE_TEST_CEPH_ACCESS_KEY"], os.environ["HEADGATE_TEST_CEPH_SECRET_KEY"])
    return f"s3://headgate-contract/{uuid.uuid4().hex}"


@pytest.fixture
def store(address: str) -> ObjectStore:
    return open_store(address)
