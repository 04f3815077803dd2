"""Follows v1's names through a file's code: imports, classes, and the objects that they give."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import Any

from turnout.client.migration import members
from turnout.client.migration.sources import Source
from turnout.payload.v1 import modules, names

TOP = modules.TOP


@dataclass(frozen=True)
class Use:
    """One name of v1 in one file. `why` is empty when it is served."""

    name: str
    where: str
    why: str = ""


@dataclass(frozen=True)
class Meaning:
    """What an expression is: a module of v1, one of its names, or an object of the SDK."""

    #: The name of it that is shown.
    name: str
    #: "module", "name" or "object".
    kind: str
    #: The class, function or constant that stands for a name; the class of an object.
    value: Any = None
    #: The same of the classes that the object may turn out to be.
    others: tuple[Any, ...] = ()


@dataclass
class Reader(ast.NodeVisitor):
    """Collects the uses of one file. Names are followed in the order in which they stand, without
    regard to scopes: enough for scripts, and it never runs them."""

    uses: dict[str, Use] = field(default_factory=dict[str, Use])
    known: dict[str, Meaning] = field(default_factory=dict[str, Meaning])
    place: str = ""

    def note(self, node: ast.AST, name: str, why: str = "") -> None:
        if name not in self.uses or (why and not self.uses[name].why):
            self.uses[name] = Use(name, f"{self.place}line {getattr(node, 'lineno', 1)}", why)

    # -- imports --------------------------------------------------------------------------------

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            if not is_v1(alias.name):
                continue
            self.note(node, alias.name)
            self.module(node, alias.name)
            bound = alias.name if alias.asname else TOP
            self.known[alias.asname or TOP] = Meaning(bound, "module")

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if node.level or not is_v1(node.module or ""):
            return
        assert node.module is not None
        self.module(node, node.module)
        listed = names.MODULES.get(node.module, "").split()
        for alias in node.names:
            for name in listed if alias.name == "*" else [alias.name]:
                found = self.inner(node, node.module, name, starred=alias.name == "*")
                self.known[alias.asname or name] = found

    def module(self, node: ast.AST, name: str) -> None:
        if not modules.is_module(name):
            self.note(node, name, "v1 has no such module")

    def inner(self, node: ast.AST, module: str, name: str, *, starred: bool = False) -> Meaning:
        """`module.name`, noted."""
        full = f"{module}.{name}"
        if full in names.MODULES or modules.is_parent(full):
            return Meaning(full, "module")
        why = modules.status(module, name)
        if why == "unknown":
            why = "v1 has no such name here"
        if not starred:
            self.note(node, full, why)
        if why:
            return Meaning(full, "name")
        return Meaning(full, "name", modules.find(module, name))

    # -- what follows from them -----------------------------------------------------------------

    def visit_Assign(self, node: ast.Assign) -> None:
        self.generic_visit(node)
        found = self.meaning(node.value)
        for target in node.targets:
            self.bind(target, found)

    def visit_With(self, node: ast.With) -> None:
        for item in node.items:
            if item.optional_vars is not None:
                self.bind(item.optional_vars, self.meaning(item.context_expr))
        self.generic_visit(node)

    def visit_For(self, node: ast.For) -> None:
        self.bind(node.target, self.element(node.iter))
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if self.meaning(node) is None:
            self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        self.generic_visit(node)
        found = self.meaning(node.func)
        if found is None or found.value is None or found.kind == "module":
            return
        given = [k.arg for k in node.keywords if k.arg]
        for name in members.unknown_arguments((found.value, *found.others), given):
            self.note(node, f"{found.name}({name}=)", "this argument is not taken")

    def bind(self, target: ast.expr, found: Meaning | None) -> None:
        if isinstance(target, ast.Name):
            if found is None:
                self.known.pop(target.id, None)
            else:
                self.known[target.id] = found

    def element(self, node: ast.expr) -> Meaning | None:
        """What a loop over `node` gives."""
        if not isinstance(node, ast.Call):
            return None
        called = self.meaning(node.func)
        kind = members.element_of(called.value) if called and called.value else None
        return Meaning(kind.__name__, "object", kind) if kind else None

    def meaning(self, node: ast.expr) -> Meaning | None:
        if isinstance(node, ast.Name):
            return self.known.get(node.id)
        if isinstance(node, ast.Attribute):
            return self.attribute(node)
        if isinstance(node, ast.Call):
            return self.called(self.meaning(node.func))
        return None

    def called(self, found: Meaning | None) -> Meaning | None:
        if found is None or found.value is None or found.kind == "module":
            return None
        if isinstance(found.value, type):
            return Meaning(found.value.__name__, "object", found.value)
        kind = members.result_of(found.value)
        return Meaning(kind.__name__, "object", kind) if kind else None

    def attribute(self, node: ast.Attribute) -> Meaning | None:
        base = self.meaning(node.value)
        if base is None:
            return None
        if base.kind == "module":
            return self.inner(node, base.name, node.attr)
        full = f"{base.name}.{node.attr}"
        if base.value is None:
            # The name itself was noted, and why.
            return Meaning(full, "name")
        kind = base.value
        if not isinstance(kind, type):
            return None
        owner = members.owner(kind, node.attr)
        if owner is None:
            self.note(node, full, f"{kind.__name__} has no '{node.attr}'")
            return Meaning(full, "name")
        self.note(node, full)
        found = getattr(owner, node.attr, None)
        if callable(found) and not isinstance(found, type):
            others = [getattr(each, node.attr, found) for each in members.kinds(owner)]
            return Meaning(full, "name", found, tuple(others))
        value = members.value_of(owner, node.attr)
        return Meaning(value.__name__, "object", value) if value else Meaning(full, "name")


def is_v1(module: str) -> bool:
    return module == TOP or module.startswith(TOP + ".")


def read_uses(source: Source) -> list[Use]:
    """The names of v1 that a file uses, by name."""
    reader = Reader()
    for part in source.parts:
        reader.place = part.where
        reader.visit(part.tree)
    return sorted(reader.uses.values(), key=lambda use: use.name)
