"""The host from which the lists of revoked certificates are had, by plain HTTP: a list is signed, and needs no TLS."""

from __future__ import annotations

from collections.abc import Sequence

from mta_sts_lab.events import RevocationListRequested
from mta_sts_lab.model.world import WITH_REVOCATION_LIST
from mta_sts_lab.world.host import HTTP_PORT, Document, HostServices, HttpHost
from mta_sts_lab.world.path import Accepted
from mta_sts_lab.world.revocation_lists import list_path

#: RFC 2585, section 4.2.
_MEDIA_TYPE = "application/pkix-crl"

_NO_LIST = Document(b"There is no such list.\n", status=404)


class RevocationHost(HttpHost):
    """Serves the lists of the run's authority (RFC 5280, section 4.2.1.13; RFC 2585, section 3)."""

    def __init__(self, services: HostServices, case: str, name: str, addresses: Sequence[str]) -> None:
        super().__init__(services, case, "revocation-host", name, addresses, HTTP_PORT)

    def _document(self, method: str, path: str, accepted: Accepted) -> Document:
        variant = next((one for one in WITH_REVOCATION_LIST if path == list_path(one)), "")
        found = self._services.certificates.authority.revocation_list(variant) if variant else None
        answer = _NO_LIST if found is None else Document(found, _MEDIA_TYPE)
        fact = RevocationListRequested(session=accepted.session, method=method, path=path, status=answer.status)
        accepted.recorder.write(fact, self.case)
        return answer
