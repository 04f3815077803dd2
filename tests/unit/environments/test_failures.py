"""What uv really printed (captured from runs of it), and what a person reads."""

from __future__ import annotations

import pytest

from turnout.environments import failures
from turnout.environments.failures import explain

NOT_FOUND = """\
Using Python 3.11.7 environment at: v
error: No solution found when resolving dependencies
  cause: Because this-package-does-not-exist-zz9 was not found in the package registry and you \
require this-package-does-not-exist-zz9, we can conclude that your requirements are unsatisfiable.
"""
NO_VERSION = """\
error: No solution found when resolving dependencies
  cause: Because there is no version of idna==99.0 and you require idna==99.0, we can conclude \
that your requirements are unsatisfiable.
"""
CONFLICT = """\
error: No solution found when resolving dependencies
  cause: Because you require idna==3.4 and idna==3.6, we can conclude that your requirements are \
unsatisfiable.
"""
INCOMPATIBLE = """\
error: No solution found when resolving dependencies
  cause: you require pandas<1 and pandas>2, which are incompatible
"""
REFUSED = """\
error: Failed to fetch: http://user:hunter2@127.0.0.1:9/simple/idna/
  cause: error sending request for url (http://127.0.0.1:9/simple/idna/)
  cause: client error (Connect)
  cause: tcp connect error
  cause: Connection refused (os error 111)
"""
NO_NAME = """\
error: Failed to fetch: https://index.invalid/simple/idna/
  cause: error sending request for url (https://index.invalid/simple/idna/)
  cause: client error (Connect)
  cause: dns error
  cause: error resolving DNS
  cause: failed to lookup address information: Name or service not known
"""
CERTIFICATE = """\
error: Failed to fetch: https://index.example/simple/idna/
  cause: error sending request for url (https://index.example/simple/idna/)
  cause: client error (Connect)
  cause: invalid peer certificate: UnknownIssuer
"""
LOGIN = """\
error: No solution found when resolving dependencies
  cause: Because idna was not found in the package registry and you require idna, we can conclude \
that your requirements are unsatisfiable.

hint: An index URL (http://127.0.0.1:18999/simple) could not be queried due to a lack of valid \
authentication credentials (401 Unauthorized)
"""
BUILD = """\
error: Failed to build `badpkg @ file:///tmp/badpkg-1.0.tar.gz`
  cause: The build backend returned an error
  cause: Call to `setuptools.build_meta:__legacy__.get_requires_for_build_wheel` failed (exit \
status: 1)

         [stderr]
         Traceback (most recent call last):
           File "<string>", line 14, in <module>
           File "<string>", line 2, in <module>
         RuntimeError: needs libfoo: install libfoo-dev

hint: Build failures usually indicate a problem with the package or the build environment
"""
NO_WHEEL = """\
error: No solution found when resolving dependencies
  cause: Because numpy==1.19.0 has no usable wheels and you require numpy==1.19.0, we can \
conclude that your requirements are unsatisfiable.
"""
NO_WHEELS = """\
error: No solution found when resolving dependencies
  cause: Because scikit-learn>=0.20.0,<=0.20.4 has no usable wheels and only the following \
versions of scikit-learn are available:
             scikit-learn<0.20.dev0
         we can conclude that scikit-learn==0.20.* cannot be used.
"""
DEPENDS = """\
error: No solution found when resolving dependencies
  cause: Because requests==2.32.3 depends on urllib3>=1.21.1,<3 and you require \
requests==2.32.3, we can conclude that you require urllib3>=1.21.1,<3.
         And because you require urllib3<1.20, we can conclude that your requirements are \
unsatisfiable.
"""
CUT = """\
         error: Command '['gcc']' returned non-zero exit status 1.
hint: This error likely indicates that you need to install a library that provides \
`longintrepr.h` for `pycrypto@2.6.1`
"""
CONFUSED = """\
error: Failed to build `sklearn==0.0.post12`
hint: `sklearn` is often confused for `scikit-learn`. Did you mean to install \
`scikit-learn` instead?
"""
FULL = """\
Resolved 1 package in 116ms
error: Failed to download `idna==3.20`
  cause: Failed to extract archive: idna-3.20-py3-none-any.whl
  cause: I/O operation failed during extraction
  cause: failed to write to file `/t/c/idna/uts46data.py`: No space left on device (os error 28)
"""
NO_PYTHON = """\
error: No interpreter found for Python 3.14 in managed installations or search path

hint: A managed Python download is available for Python 3.14, but downloads are set to 'never'
Pythons on this machine:
cpython-3.11.7-linux-x86_64-gnu    /opt/python/bin/python3.11
cpython-3.9.2-linux-x86_64-gnu     /usr/bin/python3.9
cpython-3.9.2-linux-x86_64-gnu     /usr/bin/python3 -> python3.9
"""
NO_DOWNLOAD = """\
error: Failed to download `https://mirror.example/20261110/cpython-3.15.2%2B20261110-x86_64.tar.gz`
  cause: client error (Connect)
  cause: dns error
Pythons on this machine:
"""


