"""Check that a Python model's entry is there, by reading it. It never imports or runs the author's code."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path

from headgate.errors import Missing, Rejected

METHODS = ("load", "predict")


def check_entry(entry: str, files: Mapping[str, Path]) -> None:
    """Raise `Missing` or `Rejected` unless `module:Class` is in `files`, can be parsed, and has the two methods.

    A class that is imported or has base classes is taken on trust until the model is loaded.
    """
    module, _, name = entry.partition(":")
    base = module.replace(".", "/")
    path = next((path for path in (f"{base}.py", f"{base}/__init__.py") if path in files), None)
    if path is None:
        hint = "the module is a path from the top of the bundle; correct it, or let [build] files bring the file"
        raise Missing(f"serve.python: `{entry}` needs the file {base}.py, and the bundle does not hold it", hint)
    try:
        tree = ast.parse(files[path].read_bytes(), filename=path)
    except (SyntaxError, ValueError, RecursionError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        raise Rejected(f"{path}{line} is not Python: {error}", "correct that line") from error
    names = dict(bindings(tree))
    if name not in names and "*" not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean `{module}:{near[0]}`?" if near else f"define `class {name}` there, or name another"
        raise Missing(f"serve.python: {path} has no class `{name}`", hint)
    if lacking := missing_methods(names.get(name)):
        raise Rejected(
            f"serve.python: class `{name}` in {path} has no method {' and no method '.join(lacking)}",
            "a model has load(self, folder, params) and predict(self, inputs)",
        )


def bindings(tree: ast.Module) -> Iterator[tuple[str, ast.stmt]]:
    """Names that the top level of a module binds, also inside `if` and `try`."""
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop(0)
        match node:
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                yield node.name, node
            case ast.Import() | ast.ImportFrom():
                yield from (((alias.asname or alias.name).partition(".")[0], node) for alias in node.names)
            case ast.Assign():
                yield from ((target.id, node) for target in node.targets if isinstance(target, ast.Name))
            case ast.If() | ast.Try() | ast.With() | ast.ExceptHandler():
                waiting += ast.iter_child_nodes(node)


def missing_methods(node: ast.stmt | None) -> list[str]:
    """Methods that a model needs and a class without bases does not have."""
    if not isinstance(node, ast.ClassDef) or node.bases or node.keywords or node.decorator_list:
        return []
    functions = (ast.FunctionDef, ast.Assign, ast.AnnAssign, ast.If)
    if any(isinstance(inner, functions[1:]) for inner in node.body):
        return []
    had = {inner.name for inner in node.body if isinstance(inner, functions[0])}
    return [f"`{method}`" for method in METHODS if method not in had]
