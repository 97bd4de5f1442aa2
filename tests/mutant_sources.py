"""Small changes to the decisions of the reference sender: what is changed, and where it stands. Nothing is played here.

Code that only a flaw runs is left as it is: a sender without flaws decides nothing there. So are the arguments of
decorators, classes and `field`, which say how a class is made, and what stands in texts for people.
"""

from __future__ import annotations

import ast
import copy
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

SOURCES = Path(__file__).parents[1] / "lab/mta_sts_lab/reference"

#: The modules in which the sender decides something: about policies, hosts, sessions, its queue and its reports.
MODULES = (
    "policy",
    "discovery",
    "https_client",
    "routing",
    "resolver",
    "dnssec",
    "dane",
    "dane_delivery",
    "delivery",
    "address_delivery",
    "result",
    "session",
    "smtp_client",
    "channel",
    "tls",
    "revocation",
    "queue",
    "retry_scheduler",
    "bounce",
    "report_counts",
    "report_record",
    "report",
    "report_mail",
    "reporter",
)

_COMPARISONS = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}


_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)

#: From here on a number is a limit of which nobody notices one more.
_LARGE = 1000


@dataclass(frozen=True)
class Mutant:
    """One changed expression of one module.

    `where` is the function or the name that it belongs to, `places` are those of its statement, `flaws` those of its
    function, or of its module where that has none, and `source` is the whole module with the change.
    """

    module: str
    where: str
    line: int
    before: str
    after: str
    places: tuple[str, ...]
    flaws: frozenset[str]
    source: str
    #: Which one it is of those that are alike in one function.
    number: int = 1

    @property
    def key(self) -> str:
        """What it is known by, wherever its line has moved to."""
        again = f" ({self.number})" if self.number > 1 else ""
        return f"{self.module}.{self.where}: {self.before} -> {self.after}{again}"


@dataclass(frozen=True)
class _Owner:
    """The function or assignment that an expression belongs to, and the lines of its statement."""

    where: str
    first: int
    last: int


def text_of(module: str) -> str:
    """Return a module's text."""
    return (SOURCES / f"{module}.py").read_text(encoding="utf-8")


def mutants(module: str, text: str) -> Iterator[Mutant]:
    """Yield every mutant of a module."""
    tree = ast.parse(text)
    owners, left_alone, alike = _owners(tree), _left_alone(tree), Counter[tuple[str, str, str]]()
    place_of = places(module, text)
    of_module = _flaws_in(tree)
    flaws = {name: _flaws_in(node) for name, node in _named(tree) if isinstance(node, _FUNCTIONS)}
    for node in list(ast.walk(tree)):
        if not isinstance(node, ast.expr) or id(node) in left_alone or "flaws" in ast.unparse(node):
            continue
        owner = owners[id(node)]
        run_by = tuple(dict.fromkeys(place_of[line] for line in range(owner.first, owner.last + 1)))
        for changed in _changed(node):
            before, after = ast.unparse(node), ast.unparse(changed)
            alike[owner.where, before, after] += 1
            number = alike[owner.where, before, after]
            source = _with(text, node, after if isinstance(changed, ast.Constant) else f"({after})")
            near = flaws.get(owner.where) or of_module
            yield Mutant(module, owner.where, node.lineno, before, after, run_by, near, source, number)


def _flaws_in(node: ast.AST) -> frozenset[str]:
    return frozenset(re.findall(r"flaws\.(\w+)", ast.unparse(node)))


@cache
def places(module: str, text: str) -> dict[int, str]:
    """Return what each line of a module is known by when lines move: its function and its text."""
    functions = dict.fromkeys(range(1, text.count("\n") + 2), "")
    for name, node in _named(ast.parse(text)):
        if isinstance(node, _FUNCTIONS):
            functions |= dict.fromkeys(range(node.lineno, (node.end_lineno or node.lineno) + 1), name)
    lines = text.split("\n")
    return {number: f"{module}.{name}: {lines[number - 1].strip()}" for number, name in functions.items()}


def _with(text: str, node: ast.expr, after: str) -> str:
    """Return the text of a module in which one expression is another."""
    lines = text.encode().splitlines(keepends=True)
    begin = sum(map(len, lines[: node.lineno - 1])) + node.col_offset
    end = sum(map(len, lines[: (node.end_lineno or 0) - 1])) + (node.end_col_offset or 0)
    whole = b"".join(lines)
    return (whole[:begin] + after.encode() + whole[end:]).decode()


