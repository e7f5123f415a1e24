#!/bin/bash
# Makes the file that logins are checked against, in memory, and becomes the server, with one virtual user, who is `files` on disk.
set -euo pipefail
value() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" /run/baton/ftp.json; }
username=$(value username)
: "${username:?/run/baton/ftp.json names no user}"
install -d -m 0755 /run/vsftpd /run/vsftpd/empty
(umask 077 && printf '%s:%s\n' "$username" "$(value password | openssl passwd -6 -stdin)" >/run/vsftpd/logins)
exec vsftpd /etc/vsftpd.conf \
  -opam_service_name=baton-ftp \
  -oguest_enable=YES \
  -oguest_username=files \
  -ovirtual_use_local_privs=YES \
  -orsa_cert_file=/run/baton/cert.pem \
  -orsa_private_key_file=/run/baton/key.pem \
  -opasv_min_port=7440 \
  -opasv_max_port=7449
