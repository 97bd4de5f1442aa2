dnl MTA-STS. Debian packages all of it and sets up none.
dnl
dnl TLS as a client and as a server, with Debian's own settings and the certificates that its package made.
include(`/etc/mail/tls/starttls.m4')dnl
dnl The policies, from postfix-mta-sts-resolver. The feature looks for it on port 5461 if it is not told otherwise;
dnl Debian's package of the resolver listens on 8461.
FEATURE(`sts', `socket -d5 -T<TMPF> inet:8461@127.0.0.1')dnl
