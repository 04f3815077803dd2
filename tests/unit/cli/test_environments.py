"""`turnout environments`, `config` and `registry`: what is asked of the service, what is shown."""

from __future__ import annotations

import doctest
import json
from pathlib import Path
from typing import Any

import pytest
from fake_client import FakeClient

from turnout.cli import asking, built, config, environments, following, registry
from turnout.cli import main as cli
from turnout.client import embedded
from turnout.spec.errors import TargetError

Out = pytest.CaptureFixture[str]
VIEW = {
    "name": "sk",
    "version": "2",
    "versions": ["2", "1"],
    "definition": {"python": {"pip": ["numpy"], "python_version": "3.11"}},
    "description": "numbers",
    "tags": {},
    "curated": False,
    "created_at": "2026-01-01T00:00:00+00:00",
}
ROW = {
    "key": "abcdef0123456789" * 4, "label": "3 packages", "kind": "conda", "ready": True,
    "size": 2_000_000, "used_at": 1.75e9, "built_at": 1.7e9, "in_use": False,
}  # fmt: skip
OTHER = {**ROW, "key": "abcd" + "0" * 60, "used_at": 1.7e9, "in_use": True}


@pytest.fixture(autouse=True)
def client(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeClient:
    made = FakeClient()
    for module in (built, config, environments, registry, embedded):
        monkeypatch.setattr(module, "default_client", lambda: made)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TURNOUT_URL", raising=False)
    monkeypatch.delenv("TURNOUT_DEBUG", raising=False)
    rows = {"lab": [OTHER, ROW], "local": []}
    for name, found in rows.items():
        made.answers["GET", f"/v1/targets/{name}/environments"] = {"environments": found}
    made.answers["GET", "/v1/targets"] = {"targets": [{"name": n} for n in (*rows, "gone")]}
    made.answers["GET", "/v1/targets/gone/environments"] = TargetError("gone is away")
    made.answers["GET", "/v1/environments"] = {"environments": [VIEW]}
    made.answers["GET", "/v1/environments/sk"] = VIEW
    made.answers["GET", "/v1/config"] = {
        "settings": [
            {"key": "environments.keep_days", "value": "7", "default": "30", "is_set": True,
             "kind": "DAYS", "help": "How long."},
        ]
    }  # fmt: skip
    return made


@pytest.mark.parametrize("module", [config, environments])
def test_examples(module: Any) -> None:
    assert doctest.testmod(module).failed == 0


# -- names -------------------------------------------------------------------------------------


def test_list_and_show(capsys: Out, client: FakeClient) -> None:
    assert cli.main(["environments", "list"]) == 0
    out = capsys.readouterr().out
    assert "Python 3.11, numpy" in out
    assert cli.main(["environment", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [VIEW]
    assert cli.main(["environments", "show", "sk:1"]) == 0
    assert client.asked[-1] == ("GET", "/v1/environments/sk", {"version": "1"})
    out = capsys.readouterr().out
    assert "numbers" in out
    assert "- numpy" in out
    assert cli.main(["environments", "show", "none"]) == 2


def test_register(capsys: Out, client: FakeClient, tmp_path: Path) -> None:
    client.answers["POST", "/v1/environments"] = lambda body: {**VIEW, **body, "version": "3"}
    (tmp_path / "c.yml").write_text("dependencies: [python=3.11, numpy, {pip: [idna]}]\n")
    (tmp_path / "r.txt").write_text("idna\n")
    (tmp_path / "Dockerfile").write_text("FROM a\n")
    for argv, definition in (
        ("-f c.yml", {"python": {"python_version": "3.11", "conda": ["numpy"], "pip": ["idna"]}}),
        ("-r r.txt --python 3.12", {"python": {"python_version": "3.12", "pip": ["idna"]}}),
        (
            "--image a:1",
            {
                "python": {"user_managed_dependencies": True},
                "docker": {"enabled": True, "base_image": "a:1"},
            },
        ),
        (
            "--dockerfile Dockerfile -r r.txt",
            {
                "python": {"pip": ["idna"]},
                "docker": {"enabled": True, "base_dockerfile": "FROM a\n"},
            },
        ),
    ):
        assert cli.main(["environments", "register", "sk", *argv.split()]) == 0
        assert client.asked[-1][2]["definition"] == definition, argv
    assert "sk:3 holds Dockerfile, idna." in capsys.readouterr().out
    assert cli.main(["environments", "register", "me", "--current", "--json"]) == 0
    pip = client.asked[-1][2]["definition"]["python"]["pip"]
    assert any(line.startswith("pytest==") for line in pip)


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        ("register sk", "Say what it holds"),
        ("register sk --current --pip x", "--current or --pip"),
        ("register sk -f none.yml", "no file 'none.yml'"),
        ("register sk --pip -x", "expected one argument"),
        ("build", "Say what it holds"),
        ("build sk --pip x", "leave --pip out"),
        ("show sk:", "NAME:VERSION"),
        ("show --target lab abcd", "give more"),
        ("show --target lab zzz", "has built no environment 'zzz'"),
        ("prune --all --older-than 3d", "not both"),
        ("prune --target lab abcd0", "A run on 'lab' uses abcd00000000"),
        ("prune abc --all", "one of the three"),
        ("prune --older-than soon", "no duration"),
        ("lst", "did you mean 'list'"),
    ],
)
def test_mistakes(capsys: Out, client: FakeClient, argv: str, text: str) -> None:
    assert cli.main(["environments", *argv.split()]) == 2
    assert text in capsys.readouterr().err
    assert not any(method == "POST" for method, _, _ in client.asked)


def test_build(capsys: Out, client: FakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    run = {"id": "environments_1_ab", "target": "lab", "state": "queued"}
    client.answers["POST", "/v1/runs"] = run
    end = {
        **run, "state": "completed", "error": None, "warnings": ["numpy 1.26 instead of 1.25"],
        "created_at": "2026-01-01T00:00:00+00:00", "ended_at": "2026-01-01T00:01:30+00:00",
    }  # fmt: skip
    monkeypatch.setattr(following.Follower, "follow", lambda self: end)
    assert cli.main(["environments", "build", "sk", "--target", "lab"]) == 0
    caught = capsys.readouterr()
    assert caught.out == "sk is ready on lab (1 m 30 s).\n"
    assert "numpy 1.26 instead" in caught.err
    sent = client.asked[-1][2]
    assert sent["spec"] == {
        "target": "lab", "prepare_only": True,
        "environment": {"python_version": "3.11", "pip": ["numpy"], "name": "sk:2"},
    }  # fmt: skip
    end.update(state="failed", error={"code": "prepare_failed", "message": "no numpy"})
    assert cli.main(["environments", "build", "--pip", "numpy"]) == 1
    err = capsys.readouterr().err
    assert "no numpy" in err
    assert "turnout run logs environments_1_ab" in err
    assert cli.main(["environments", "build", "--pip", "numpy", "--detach"]) == 0
    assert capsys.readouterr().out == "environments_1_ab\n"


# -- what targets have built -------------------------------------------------------------------


def test_what_is_built(capsys: Out) -> None:
    assert cli.main(["environments", "list", "--target", "lab"]) == 0
    lines = capsys.readouterr().out.splitlines()
    # The last used first.
    assert lines[1].split()[:2] == ["abcdef012345", "lab"]
    assert " ago" in lines[1]
    assert "in use" in lines[2]
    assert cli.main(["environments", "list", "--built"]) == 0
    caught = capsys.readouterr()
    assert len(caught.out.splitlines()) == 3
    assert "'gone' cannot be asked: gone is away" in caught.err
    assert cli.main(["environments", "list", "--target", "local"]) == 0
    assert "Nothing is built yet" in capsys.readouterr().out
    assert cli.main(["environments", "show", "--target", "lab", "abcde", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"target": "lab", **ROW}
    assert cli.main(["environments", "show", "--target", "lab", "abcde"]) == 0
    assert "3 packages" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "older", "keys", "dry"),
    [
        ("", 7 * 86400, None, False),
        ("--older-than 12h --dry-run", 12 * 3600, None, True),
        ("--all", 0, None, False),
        ("abcde", 0, [ROW["key"]], False),
    ],
)
def test_prune(
    capsys: Out, client: FakeClient, argv: str, older: int, keys: list[str] | None, dry: bool
) -> None:
    path = "/v1/targets/lab/environments/prune"
    client.answers["POST", path] = {"removed": [ROW], "freed": 2_000_000}
    assert cli.main(["environments", "prune", "--target", "lab", *argv.split()]) == 0
    assert client.asked[-1] == (
        "POST", path, {"older_than_s": older, "keys": keys, "dry_run": dry},
    )  # fmt: skip
    out = capsys.readouterr().out
    assert ("1 would be removed, 1.9 MB." if dry else "1 removed, 1.9 MB.") in out
    client.answers["POST", path] = {"removed": [], "freed": 0}
    assert cli.main(["environments", "prune", "--target", "lab"]) == 0
    assert "Nothing to remove" in capsys.readouterr().out


# -- config and registry -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "value"),
    [
        ("set environments.conda pypi", "pypi"),
        ("environments.conda pypi", "pypi"),
        ("environments.conda = pypi", "pypi"),
        ("environments.conda=pypi", "pypi"),
        ("set environments.conda=pypi", "pypi"),
        ("set environments.conda = pypi", "pypi"),
        ("environments.conda =", ""),
    ],
)
def test_settings_are_set(client: FakeClient, argv: str, value: str) -> None:
    path = "/v1/config/environments.conda"
    client.answers["PUT", path] = lambda body: {"key": "environments.conda", **body}
    assert cli.main(["config", *argv.split()]) == 0
    assert client.asked == [("PUT", path, {"value": value})]


