"""uv gets the package sources that pip would use."""

from __future__ import annotations

from pathlib import Path

import pytest

from turnout.payload.builds import pip_rules


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """A machine whose only configuration lies in its home folder."""
    return {"HOME": str(tmp_path), "XDG_CONFIG_DIRS": str(tmp_path / "xdg")}


@pytest.fixture(autouse=True)
def no_machine_wide_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pip_rules, "BUNDLES", ())
    # /etc/pip.conf of the machine that runs the tests must not count.
    files = pip_rules.config_files
    monkeypatch.setattr(
        pip_rules, "config_files", lambda env: [f for f in files(env) if f != "/etc/pip.conf"]
    )


def write(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_nothing_configured(environ: dict[str, str]) -> None:
    assert pip_rules.uv_variables(environ) == {}


def test_files_and_variables(environ: dict[str, str], tmp_path: Path) -> None:
    write(tmp_path, ".pip/pip.conf", "[global]\nindex-url = https://old\ncert = /ca.pem\n")
    write(
        tmp_path,
        ".config/pip/pip.conf",
        "[global]\nindex-url = https://new\nextra-index-url =\n    https://a\n    https://b\n"
        "[install]\nfind-links = /w1 /w2\nno-index = false\n",
    )
    assert pip_rules.uv_variables({**environ, "PIP_TRUSTED_HOST": "h1 h2"}) == {
        "UV_DEFAULT_INDEX": "https://new",
        "UV_INDEX": "https://a https://b",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_FIND_LINKS": "/w1,/w2",
        "UV_INSECURE_HOST": "h1 h2",
        "SSL_CERT_FILE": "/ca.pem",
    }


def test_variables_come_before_files(environ: dict[str, str], tmp_path: Path) -> None:
    write(tmp_path, ".config/pip/pip.conf", "[global]\nindex-url = https://file\n")
    found = pip_rules.uv_variables({**environ, "PIP_INDEX_URL": "https://variable"})
    assert found == {"UV_DEFAULT_INDEX": "https://variable"}


def test_own_settings_of_uv_win(environ: dict[str, str], tmp_path: Path) -> None:
    environ["PIP_INDEX_URL"] = "https://pip"
    environ["PIP_FIND_LINKS"] = "/w"
    assert pip_rules.uv_variables({**environ, "UV_INDEX_URL": "https://uv"}) == {
        "UV_FIND_LINKS": "/w"
    }
    write(tmp_path, ".config/uv/uv.toml", "")
    assert pip_rules.uv_variables(environ) == {"UV_FIND_LINKS": "/w"}


def test_no_index(environ: dict[str, str], tmp_path: Path) -> None:
    assert pip_rules.uv_arguments(environ) == []
    write(tmp_path, ".config/pip/pip.conf", "[install]\nno-index = true\n")
    assert pip_rules.uv_arguments(environ) == ["--no-index"]
    assert pip_rules.uv_arguments({**environ, "PIP_NO_INDEX": "0"}) == []


def test_certificates_of_the_system(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "bundle.crt"
    monkeypatch.setattr(pip_rules, "BUNDLES", (str(tmp_path / "none"), str(bundle)))
    assert pip_rules.uv_variables(environ) == {}
    bundle.touch()
    assert pip_rules.uv_variables(environ) == {"SSL_CERT_FILE": str(bundle)}
    assert pip_rules.uv_variables({**environ, "SSL_CERT_FILE": "/own"}) == {}


def test_broken_file_is_left_out(
    environ: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, ".config/pip/pip.conf", "index-url = https://nowhere\n")
    assert pip_rules.uv_variables(environ) == {}
    assert "is left out" in capsys.readouterr().err


def test_pip_config_can_be_switched_off(environ: dict[str, str], tmp_path: Path) -> None:
    write(tmp_path, ".config/pip/pip.conf", "[global]\nindex-url = https://file\n")
    assert pip_rules.uv_variables({**environ, "PIP_CONFIG_FILE": "/dev/null"}) == {}


@pytest.mark.parametrize("before", ["", "[global]\n", "[global]\nindex-url = https://x\n"])
def test_a_file_that_cannot_be_read_is_not_quoted(
    environ: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    before: str,
) -> None:
    text = f"{before}https://ana!hunter2@pypi.example.org\n[global\n"
    write(tmp_path, ".pip/pip.conf", text)
    assert pip_rules.uv_variables(environ) == {}
    said = capsys.readouterr().err
    assert "pip.conf cannot be read and is left out (line " in said
    assert "hunter2" not in said
