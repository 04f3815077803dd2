"""The docs are tested like code: links, words, and a heading for everything that can be named."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
#: Synonyms of words that the glossary has, where nothing but the synonym can be meant.
BANNED = {
    r"\bjobs?\b": "run",
    r"\bback-?ends?\b": "target",
    r"\bcompute (instances?|resources?|clusters?|machines?)\b": "compute target",
    r"\bworker nodes?\b": "node",
}
#: What others call things is not ours to change.
ALLOWED = re.compile(
    r"build-backend|default_backend|sampling_backend|hatchling|Slurm jobs?|ComputeTarget"
    # Slurm's own: options, commands and messages.
    r"|JobState|show job|SLURM_JOB_ID|\bjob\(|_job_|--job-name"
    r"|Batch job submission|job submit limit|\"show\", \"job\"",
    re.IGNORECASE,
)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def prose(path: Path) -> str:
    return FENCE.sub("", path.read_text())


def anchors(path: Path) -> set[str]:
    """Anchors of a page's headings, made as forges make them."""
    found = set()
    for heading in re.findall(r"^#+ (.+)$", prose(path), re.MULTILINE):
        plain = re.sub(r"[^\w\- ]", "", re.sub(r"[`*]", "", heading).lower())
        found.add(plain.replace(" ", "-"))
    return found


def headings(path: Path) -> set[str]:
    return set(re.findall(r"^## (.+)$", path.read_text(), re.MULTILINE))


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_links_lead_somewhere(path: Path) -> None:
    broken = []
    for link in LINK.findall(prose(path)):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        to = (path.parent / file).resolve() if file else path
        if not to.exists() or (anchor and anchor not in anchors(to)):
            broken.append(link)
    assert not broken


def test_every_page_can_be_reached_from_the_index() -> None:
    seen: set[Path] = set()
    todo = [ROOT / "docs" / "index.md"]
    while todo:
        page = todo.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        links = [link.partition("#")[0] for link in LINK.findall(prose(page))]
        todo += [(page.parent / link).resolve() for link in links if link and ":" not in link]
    lost = [name_of(page) for page in ROOT.glob("docs/**/*.md") if page not in seen]
    assert not lost


def words_of(text: str) -> list[str]:
    """Banned synonyms in `text`, each with the word to use."""
    text = ALLOWED.sub("", text)
    return [
        f"{found[0]!r}: say {word!r}"
        for pattern, word in BANNED.items()
        for found in re.finditer(pattern, text, re.IGNORECASE)
    ]


def test_the_word_check_finds_what_it_looks_for() -> None:
    assert words_of("The job runs on a backend, a compute cluster.") != []
    assert words_of("A run on a compute target; `build-backend` is Python's word.") == []


@pytest.mark.parametrize("path", [p for p in PAGES if p.name != "glossary.md"], ids=name_of)
def test_docs_use_the_words_of_the_glossary(path: Path) -> None:
    assert not words_of(path.read_text())


def test_code_uses_the_words_of_the_glossary() -> None:
    found = {
        name_of(path): words
        for path in sorted((ROOT / "src").rglob("*.py"))
        if (words := words_of(path.read_text()))
    }
    assert not found


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "scripts" / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pages(reference: ModuleType) -> dict[str, str]:
    return reference.pages()


def test_the_reference_is_what_the_code_says(reference: ModuleType, pages: dict[str, str]) -> None:
    stale = [
        name
        for name, text in pages.items()
        if not (reference.REFERENCE / name).exists()
        or (reference.REFERENCE / name).read_text() != text
    ]
    assert not stale, "run `make docs`"


def test_everything_that_can_be_named_has_a_heading(reference: ModuleType) -> None:
    folder = reference.REFERENCE
    commands = {words for words, _ in reference.commands()}
    settings = {
        f"TURNOUT_{f.name.upper()}" for f in reference.dataclasses.fields(reference.Settings)
    }
    routes = {
        f"{method.upper()} {path}"
        for path, methods in reference.openapi()["paths"].items()
        for method in methods
    }
    codes = {kind.code for kind in reference.error_kinds()}
    assert commands <= headings(folder / "cli.md")
    assert settings <= headings(folder / "settings.md")
    assert routes <= headings(folder / "http.md")
    assert codes <= headings(folder / "errors.md")
    assert set(reference.config.KNOWN) <= headings(folder / "config.md")
    assert set(reference.curated.CURATED) <= headings(folder / "curated.md")
    assert set(reference.registry.KINDS) <= headings(folder / "targets.md")


def test_every_command_and_setting_says_what_it_does(reference: ModuleType) -> None:
    silent = [words for words, parser in reference.commands() if not parser.description]
    settings = ROOT / "src" / "turnout" / "service" / "settings.py"
    comments = reference.field_comments(settings, shared=True)
    silent += [
        f.name for f in reference.dataclasses.fields(reference.Settings) if not comments[f.name]
    ]
    assert not silent


def test_every_route_is_in_the_description_of_the_interface(reference: ModuleType) -> None:
    text = (ROOT / "docs" / "design" / "http-api.md").read_text()
    described = {
        re.sub(r"\{\w+(:\w+)?\}", "{}", word) for word in re.findall(r"/[\w/{}:-]+", text)
    }
    missing = [
        path
        for path in reference.openapi()["paths"]
        if re.sub(r"\{\w+\}", "{}", path) not in described
    ]
    assert not missing