def test_settings_are_shown_and_unset(capsys: Out, client: FakeClient) -> None:
    assert cli.main(["config", "list"]) == 0
    assert "environments.keep_days" in capsys.readouterr().out
    for argv in (["environments.keep_days"], ["get", "environments.keep_days"]):
        assert cli.main(["config", *argv]) == 0
        assert "How long." in capsys.readouterr().out
    assert cli.main(["config", "environments.keep_days", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["value"] == "7"
    assert cli.main(["config", "get", "environments.kep_days"]) == 2
    assert "did you mean 'environments.keep_days'" in capsys.readouterr().err
    assert cli.main(["config", "environments.a", "b", "c"]) == 2
    client.answers["DELETE", "/v1/config/environments.keep_days"] = None
    assert cli.main(["config", "unset", "environments.keep_days"]) == 0


def test_logins(capsys: Out, client: FakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    class Pipe:
        def isatty(self) -> bool:
            return False

        def readline(self) -> str:
            return "hunter2\n"

    monkeypatch.setattr(asking.sys, "stdin", Pipe())
    client.answers["POST", "/v1/registries"] = lambda body: body
    words = ["registry", "login", "r.example.org", "--username", "ana"]
    assert cli.main([*words, "--password-stdin"]) == 0
    assert client.asked[-1][2] == {
        "address": "r.example.org", "username": "ana", "password": "hunter2",
    }  # fmt: skip
    assert "hunter2" not in capsys.readouterr().out
    assert cli.main(words) == 2
    assert "no terminal to ask on" in capsys.readouterr().err
    assert cli.main([*words, "--password", "x"]) == 2
    client.answers["GET", "/v1/registries"] = {"registries": []}
    assert cli.main(["registry", "list"]) == 0
    assert "No logins" in capsys.readouterr().out
    client.answers["DELETE", "/v1/registries/r.example.org"] = None
    assert cli.main(["registry", "logout", "r.example.org"]) == 0
