"""What cases are played on, and what ends the play."""

from __future__ import annotations

import random
from dataclasses import dataclass

from mta_sts_lab.attacks.toolkit.controller import AttackController
from mta_sts_lab.model import About
from mta_sts_lab.record import Recorder
from mta_sts_lab.runner.queue_watch import QueueWatch
from mta_sts_lab.runner.run_timeouts import Timeouts
from mta_sts_lab.targets.contract import Target
from mta_sts_lab.world.internet import Internet


class LabBroken(Exception):
    """The lab itself failed: there is no use in playing on, and what came of it would be blamed on the target."""


@dataclass(frozen=True, slots=True)
class RunContext:
    """Everything that cases are played on."""

    target: Target
    about: About
    internet: Internet
    attack_controller: AttackController
    recorder: Recorder
    watch: QueueWatch
    timeouts: Timeouts
    random: random.Random
