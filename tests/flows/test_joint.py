"""Several models released together through the real flow and the command line, with live requests to the last one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flows.joint import carry_on, joint
from headgate.build import compile_folder
from headgate.bundle import push
from headgate.cli import main
from headgate.cli.joint import wanted
from headgate.environment import Environment
from headgate.errors import Rejected
from headgate.journal import EnvironmentJournal
from headgate.lifecycle import Intent, Outcome
from headgate.plan import Plan
from headgate.planes.memory import MemoryPlane, shared
from headgate.releasing import PLAIN, begin, walk
from headgate.stores import open_store
from tests.flows.callers import Callers, calling
from tests.flows.conftest import Folders
from tests.flows.test_release import QUICK, AllButStable


def named(folders: Folders, name: str, version: str, gain: float = 1.0) -> str:
    """A folder of model `name`."""
    own = Folders(folders.root / name)
    folder = own.write(version, gain=gain)
    manifest = Path(folder, "headgate.toml")
    manifest.write_text(manifest.read_text().replace('name = "toy"', f'name = "{name}"'))
    return folder


def stored(environment: Environment, folder: str) -> str:
    layout = Path(folder + ".oci")
    compile_folder(Path(folder), into=layout)
    return push(layout, open_store(environment.store)).digest


def serves(environment: Environment, model: str) -> str | None:
    topology = EnvironmentJournal(open_store(environment.store), environment.name, model, "test").refresh().topology
    return topology.stable.bundle if topology else None


def test_harm_in_the_last_takes_the_first_back(folders: Folders, environment: Environment, plane: MemoryPlane) -> None:
    """D-18: B fails under live requests, A goes back; only B is quarantined."""
    first = {name: stored(environment, named(folders, name, "1.0.0")) for name in ("one", "toy")}
    for bundle in first.values():
        walk(begin(Plan(model=bundle, accept_pickle=True), environment, "ada", Intent.ADOPTION), PLAIN)
    plans = [
        Plan(model=stored(environment, named(folders, "one", "1.1.0")), **{**QUICK, "strategy": "blue-green"}),
        Plan(model=stored(environment, named(folders, "toy", "1.1.0", 1.2)), **QUICK),
    ]
    plans[0] = plans[0].model_copy(update={"shadow": plans[0].shadow.model_copy(update={"percent": 0})})
    with calling(Callers(environment, plane, "toy", failing=AllButStable(first["toy"], 0.2))):
        ending = joint(plans, environment=environment, actor="ada")
    assert ending.outcome is Outcome.ROLLED_BACK
    assert [part.outcome for part in ending.parts] == [Outcome.PROMOTED, Outcome.ROLLED_BACK]
    assert {name: serves(environment, name) for name in first} == first
    store = open_store(environment.store)
    hurt = {name: EnvironmentJournal(store, environment.name, name, "test").refresh().quarantined for name in first}
    assert (list(hurt["one"]), list(hurt["toy"])) == ([], [plans[1].model])
    again = carry_on(ending.joint, environment)
    assert again == ending.model_copy(update={"reason": again.reason})


def test_the_command_stores_all_and_releases_them(
    folders: Folders,
    environment: Environment,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """D-18, C-15: one file, one JSON document, exit code 0; the same command again finds both serving."""
    where = environment.model_copy(update={"store": f"file://{tmp_path / 'store'}"})
    monkeypatch.setattr(Environment, "here", classmethod(lambda _cls, _name="production": where))
    named(folders, "one", "1.0.0")
    named(folders, "two", "1.0.0")
    path = folders.root / "together.toml"
    path.write_text(
        'reason = "two needs one"\n[[release]]\nmodel = "one/1.0.0"\nprobation_seconds = 0\n'
        '[[release]]\nmodel = "two/1.0.0"\nprobation_seconds = 0\n'
    )
    with pytest.raises(SystemExit) as left:
        main(["joint", str(path), "--json"])
    document = json.loads(capsys.readouterr().out)
    assert left.value.code == 0, document
    assert document["outcome"] == "promoted"
    assert [(part["model"], part["outcome"]) for part in document["parts"]] == [
        ("one", "promoted"),
        ("two", "promoted"),
    ]
    assert shared(where.plane).running("two") == (serves(where, "two"),)


FILES = {
    "no toml": ("release = [", "cannot be read"),
    "nothing to release": ('reason = "r"', "release: is missing"),
    "an unknown key": ("[[releases]]\nmodel = 'm'", "did you mean `release`"),
    "no model": ("[[release]]\nstrategy = 'canary'", r"release\[0\].model: is missing"),
}


@pytest.mark.parametrize(("text", "why"), FILES.values(), ids=FILES)
def test_a_wrong_file_is_refused(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "together.toml"
    path.write_text(text)
    with pytest.raises(Rejected, match=why):
        wanted([str(path)], {})


def test_options_are_for_all_and_not_beside_a_file(tmp_path: Path) -> None:
    assert wanted(["a", "b"], {"strategy": "canary"}) == (
        "",
        [{"strategy": "canary", "model": "a"}, {"strategy": "canary", "model": "b"}],
    )
    with pytest.raises(Rejected, match="says how each model is released"):
        wanted([str(tmp_path / "together.toml")], {"strategy": "canary"})
