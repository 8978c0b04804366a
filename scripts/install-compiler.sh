#!/usr/bin/env bash
# The race detector needs a C compiler to link with; Concord itself does not.
set -euo pipefail
command -v "${CC:-gcc}" >/dev/null && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
	echo "install-compiler: the race detector needs a C compiler. Install with: sudo apt-get install gcc libc6-dev" >&2
	exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends gcc libc6-dev >/dev/null
