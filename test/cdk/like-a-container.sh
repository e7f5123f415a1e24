#!/bin/sh
# Runs a program as Fargate runs a container: alone with its processes, in folders that are its own, with the
# capabilities of a container, behind an init where INIT is `true`. Root, util-linux.
#   unshare --mount --pid --fork --kill-child --mount-proc sh like-a-container.sh CONFIGURATION PORT PROGRAM [ARGUMENT...]
set -eu
mount -t tmpfs tmpfs /run
mkdir /run/etc
cp -a /etc/. /run/etc
mount --bind /run/etc /etc
# Uid 1000 is free in the image, whoever has it here.
sed -i '/^[^:]*:[^:]*:1000:/d' /etc/passwd /etc/group
# As through the access point: everything is of uid 1000, whoever makes it.
mount -t tmpfs tmpfs /srv
mkdir -p /srv/ftp/in /srv/ftp/done /srv/ftp/rejected /srv/ftp/out
chown -R 1000:1000 /srv/ftp
# Later lines win, so the file is read as it is and only the address differs.
cp "$1" /etc/vsftpd.conf
printf 'listen_address=127.0.0.1\nlisten_port=%s\n' "$2" >>/etc/vsftpd.conf
shift 2

contained() {
  exec setpriv --bounding-set=-all,+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap,+net_bind_service,+net_raw,+sys_chroot,+mknod,+audit_write,+setfcap "$@"
}
[ "$INIT" = true ] || contained "$@"
# What the init of ECS does: passes SIGTERM on, and takes in processes that lost their parent.
contained sh -c '
  trap "kill -TERM \$main" TERM
  "$@" & main=$!
  until wait "$main" || ! kill -0 "$main" 2>/dev/null; do :; done' init "$@"
