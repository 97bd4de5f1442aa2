dnl MTA-STS. Debian packages all of it and sets up none.
dnl
dnl TLS as a client and as a server, with Debian's own settings and the certificates that its package made.
include(`/etc/mail/tls/starttls.m4')dnl
dnl The policies, from postfix-mta-sts-resolver. The feature looks for it on port 5461 if it is not told otherwise;
dnl Debian's package of the resolver listens on 8461. The feature waits for five seconds (-d5). With 48 cases at once
dnl on a machine that others use the resolver was seen to take longer, and sendmail, which asks it before STARTTLS, then
dnl left out STARTTLS: mail to a domain in mode testing went out in clear. That is sendmail's way with an overload, but
dnl not what the cases are about.
FEATURE(`sts', `socket -d45 -T<TMPF> inet:8461@127.0.0.1')dnl
