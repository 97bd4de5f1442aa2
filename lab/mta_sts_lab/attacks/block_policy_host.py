"""block_policy_host: nobody reaches the policy host.

On the wire, by `how`: with `refuse` a connection to port 443 is refused; with `reset` it is accepted and broken with a
TCP reset; with `stall` it is accepted and nothing is ever said.

What it proves: whether a cached policy outlives its host, whether the sender waits for a fetch for ever, and whether it
asks again and again. An attacker who can strip STARTTLS can also block HTTPS.

A careful sender with an unexpired policy goes on honouring it (RFC 8461, section 3.3), does not wait longer than its
mail can (a minute is suggested there) and then leaves the host alone for five; without a policy it delivers as without
MTA-STS.
"""

from __future__ import annotations

from mta_sts_lab.attacks.toolkit.attack import Block, Parameters, https_attack


@https_attack("lets nobody reach the policy host", {"how": ("refuse", "reset", "stall")})
def block_policy_host(parameters: Parameters) -> Block:
    """Block it that way."""
    return Block(str(parameters["how"]))
