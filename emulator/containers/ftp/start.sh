#!/bin/bash
# Makes the file that logins are checked against, in memory, and becomes the server.
set -euo pipefail
value() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" /run/baton/ftp.json; }
username=$(value username)
: "${username:?/run/baton/ftp.json names no user}"
install -d -m 0755 /run/vsftpd /run/vsftpd/empty
(umask 077 && printf '%s:%s\n' "$username" "$(value password | openssl passwd -6 -stdin)" >/run/vsftpd/logins)
exec vsftpd /etc/baton/vsftpd.conf
