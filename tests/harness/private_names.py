"""`python -m tests.harness.private_names`: which private names of the contract exist in aiokafka, as JSON.

It runs as a process of its own, because in a test's process the names may already be replaced.
"""

import ast
import importlib
import inspect
import json
import sys
from typing import Any

from common.aiokafka_internals.contract import CONTRACT, Name


def problem(name: Name) -> str:
    """How the installed aiokafka breaks the contract for this name; "" if it does not."""
    try:
        found = find(name.path)
    except (ImportError, AttributeError) as error:
        return f"{name.path} is gone ({error}): {name.purpose}"
    if name.signature is None:
        return ""
    signature = signature_of(found)
    is_kept = (
        signature.startswith(name.signature.removesuffix("…"))
        if name.signature.endswith("…")
        else signature == name.signature
    )
    return "" if is_kept else f"{name.path} takes ({signature}), not ({name.signature}): {name.purpose}"


def find(path: str) -> Any:
    """The object that a path names; for an attribute that only instances have, its name."""
    module_name, _, names = path.partition(":")
    found: Any = importlib.import_module(module_name)
    for name in filter(None, names.split(".")):
        if inspect.isclass(found) and not hasattr(found, name) and name in attributes_of(found):
            return name
        found = getattr(found, name)
    return found


def attributes_of(kind: type) -> set[str]:
    """The attributes that the methods of a class give its instances."""
    # Bases from elsewhere may be compiled, so they have no source.
    own = [each for each in kind.__mro__ if each.__module__.startswith("aiokafka")]
    nodes = [node for each in own for node in ast.walk(ast.parse(inspect.getsource(each)))]
    return {
        node.attr
        for node in nodes
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self"
    }


def signature_of(callee: Any) -> str:
    """Its parameters: their names, `=` behind those with a default, `*` before those that need their name."""
    shown: list[str] = []
    for parameter in inspect.signature(callee).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in shown:
            shown.append("*")
        shown.append(f"{parameter.name}{'' if parameter.default is parameter.empty else '='}")
    return ", ".join(shown)


if __name__ == "__main__":
    json.dump({name.path: problem(name) for name in CONTRACT}, sys.stdout)
