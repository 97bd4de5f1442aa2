#!/bin/sh
# Make the base image `debian:trixie-slim` out of Debian's own archive, for machines that cannot reach a
# container registry. Everybody else needs nothing of this: `docker build` pulls the image of the same name.
#
#   docker/base/make-base.sh            makes the image unless one of that name is there already
#   docker/base/make-base.sh bookworm   the like for another release of Debian: `debian:bookworm-slim`
#
# The archive's address, and the proxy to it, are those that apt uses on this machine, if apt knows any; on a
# machine without Debian sources it is Debian's own address. The address stays in the image's sources.list.

set -eu

suite=${1:-trixie}
image=debian:$suite-slim

fail() {
    printf 'make-base.sh: %s\n' "$1" >&2
    exit 1
}

need() {
    command -v "$1" >/dev/null 2>&1 || fail "'$1' is missing; on Debian and Ubuntu: apt-get install $2"
}

# Prints the address of the archive that apt labels with $1 (Debian, Debian-Security), or $2 without one.
archive_address() {
    known=
    if command -v apt-get >/dev/null 2>&1; then
        known=$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
            sed -n "s/^$1 //p" | head -n 1)
    fi
    printf '%s\n' "${known:-$2}"
}

# Prints this machine's proxy settings for apt as lines of apt configuration.
proxy_settings() {
    command -v apt-config >/dev/null 2>&1 || return 0
    apt-config dump | grep -E '^Acquire::https?::(Proxy|Proxy-Auto-Detect)(::[^ ]+)? ' || true
}

need docker docker.io
docker version >/dev/null 2>&1 || fail "the Docker engine does not answer; is it running, and may you use it?"

if docker image inspect "$image" >/dev/null 2>&1; then
    printf '%s is there already: nothing to do\n' "$image"
    exit 0
fi

need mmdebstrap mmdebstrap
[ -e /usr/share/keyrings/debian-archive-keyring.gpg ] ||
    fail "Debian's archive keys are missing; on Debian and Ubuntu: apt-get install debian-archive-keyring"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

archive=$(archive_address Debian http://deb.debian.org/debian)
security=$(archive_address Debian-Security http://deb.debian.org/debian-security)
proxy_settings >"$work/proxy.conf"

# The hook removes the proxy settings again: they belong to this machine, not to the image.
printf 'making %s from %s ...\n' "$image" "$archive"
mmdebstrap --quiet --variant=minbase \
    --aptopt="$work/proxy.conf" \
    --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --customize-hook='rm -f "$1/etc/apt/apt.conf.d/99mmdebstrap"' \
    "$suite" "$work/root.tar" \
    "deb $archive $suite main" \
    "deb $archive $suite-updates main" \
    "deb $security $suite-security main" ||
    fail "mmdebstrap could not make a $suite system from $archive (its messages are above)"

docker import --change 'CMD ["bash"]' "$work/root.tar" "$image" >/dev/null ||
    fail "docker import refused the new system"
printf 'made %s\n' "$image"
