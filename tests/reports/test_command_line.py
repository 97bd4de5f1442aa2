"""What a command line decides is kept, and can be pasted again."""

from __future__ import annotations

from mta_sts_lab.reports.command_line import deciding_options, repeat_command, what_is_tested


def test_the_command_is_safe_to_paste() -> None:
    assert repeat_command("a/b[enforce]") == "sts-lab run 'a/b[enforce]'"
    served = deciding_options(("sts-lab", "serve", "--network", "mail", "--container", "mta", "--ca", "ca.pem", "a/*"))
    assert repeat_command("a/b", served) == "sts-lab serve a/b --network mail --container mta --ca ca.pem"
    assert repeat_command("a'; rm -rf ~ #", ("--target", "x y")) == "sts-lab run 'a'\"'\"'; rm -rf ~ #' --target 'x y'"


def test_a_pair_of_command_lines_tests_the_same_thing_or_another() -> None:
    typed = ("sts-lab", "run", "starttls/*", "--target", "postfix", "--config", "main.cf", "--mode", "enforce")
    assert what_is_tested(typed) == ("--config main.cf", "--target postfix")
    assert what_is_tested(("sts-lab", "run", "--config=main.cf", "--target=postfix", "--jobs", "2")) == what_is_tested(
        typed
    )
    assert what_is_tested((*typed, "--black-box")) != what_is_tested(typed)
    assert what_is_tested(("sts-lab", "run", "--target", "reference")) == what_is_tested(("sts-lab", "run"))
    one_over_another = ("--config", "a", "--config", "b"), ("--config", "b", "--config", "a")
    assert what_is_tested(one_over_another[0]) != what_is_tested(one_over_another[1])
    # A program may be built elsewhere the next time.
    assert what_is_tested(("sts-lab", "run", "--command", "./a")) == what_is_tested(
        ("sts-lab", "run", "--command", "./b")
    )
