from __future__ import annotations

import pytest
from mta_sts_lab.model.case import Message, Mode
from mta_sts_lab.model.world import MxHost, World
from mta_sts_lab.rfc.require_tls import (
    goes_without_tls,
    header_fields,
    requiretls_demand,
    tls_required_values,
    waives_tls,
)


@pytest.mark.parametrize(
    ("fields", "waived"),
    [
        (["TLS-Required: No"], True),
        (["tls-required:No"], True),
        (["TLS-Required:\r\n No"], True),
        (["TLS-Required: no"], True),
        (["TLS-Required: Yes"], False),
        (["TLS-Required: No", "TLS-Required: No"], False),
        (["X-TLS-Required: No"], False),
        (["Subject: TLS-Required: No"], False),
        ([], False),
    ],
)
def test_one_field_that_says_no_waives_tls(fields: list[str], waived: bool) -> None:
    assert waives_tls(fields) is waived


def test_the_option_overrides_the_header() -> None:
    assert goes_without_tls(Message(header=("TLS-Required: No",)))
    assert not goes_without_tls(Message(requiretls=True, header=("TLS-Required: No",)))


def test_the_header_section_ends_at_the_first_empty_line() -> None:
    message = b"Subject: one\r\n two\r\nTLS-Required:\r\n No\r\n\r\nTLS-Required: Yes\r\n"
    assert header_fields(message) == ("Subject: one\r\n two", "TLS-Required:\r\n No")
    assert tls_required_values(header_fields(message)) == ("No",)


def test_a_signature_or_a_policy_vouches_for_a_name() -> None:
    world = World(mx=(MxHost("mx1", requiretls="inside-tls"), MxHost("mx2", requiretls="in-clear")))
    nothing = requiretls_demand(world, Mode.NONE, "d.example", None)
    assert nothing.announcing == ("mx1.d.example",)
    assert not nothing.proves("mx1.d.example")
    listed = requiretls_demand(world, Mode.ENFORCE, "d.example", ("mx1.d.example",))
    assert listed.proves("mx1.d.example")
    assert not listed.proves("mx2.d.example")
