"""An active-attacker test lab for sending mail servers.

The lab builds a small fake Internet, puts an attacker on the path, lets a sending mail server (the *target*) deliver
mail into it, and judges from the record of what happened whether the target kept RFC 8461 (MTA-STS) and its companions.
"""

__version__ = "0.1.0"
