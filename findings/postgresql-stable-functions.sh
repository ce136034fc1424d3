#!/bin/sh
# One would guess: a function that PostgreSQL's catalogue calls STABLE "cannot modify the database", so that a list of
# the functions which are not VOLATILE is a list of functions that only give a value.
# What happens: txid_current() is STABLE and assigns a transaction number, which is written to the log;
# pg_timezone_names() and pg_available_extensions() are STABLE and read the server's files; table_to_xml() is STABLE and
# reads any table by its name. They also run in a transaction that can only read.
# Needs an installed PostgreSQL (initdb, postgres, psql), of any version from 13 on; as root, the user "postgres".
set -eu
programs=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1)
PATH="${programs:-}:$PATH"
folder=$(mktemp -d)
as() { if [ "$(id -u)" = 0 ]; then su postgres -s /bin/sh -c "PATH='$PATH'; cd '$folder'; $1"; else sh -c "cd '$folder'; $1"; fi; }
[ "$(id -u)" = 0 ] && chown postgres "$folder"
trap 'as "pg_ctl -D data stop -m immediate" >/dev/null 2>&1; rm -rf "$folder"' EXIT
as "initdb -D data -U me -A trust --no-sync" >/dev/null
as "pg_ctl -D data -w -l log -o \"-k '$folder' -c listen_addresses=''\" start" >/dev/null
ask() { psql -h "$folder" -U me -d postgres -AtqXc "$1"; }
ask "SHOW server_version"
for name in txid_current pg_timezone_names pg_available_extensions table_to_xml; do
  kind=$(ask "SELECT DISTINCT provolatile FROM pg_proc WHERE proname = '$name'")
  echo "$name: provolatile = $kind"
  [ "$kind" = s ] || { echo "changed: $name is no longer stable"; exit 1; }
done
one=$(ask "BEGIN READ ONLY; SELECT txid_current(); COMMIT")
two=$(ask "BEGIN READ ONLY; SELECT txid_current(); COMMIT")
echo "transaction numbers taken by two transactions that can only read: $one, $two"
[ "$two" -gt "$one" ] || { echo "changed: no number was taken"; exit 1; }
echo "time zones that a stable function read from files: $(ask 'BEGIN READ ONLY; SELECT count(*) FROM pg_timezone_names(); COMMIT')"