@pytest.mark.parametrize(
    ("log", "parts"),
    [
        (NOT_FOUND, ["no package 'this-package-does-not-exist-zz9'", "spelling"]),
        (NO_VERSION, ["no version of idna", "'idna==99.0'"]),
        (NO_WHEELS, ["scikit-learn", ">=0.20.0, <=0.20.4", "no wheel"]),
        (DEPENDS, ["cannot be installed together", "you require urllib3<1.20"]),
        (CUT, ["pycrypto==2.6.1 could not be built", "longintrepr.h"]),
        (CONFUSED, ["sklearn could not be built", "'scikit-learn'"]),
        (CONFLICT, ["contradict", "idna==3.4 and idna==3.6"]),
        (INCOMPATIBLE, ["contradict", "pandas<1 and pandas>2"]),
        (REFUSED, ["cannot be reached", "(127.0.0.1:9)"]),
        (NO_NAME, ["cannot be reached", "(index.invalid)"]),
        (CERTIFICATE, ["certificate", "SSL_CERT_FILE"]),
        (LOGIN, ["asks for a login"]),
        (
            BUILD,
            ["badpkg", "could not be built", "RuntimeError: needs libfoo: install libfoo-dev"],
        ),
        (NO_WHEEL, ["numpy==1.19.0 has no wheel"]),
        (FULL, ["disk of the target is full"]),
        (NO_PYTHON, ["Python 3.14 is not on the target", "It has 3.9.2, 3.11.7."]),
        (NO_DOWNLOAD, ["Python 3.15.2 is not on the target and could not be downloaded"]),
    ],
)
def test_explained(log: str, parts: list[str]) -> None:
    text = explain(f"some line before\n{log}")
    for part in parts:
        assert part in text
    assert "hunter2" not in text
    assert text.count(". ") <= 4
    assert text.endswith(".")


def test_colours_do_not_hide_it() -> None:
    assert explain(NO_VERSION.replace("no version", "no \x1b[1mversion\x1b[0m")) == explain(
        NO_VERSION
    )


def test_unknown() -> None:
    assert explain("make: *** [all] Error 2") == ""
    assert explain("") == ""


def test_says_where_it_was_written() -> None:
    origins = {"idna==99": "env.yml, line 7", "numpy": "env.yml, line 5"}
    text = failures.told(
        "Resolving failed.\nBecause there is no version of idna==99 and you require", origins
    )
    first, second, *rest = text.splitlines()
    assert first.startswith("There is no version of idna that fits 'idna==99'.")
    assert second == "'idna==99' stands in env.yml, line 7."
    assert rest[0] == "Resolving failed."


@pytest.mark.parametrize(
    ("written", "text", "named"),
    [
        ("Scikit_Learn=0.20", "There is no scikit-learn here.", True),
        ("conda-forge::numpy>=1", "numpy is not there", True),
        ("numpy", "numpydoc is not there", False),
        ("learn", "scikit-learn is not there", False),
        ("git+https://example.org/x", "nothing", False),
    ],
)
def test_finds_the_requirement_that_is_spoken_of(written: str, text: str, named: bool) -> None:
    assert failures.is_named(written, text) is named
