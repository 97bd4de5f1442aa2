dnl What the lab sets beside Debian's packaged settings and MTA-STS, and why.
dnl
dnl The host's name: it is not looked up. The entry point puts the one of the run in its place.
define(`confDOMAIN_NAME', `mta.sender.example')dnl
dnl
dnl The load of the machine that the containers run on is none of this mail server's: sendmail would put off deliveries,
dnl or refuse connections, for what others do there.
define(`confQUEUE_LA', `1000')dnl
define(`confREFUSE_LA', `1000')dnl
