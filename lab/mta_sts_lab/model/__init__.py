"""The words of the lab, as frozen data. Each word means one thing; docs/glossary.md explains them.

A *scenario* is a story. A *case* is a scenario under one policy mode and, where the scenario lists them, one vector. A
*step* is a phase of a case. An *outcome* is what happened to one message in one step. A *verdict* is the
result of a case, made of *judgements*, each on one obligation.
"""
