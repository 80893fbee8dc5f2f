"""Requirements become pins with hashes once; what can not be resolved says so, and in which family."""

from __future__ import annotations

import base64
import hashlib
import os
import zipfile
from pathlib import Path

import pytest

from headgate.build.lock import explained, lock
from headgate.errors import Rejected, Unavailable
from headgate.packages import uv_arguments, uv_environment


def wheel(folder: Path, name: str, version: str, requires: str = "") -> None:
    """Write the smallest wheel that can be resolved and installed."""
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += f"Requires-Dist: {requires}\n" if requires else ""
    files = {
        f"{name}.py": f"VERSION = '{version}'\n",
        f"{name}-{version}.dist-info/METADATA": metadata,
        f"{name}-{version}.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    hashes = {path: base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()) for path, text in files.items()}
    record = "".join(f"{path},sha256={code.decode().rstrip('=')},\n" for path, code in hashes.items())
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path, text in {**files, f"{name}-{version}.dist-info/RECORD": record}.items():
            archive.writestr(zipfile.ZipInfo(path), text)


@pytest.fixture
def packages(tmp_path: Path) -> dict[str, str]:
    """Variables that let pip and uv see three wheels, and no network."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    wheel(folder, "upper", "1.0", "lower>=1")
    wheel(folder, "lower", "1.0")
    wheel(folder, "lower", "2.0")
    home = {"UV_CACHE_DIR": str(tmp_path / "cache"), "HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    return {**home, "PIP_FIND_LINKS": str(folder), "PIP_NO_INDEX": "1"}


def names(text: str) -> list[str]:
    return [line.split()[0] for line in text.splitlines() if not line.startswith(" ")]


def test_no_requirements_need_no_lock(tmp_path: Path) -> None:
    assert lock((), tmp_path) == ""


def test_requirements_become_pins_with_hashes_and_no_addresses(tmp_path: Path, packages: dict[str, str]) -> None:
    text = lock(["upper"], tmp_path, environment=packages)
    assert names(text) == ["lower==2.0", "upper==1.0"]
    assert text.count("--hash=sha256:") == 2
    assert str(tmp_path) not in text
    assert "#" not in text
    assert lock(["upper"], tmp_path, environment=packages) == text


def test_what_does_not_exist_is_refused_in_the_words_of_uv(tmp_path: Path, packages: dict[str, str]) -> None:
    with pytest.raises(Rejected, match=r"lower==3|lower>=3|lower>2") as refused:
        lock(["lower>=3"], tmp_path, environment=packages)
    assert "can not be resolved for Python 3." in refused.value.message


def test_an_index_that_does_not_answer_is_no_fault_of_the_author(tmp_path: Path, packages: dict[str, str]) -> None:
    nobody = {"PIP_INDEX_URL": "https://127.0.0.1:9/simple", "UV_HTTP_RETRIES": "0"}
    environment = {name: value for name, value in packages.items() if not name.startswith("PIP_")} | nobody
    with pytest.raises(Unavailable, match="gave no answer"):
        lock(["upper"], tmp_path, environment=environment)


def test_a_refused_login_is_the_authors_to_mend() -> None:
    said = "error: Failed to fetch: `https://x.example/simple/a/`\n  cause: HTTP status client error (401 Unauthorized)"
    assert isinstance(explained(said), Rejected)


HASH = " --hash=sha256:" + "0" * 64
LOCKS = {
    "plain": ("lower==1.0\nupper==1.0\n", None),
    "any order, comments, hashes": (f"# by uv\nupper==1.0 \\\n   {HASH.strip()}\nlower==1.0  # via upper\n", None),
    "pin of another marker": ("upper==1.0\nupper==9.0 ; python_version < '3'\nlower==1.0\n", None),
    "not pinned": ("upper==1.0\nlower>=1\n", "`lower>=1` pins no version"),
    "a star is no pin": ("upper==1.*\n", "pins no version"),
    "requirement left out": ("lower==1.0\n", "it does not pin `upper`"),
    "another version": ("upper==2.0\nlower==1.0\n", "it pins upper==2.0, and build.requirements wants `upper<2`"),
    "an option": ("--index-url https://x.example\nupper==1.0\n", "is not of the form `name==version --hash=...`"),
    "an address": ("upper @ https://x.example/u.whl\n", "pins no version"),
}


@pytest.mark.parametrize(("text", "reason"), LOCKS.values(), ids=LOCKS)
def test_an_authors_lock_is_used_when_it_satisfies(tmp_path: Path, text: str, reason: str | None) -> None:
    (tmp_path / "requirements.lock").write_text(text)
    if reason is None:
        pins = lock(["upper<2"], tmp_path, environment={})
        assert names(pins)[0] == "lower==1.0"
        assert "#" not in pins
    else:
        with pytest.raises(Rejected) as refused:
            lock(["upper<2"], tmp_path, environment={})
        assert reason in refused.value.message


def test_a_lock_in_its_plain_form_does_not_depend_on_order(tmp_path: Path) -> None:
    lines = [f"upper==1.0{HASH}", "lower==1.0"]
    (tmp_path / "requirements.lock").write_text("\n".join(lines))
    first = lock(["upper"], tmp_path, environment={})
    (tmp_path / "requirements.lock").write_text("\r\n".join(reversed(lines)))
    assert lock(["upper"], tmp_path, environment={}) == first == f"lower==1.0\nupper==1.0{HASH}\n"


def test_uv_is_told_what_pip_knows(tmp_path: Path) -> None:
    told = uv_environment(
        {"PIP_EXTRA_INDEX_URL": "https://a.example", "PIP_FIND_LINKS": f"{tmp_path} https://b.example"}
    )
    assert (told["UV_INDEX"], told["UV_FIND_LINKS"]) == ("https://a.example", f"{tmp_path},https://b.example")
    assert uv_environment({"PIP_INDEX_URL": "a", "UV_DEFAULT_INDEX": "b"})["UV_DEFAULT_INDEX"] == "b"
    assert (uv_arguments({"PIP_NO_INDEX": "1"}), uv_arguments({})) == (("--no-index",), ())