def _changed(node: ast.expr) -> Iterator[ast.expr]:
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _COMPARISONS:
        other = copy.copy(node)
        other.ops = [_COMPARISONS[type(node.ops[0])]()]
        yield other
    elif isinstance(node, ast.BoolOp):
        other_op = copy.copy(node)
        other_op.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield other_op
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield node.operand
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int) and node.value < _LARGE:
        yield ast.Constant(node.value + 1)
    elif isinstance(node, ast.IfExp):
        yield node.body
        yield node.orelse


def _named(tree: ast.Module) -> Iterator[tuple[str, ast.stmt]]:
    """Yield each statement with the name of the function or class around it; outer ones first."""

    def within(node: ast.AST, name: str) -> Iterator[tuple[str, ast.stmt]]:
        for child in ast.iter_child_nodes(node):
            inner = name
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                inner = f"{name}.{child.name}".lstrip(".")
            if isinstance(child, ast.stmt):
                yield inner, child
            yield from within(child, inner)

    return within(tree, "")


def _owners(tree: ast.Module) -> dict[int, _Owner]:
    """Return what each expression belongs to, by the identity of its node."""
    found: dict[int, _Owner] = {}
    in_class = {id(part) for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for part in node.body}
    for name, statement in _named(tree):
        where = name
        if isinstance(statement, ast.Assign | ast.AnnAssign) and (id(statement) in in_class or not name):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            where = f"{name}.{ast.unparse(targets[0])}".lstrip(".")
        for node in ast.walk(statement):
            if isinstance(node, ast.expr):
                # Statements come from the outside in, so the innermost is what stays.
                found[id(node)] = _Owner(where, node.lineno, node.end_lineno or node.lineno)
        for part in ast.iter_child_nodes(statement):
            if isinstance(part, ast.expr):
                whole = _Owner(where, part.lineno, part.end_lineno or part.lineno)
                found |= {id(node): whole for node in ast.walk(part)}
        if isinstance(statement, _FUNCTIONS):
            # What a parameter is by default matters to whoever runs the function, not to whoever defines it.
            body = _Owner(where, statement.body[0].lineno, statement.end_lineno or statement.lineno)
            defaults = [one for one in (*statement.args.defaults, *statement.args.kw_defaults) if one is not None]
            found |= {id(node): body for default in defaults for node in ast.walk(default)}
    return found


def _left_alone(tree: ast.Module) -> set[int]:
    return {id(inner) for node in ast.walk(tree) for part in _without_a_decision(node) for inner in ast.walk(part)}


def _without_a_decision(node: ast.AST) -> list[ast.AST]:
    """Return the parts of a node that a sender without flaws never runs, or whose value changes nothing for it."""
    match node:
        case ast.If(test=test, body=body, orelse=orelse):
            truth = _truth(test)
            return [] if truth is None else [test, *(orelse if truth else body)]
        case ast.IfExp(test=test, body=then, orelse=otherwise):
            truth = _truth(test)
            return [] if truth is None else [test, otherwise if truth else then]
        case ast.BoolOp(values=values) if _truth(node) is not None:
            return [*values]
        case ast.match_case(guard=ast.expr() as guard) if _truth(guard) is False:
            return [node]
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            of_a_flaw = (ast.get_docstring(node) or "").startswith("Flaw")
            return [node] if of_a_flaw else [*node.decorator_list]
        case ast.ClassDef():
            return [*node.decorator_list, *node.keywords]
        case ast.Call(func=ast.Name(id="field")) | ast.JoinedStr():
            return [node]
    return []


def _truth(test: ast.expr) -> bool | None:
    """Return what a condition is for a sender without flaws; None where that depends on more."""
    match test:
        case ast.Attribute(value=owner) if ast.unparse(owner).rpartition(".")[2] == "flaws":
            return False
        case ast.UnaryOp(op=ast.Not(), operand=inner):
            truth = _truth(inner)
            return None if truth is None else not truth
        case ast.BoolOp(op=operator, values=values):
            deciding = isinstance(operator, ast.Or)
            truths = [_truth(value) for value in values]
            if deciding in truths:
                return deciding
            return None if None in truths else not deciding
    return None
