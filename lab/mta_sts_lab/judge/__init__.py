"""The judge: a record goes in, verdicts come out. Pure, so that today's judge can re-judge yesterday's record."""

from mta_sts_lab.judge.verdicts import judge, rests_on_other_cases, views_of

__all__ = ["judge", "rests_on_other_cases", "views_of"]
