"""Mutation of the reference sender: small changes to its decisions, each played against the scenarios that concern it.

`python -m tests.mutants --minutes 10` goes on where the last call stopped, lists the survivors, and ends with status 1 if
there is one that `mutants_explained.toml` does not explain. What was played is kept in `.mutants.json`, by the text of
the change, so that a mutant is played again only when its line has changed. Code of the flaws is left as it is.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib.util
import json
import random
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TOP = Path(__file__).parents[1]
SOURCES = TOP / "lab/mta_sts_lab/reference"
KEPT = TOP / ".mutants.json"
EXPLAINED = Path(__file__).with_name("mutants_explained.toml")

#: The modules in which the sender decides something, and the scenarios that concern each.
CONCERNED = {
    "policy": ("policy/*", "discovery/*", "mx/*"),
    "discovery": ("discovery/*", "policy/*"),
    "delivery": ("mx/*", "starttls/strip", "certificate/swapped-untrusted", "rpt-content/fail-over"),
    "session": ("starttls/*", "certificate/*"),
    "tls": ("certificate/*", "starttls/tls-downgraded", "policy/host-*"),
    "https_client": ("policy/*", "rpt-content/policy-*", "rpt-content/fetch-errors"),
    "report_counts": ("rpt-content/*", "rpt-schema/*", "rpt-mail/two-days"),
    "report_record": ("rpt-dns/*",),
}

#: Seconds for one mutant. One that takes longer may wait for what never comes, or for a busy machine: unproved.
LONGEST_PLAY = 150.0

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


@dataclass(frozen=True)
class Mutant:
    """One changed expression of one module. `source` is the whole module with the change."""

    module: str
    line: int
    before: str
    after: str
    source: str

    @property
    def key(self) -> str:
        """What it is known by, wherever its line has moved to."""
        return f"{self.module}: {self.before} -> {self.after}"


def mutants(module: str) -> Iterator[Mutant]:
    """Yield every mutant of a module."""
    tree = ast.parse((SOURCES / f"{module}.py").read_text(encoding="utf-8"))
    of_flaws = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "flaws" in ast.unparse(node.test)
        for part in node.body
        for inner in ast.walk(part)
    }
    for node in list(ast.walk(tree)):
        if not isinstance(node, ast.expr) or id(node) in of_flaws or "flaws" in ast.unparse(node):
            continue
        for changed in _changed(node):
            before = ast.unparse(node)
            kept = copy.copy(node.__dict__)
            node.__dict__.update(changed.__dict__)
            node_class, node.__class__ = node.__class__, changed.__class__
            source, after = ast.unparse(ast.fix_missing_locations(tree)), ast.unparse(node)
            node.__class__ = node_class
            node.__dict__.clear()
            node.__dict__.update(kept)
            yield Mutant(module, node.lineno, before, after, source)


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
    elif isinstance(node, ast.Constant) and isinstance(node.value, int):
        yield ast.Constant(node.value + 1)
    elif isinstance(node, ast.IfExp):
        yield node.body
        yield node.orelse


def play_mutant(module: str, source: str) -> str:
    """Play a mutant in this process. Return `killed`, `survived` or `unproved`: cases stayed inconclusive."""
    name = f"mta_sts_lab.reference.{module}"
    spec = importlib.util.spec_from_loader(name, loader=None, origin=str(SOURCES / f"{module}.py"))
    assert spec is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[name] = made
    exec(compile(source, f"<mutant of {module}>", "exec"), made.__dict__)

    from mta_sts_lab.model import Grade
    from mta_sts_lab.runs import load_shipped_catalogue

    from tests.playing import play

    catalogue = load_shipped_catalogue()
    cases = catalogue.find(CONCERNED[module])
    with tempfile.TemporaryDirectory() as out:
        verdicts = play(catalogue, cases, Path(out)).verdicts
        grades = {verdict.grade for verdict in verdicts}
        grades |= {found.grade for verdict in verdicts for found in verdict.of_the_run}
    if grades & {Grade.FAIL, Grade.WEAK, Grade.INFO, Grade.LAB_ERROR}:
        return "killed"
    return "survived" if grades <= {Grade.PASS} else "unproved"


def _played(mutant: Mutant) -> str:
    """Play a mutant in a process of its own: it may break anything."""
    command = [sys.executable, "-m", "tests.mutants", "--play", mutant.module]
    try:
        ended = subprocess.run(
            command, input=mutant.source, capture_output=True, text=True, timeout=LONGEST_PLAY, cwd=TOP, check=False
        )
    except subprocess.TimeoutExpired:
        return "unproved"
    # Whatever cannot even be started is found at once.
    return ended.stdout.strip().rpartition("\n")[2] if ended.returncode == 0 else "killed"


def _told(known: dict[str, str], found: list[Mutant]) -> int:
    explained = {one["mutant"] for one in tomllib.loads(EXPLAINED.read_text(encoding="utf-8")).get("explained", ())}
    results = [known[one.key] for one in found if one.key in known]
    alive = [one for one in found if known.get(one.key) in ("survived", "unproved")]
    print(f"{len(results)} of {len(found)} mutants played: {results.count('killed')} killed, {len(alive)} not")
    unexplained = [one for one in alive if one.key not in explained]
    for one in alive:
        word = "explained" if one.key in explained else known[one.key]
        print(f"{word:10} {one.module}.py:{one.line}  {one.before}  ->  {one.after}")
    return 1 if unexplained else 0


def main() -> int:
    """Play mutants for some minutes, in an order that is the same each time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long to go on at most")
    parser.add_argument("--play", metavar="MODULE", help="play the mutant of a module that comes on standard input")
    options = parser.parse_args()
    if options.play:
        print(play_mutant(options.play, sys.stdin.read()))
        return 0
    found = list({one.key: one for module in CONCERNED for one in mutants(module)}.values())
    known: dict[str, str] = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    waiting = [one for one in found if known.get(one.key, "unproved") == "unproved"]
    random.Random(8461).shuffle(waiting)
    end = time.monotonic() + options.minutes * 60
    for mutant in waiting:
        if time.monotonic() >= end:
            break
        known[mutant.key] = _played(mutant)
        KEPT.write_text(json.dumps(known, indent=1, sort_keys=True), encoding="utf-8")
        print(f"{known[mutant.key]:10} {mutant.key}", flush=True)
    return _told(known, found)


if __name__ == "__main__":
    sys.exit(main())
