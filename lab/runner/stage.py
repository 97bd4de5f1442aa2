"""What cases are played on, and what ends the play."""

from __future__ import annotations

import random
from dataclasses import dataclass

from lab.attacks.campaign import Campaign
from lab.record import Recorder
from lab.runner.patience import Patience
from lab.runner.queue_watch import QueueWatch
from lab.targets.contract import About, Target
from lab.world.internet import Internet


class LabBroken(Exception):
    """The lab itself failed: there is no use in playing on, and what came of it would be blamed on the target."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything that cases are played on."""

    target: Target
    about: About
    internet: Internet
    campaign: Campaign
    recorder: Recorder
    watch: QueueWatch
    patience: Patience
    random: random.Random
