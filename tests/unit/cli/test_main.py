"""Entry of the command line: help, mistakes, exit codes, what is imported."""

import os
import subprocess
import sys

import pytest

from turnout.cli import main as cli
from turnout.spec.errors import ServiceError, TargetError, UserError

Out = pytest.CaptureFixture[str]


def test_help_lists_every_command(capsys: Out) -> None:
    for argv in ([], ["--help"], ["-h"], ["help"]):
        assert cli.main(argv) == 0
        text = capsys.readouterr().out
        for name, (_, summary) in cli.COMMANDS.items():
            assert f"  {name}" in text
            assert summary in text
        assert max(len(line) for line in text.splitlines()) <= 80


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from turnout.cli.main import main; main(['--help']);"
        "print([m for m in sys.modules if m.startswith(('turnout.client', 'turnout.snapshots',"
        " 'turnout.service', 'argparse', 'http', 'rich', 'typer', 'pydantic', 'json'))])"
    )
    out = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, check=True,
                         env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})  # fmt: skip
    assert out.stdout.decode().splitlines()[-1] == "[]"


@pytest.mark.parametrize("command", sorted(set(cli.COMMANDS) - {"server"}))
def test_every_command_explains_itself(command: str, capsys: Out) -> None:
    for argv in ([command, "--help"], ["help", command]):
        with pytest.raises(SystemExit) as ended:
            cli.main(argv)
        assert ended.value.code == 0
        assert f"usage: turnout {command}" in capsys.readouterr().out


def test_an_unknown_command_names_the_nearest(capsys: Out) -> None:
    assert cli.main(["sumbit", "train.py"]) == 2
    assert "There is no command 'sumbit' (did you mean 'submit'?)" in capsys.readouterr().err
    assert cli.main(["--verbose"]) == 2
    assert "no option '--verbose'" in capsys.readouterr().err
    assert cli.main(["run", "lst"]) == 2
    assert "no command 'lst' (did you mean 'list'?)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["submit"], "Name a script"),
        (["submit", "--target"], "expected one argument"),
        (["submit", "--max-duration", "soon", "a.py"], "'soon' is no duration"),
        (["submit", "--max-duration", "-5", "a.py"], "'-5' is no duration"),
        (["submit", "--env", "=x", "a.py"], "--env takes NAME=VALUE"),
        (["submit", "--env", "NOT_SET_ANYWHERE", "a.py"], "it is not set here"),
        (["submit", "--colour", "a.py"], "Unrecognized arguments: --colour"),
        (["submit", "--pip", "x", "--python", "/usr/bin/python3", "a.py"], "used as it is"),
        (["submit", "-r", "/nowhere.txt", "a.py"], "cannot be read: No such file"),
        (["run", "list", "--limit", "0"], "number from 1 to 1000"),
        (["run", "list", "--state", "done"], "invalid choice: 'done'"),
        (["run", "tag", "latest"], "Name a tag"),
        (["target", "attach"], "required: KIND"),
        (["target", "attach", "ssh", "lab"], "--address is missing"),
        (["target", "attach", "ssh", "lab", "--address", "h"], "--username is missing"),
        (["target", "attach", "ssh", "x", "--address", "h", "--username", "u", "--password",
          "--password-stdin"], "not both"),
    ],
)  # fmt: skip
def test_mistakes_are_one_message_and_code_2(argv: list[str], text: str, capsys: Out) -> None:
    assert cli.main(argv) == 2
    caught = capsys.readouterr()
    assert caught.out == ""
    assert caught.err.startswith("turnout: error: ")
    assert text in caught.err


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (UserError("Do this."), 2, "turnout: error: Do this.\n"),
        (ServiceError("It is away."), 1, "turnout: error: It is away.\n"),
        (TargetError("Unreachable."), 1, "turnout: error: Unreachable.\n"),
        (ZeroDivisionError("division"), 1, "ZeroDivisionError: division\nThis should not happen."),
        (KeyboardInterrupt(), 130, "\n"),
    ],
)
def test_errors_become_exit_codes(
    error: BaseException, code: int, text: str, capsys: Out, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(argv: list[str]) -> int:
        raise error

    monkeypatch.delenv("TURNOUT_DEBUG", raising=False)
    monkeypatch.setattr(cli, "dispatch", fail)
    assert cli.main([]) == code
    caught = capsys.readouterr().err
    assert text in caught
    assert "Traceback" not in caught


def test_debugging_shows_the_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURNOUT_DEBUG", "1")
    with pytest.raises(UserError):
        cli.main(["nothing"])


def test_version(capsys: Out) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("turnout 0.")
