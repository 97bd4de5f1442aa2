"""Exercises for learners: what they are, how one is started, and how an answer is checked.

An exercise is a folder:

- `exercise.toml`: number, title, task, hints, how long it takes, and what is checked (a table for each kind);
- `solution.toml`: the solution in words, the answers, and the flaw of the sender, if it has one. Nobody reads it in
  passing, because it is in a file of its own;
- `files/`: what the learner is given; `solved/`: the same files as they should become.

A new exercise is a new folder. A new kind of check is one file in `kinds`.
"""

from mta_sts_lab.exercises.exercise import Exercise, find_exercise, shipped_exercises
from mta_sts_lab.exercises.work import check_work, start_work

__all__ = ["Exercise", "check_work", "find_exercise", "shipped_exercises", "start_work"]
