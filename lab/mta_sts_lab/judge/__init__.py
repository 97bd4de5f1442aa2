"""The judge: a record goes in, verdicts come out. Pure, so that today's judge can re-judge yesterday's record."""

from mta_sts_lab.judge.verdicts import judge, views_of

__all__ = ["judge", "views_of"]
