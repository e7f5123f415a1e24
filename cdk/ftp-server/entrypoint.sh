#!/bin/sh
# Makes the one user, writes certificate and key, and becomes vsftpd, under an init that the task definition asks for: as
# process 1 vsftpd is deaf to SIGTERM and crashes when it inherits a process it has not made, as every session leaves one.
set -eu
: "${FTP_USERNAME:?}" "${FTP_PASSWORD:?}" "${TLS_CERT:?}" "${TLS_KEY:?}" "${PASSIVE_PORT_MIN:?}" "${PASSIVE_PORT_MAX:?}"
umask 077
printf '%s' "$TLS_CERT" > /run/vsftpd.pem
printf '%s' "$TLS_KEY" > /run/vsftpd.key
# Uid and gid are those of the access point, whatever the files were made with.
id "$FTP_USERNAME" >/dev/null 2>&1 || useradd --uid 1000 --home-dir /srv/ftp --no-create-home --shell /bin/sh "$FTP_USERNAME"
printf '%s:%s\n' "$FTP_USERNAME" "$FTP_PASSWORD" | chpasswd
for folder in in done rejected out; do
  mkdir -p "/srv/ftp/$folder"
done
mkdir -p /run/vsftpd/empty
unset FTP_PASSWORD TLS_KEY
exec vsftpd /etc/vsftpd.conf \
  -opam_service_name=vsftpd \
  -orsa_cert_file=/run/vsftpd.pem \
  -orsa_private_key_file=/run/vsftpd.key \
  -opasv_min_port="$PASSIVE_PORT_MIN" \
  -opasv_max_port="$PASSIVE_PORT_MAX"
