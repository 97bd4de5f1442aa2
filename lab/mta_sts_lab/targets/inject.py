"""How mail is handed to a target: `[inject]` of its `target.toml`, from plain relay to submission with a password.

Only the lab's own mail goes this way, from the lab's container straight to the target's address, where no attacker
stands and nothing is judged. So the target's certificate is not verified: the CA of the run signs for the world's
hosts, its key never reaches a target, and what an image shows on its submission port is of its own making.
"""

from __future__ import annotations

from typing import Annotated

import msgspec


class Inject(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where and how a target takes mail from the lab. Raises `ValueError` for what does not fit together."""

    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 25
    #: Whether STARTTLS comes first (RFC 3207). The certificate may be any.
    starttls: bool = False
    #: For AUTH PLAIN (RFC 4954, RFC 4616); empty: nobody logs in. It is no secret: it opens a container of one run.
    user: str = ""
    password: str = ""

    def __post_init__(self) -> None:
        if self.user and not self.password:
            raise ValueError("`user` needs a `password` beside it")
        if self.password and not self.user:
            raise ValueError("`password` needs a `user` beside it")
        if self.user and not self.starttls:
            raise ValueError("`user` and `password` need `starttls = true`: AUTH PLAIN is said inside TLS only")
        if not f"{self.user}{self.password}".isprintable():
            raise ValueError("`user` and `password` may not hold control characters")
