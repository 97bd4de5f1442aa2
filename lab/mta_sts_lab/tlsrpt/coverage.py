"""Which obligations a report shows by itself, and which it cannot: those need a witness of what happened."""

from __future__ import annotations

#: The obligations of reports begin so: RFC 8460, what it takes from RFC 6522, 6376, 7493 and 3339, and what RFC 8461,
#: section 6, asks of reporters.
IN_SCOPE = ("RPT-", "MPR-", "DKIM-", "IJ-", "DT-", "STS-6-02", "STS-6-03")

#: The sentences that the parser itself watches, by their obligations.
NOTED_WHILE_READING = {
    "RPT-4-01": "the-report-is-i-json",
    "RPT-4-02": "the-policies-are-an-array",
    "RPT-4-05": "the-failures-are-an-array",
    "RPT-4.4-01": "the-organization-is-named",
    "RPT-4.4-02": "the-range-has-two-dates",
    "RPT-4.4-04": "a-contact-is-named",
    "RPT-4.4-05": "the-report-has-an-identifier",
    "RPT-4.4-06": "the-policy-has-a-type",
    "RPT-4.4-07": "the-policy-string-is-an-array-of-strings",
    "RPT-4.4-08": "the-policy-has-a-domain",
    "RPT-4.4-10": "the-mx-patterns-are-an-array-of-strings",
    "RPT-4.4-12": "the-successes-are-counted-in-integers",
    "RPT-4.4-13": "the-failures-are-counted-in-integers",
    "RPT-4.4-14": "every-failure-has-a-result-type",
    "RPT-4.4-15": "the-sending-address-is-a-string",
    "RPT-4.4-16": "the-receiving-host-is-a-string",
    "RPT-4.4-17": "the-greeting-is-a-string",
    "RPT-4.4-18": "the-receiving-address-is-a-string",
    "RPT-4.4-19": "every-failure-is-counted-in-integers",
    "RPT-4.4-20": "the-further-information-is-a-string",
    "RPT-4.4-21": "the-reason-is-a-string",
    "RPT-4.5-03": "every-mx-line-stands-for-itself",
    "RPT-5.2-01": "the-gzip-data-is-plain-to-every-reader",
    "IJ-2.1-01": "the-text-is-utf-8",
    "IJ-2.2-01": "the-numbers-fit-into-a-double",
    "IJ-2.3-01": "every-member-has-a-name-of-its-own",
    "MPR-3-01": "the-transfer-encoding-is-clean",
}

_QUERIES = "needs the DNS queries of the reporter"
_DELIVERY = "needs the record of how the report was delivered"
_SESSIONS = "needs the record of sessions"
_SEVERAL = "needs several reports of the same reporter"
_PERMITS = "permits or explains something: a report cannot break it"

#: Obligations of which a report alone shows nothing.
NEEDS_MORE = {
    **dict.fromkeys(("RPT-1.1-01", "RPT-3-01", "RPT-3-02", "RPT-3-03", "RPT-3-04", "RPT-3-14", "RPT-3-15"), _QUERIES),
    **dict.fromkeys(("RPT-3-16", "RPT-3-20", "RPT-3-21"), _QUERIES),
    **dict.fromkeys(("RPT-3-05", "RPT-3-07", "RPT-3-08", "RPT-3-19", "RPT-4.1-02", "RPT-5-01"), _DELIVERY),
    **dict.fromkeys(("RPT-5.3.1-01", "RPT-5.5-01", "RPT-5.5-02"), _DELIVERY),
    **dict.fromkeys(("RPT-3-09", "RPT-5.3-10"), _SEVERAL),
    **dict.fromkeys(("RPT-4.2.1-01", "RPT-4.3.3-01"), _SESSIONS),
    **dict.fromkeys(("RPT-4.3.1-01", "RPT-4.3.1-02", "RPT-4.3.1-03", "RPT-4.3.1-04", "RPT-4.3.1-06"), _SESSIONS),
    **dict.fromkeys(("RPT-4.3.2.1-01", "RPT-4.3.2.1-02", "RPT-4.3.2.1-03"), _SESSIONS),
    **dict.fromkeys(("RPT-4.3.2.2-01", "RPT-4.3.2.2-02", "RPT-4.3.2.2-03"), _SESSIONS),
    **dict.fromkeys(("RPT-3-06", "RPT-3-10", "RPT-3-17", "RPT-3-18", "RPT-4-03", "RPT-4-04"), _PERMITS),
    **dict.fromkeys(("RPT-4.3.4-01", "RPT-5.3-01", "RPT-5.4-01", "RPT-5.4-03", "RPT-5.5-03", "RPT-7-01"), _PERMITS),
}

#: Obligations of which a report shows the form; whether it is the truth, somebody else has to know.
JUDGED_IN_PART = {
    **dict.fromkeys(("RPT-4.2.2-01", "RPT-4.4-19", "RPT-4.4-12", "RPT-4.4-13", "RPT-4-05"), f"the truth {_SESSIONS}"),
    **dict.fromkeys(("RPT-4.4-15", "RPT-4.4-16", "RPT-4.4-17", "RPT-4.4-18", "RPT-4.4-14"), f"the truth {_SESSIONS}"),
    **dict.fromkeys(("RPT-4.4-06", "RPT-4.4-07", "RPT-4.4-08", "RPT-4.4-10"), f"the truth {_SESSIONS}"),
    **dict.fromkeys(("RPT-4.5-01", "RPT-4.5-02"), f"the truth {_SESSIONS}"),
    **dict.fromkeys(("STS-6-02", "STS-6-03"), f"whether each failure is listed {_SESSIONS}"),
    "RPT-4.4-05": f"whether it is unique {_SEVERAL}",
}
