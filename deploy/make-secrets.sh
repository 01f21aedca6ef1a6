#!/bin/sh
# Makes the secrets that compose.yaml and the manifests mount, a file each.  None that is there already is replaced.
#
#   deploy/make-secrets.sh [DIRECTORY]        (deploy/secrets)
#
# The directory is its owner's alone.  The files are not: Compose mounts them as they are, and the service, which is
# nobody's user on this machine, must be able to read them.
set -eu

directory=${1:-$(dirname "$0")/secrets}
(umask 077 && mkdir -p "$directory")
cd "$directory"
umask 022

random() { head -c 36 /dev/urandom | base64 | tr '+/' '-_'; } # fits into a URL, and holds no comma

[ -e signing-keys ] || random >signing-keys
[ -e admin-token ] || echo "tl_admin_$(random)" >admin-token
[ -e redis.conf ] || echo "requirepass $(random)" >redis.conf
[ -e redis-url ] || echo "redis://:$(sed -n 's/^requirepass //p' redis.conf)@tokenlife-redis:6379/0" >redis-url
