"""The fetch of a policy (RFC 8461, section 3.3): one GET by HTTPS, and every way in which it can fail."""

from __future__ import annotations

from dataclasses import dataclass

import aiohttp
from yarl import URL

from mta_sts_lab.reference.flaws import Flaws
from mta_sts_lab.reference.https_client import is_named_https
from mta_sts_lab.reference.policy import Policy, PolicyInvalid, parse_policy

#: Octets; the ceiling that RFC 8461, section 3.3 suggests.
LARGEST_BODY = 64 * 1024

#: Only for the flaw that follows redirects.
_MOST_REDIRECTS = 3


@dataclass(frozen=True, slots=True)
class PolicyProblem:
    """Why there is no fresh policy. `result_type` is that of RFC 8460, section 4.3.2.2."""

    result_type: str
    reason: str


class PolicyFetcher:
    """Fetches policies through one HTTP session."""

    def __init__(self, session: aiohttp.ClientSession, flaws: Flaws) -> None:
        self._session = session
        self._flaws = flaws

    async def fetch(self, domain: str) -> Policy | PolicyProblem:
        """GET the policy of a policy domain."""
        try:
            body = await self._body(URL(f"https://mta-sts.{domain}/.well-known/mta-sts.txt"))
        except aiohttp.ClientConnectorCertificateError as error:
            reason = getattr(error.certificate_error, "verify_message", "") or str(error.certificate_error)
            return PolicyProblem("sts-webpki-invalid", str(reason))
        except aiohttp.ClientConnectorSSLError as error:
            return PolicyProblem("sts-policy-fetch-error", f"TLS failed: {error.strerror or error}")
        except TimeoutError:
            return PolicyProblem("sts-policy-fetch-error", "timed out")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return PolicyProblem("sts-policy-fetch-error", str(error) or type(error).__name__)
        if isinstance(body, PolicyProblem):
            return body
        try:
            return parse_policy(body, self._flaws)
        except PolicyInvalid as error:
            return PolicyProblem("sts-policy-invalid", str(error))

    async def _body(self, url: URL) -> bytes | PolicyProblem:
        flaws = self._flaws
        headers = {"If-None-Match": '"known"'} if flaws.asks_conditionally else {}
        if flaws.asks_with_head_first:
            async with self._session.head(url, allow_redirects=False):
                pass
        for _ in range(_MOST_REDIRECTS):
            async with self._session.get(url, allow_redirects=False, headers=headers) as response:
                location = response.headers.get("Location", "")
                if self._flaws.follows_redirects and 300 <= response.status < 400 and location:
                    url = url.join(URL(location))
                    if not is_named_https(url):
                        return PolicyProblem("sts-policy-fetch-error", f"redirected to {url}")
                    continue
                return await self._accepted(response)
        return PolicyProblem("sts-policy-fetch-error", "redirected too often")

    async def _accepted(self, response: aiohttp.ClientResponse) -> bytes | PolicyProblem:
        if response.status != 200 and not self._flaws.ignores_http_status:
            return PolicyProblem("sts-policy-fetch-error", f"HTTP status {response.status}")
        # Parameters, a charset say, are ignored (RFC 8461, section 3.2).
        media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if media_type != "text/plain" and not self._flaws.ignores_media_type:
            return PolicyProblem("sts-policy-fetch-error", f"media type {media_type or 'missing'}, not text/plain")
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > LARGEST_BODY:
                return PolicyProblem("sts-policy-fetch-error", f"more than {LARGEST_BODY} octets")
        return bytes(body)
