#!/usr/bin/env bash
# a PostgreSQL with pgvector for the tests: of the distribution where it has one, else the one that the Python package
# pgserver ships, unpacked beside the system, where the user that PostgreSQL runs as may read it
set -eu
ls /usr/share/postgresql/*/extension/vector.control >/dev/null 2>&1 && exit
root=()
folder=/opt/tessera/pgvector
if [ "$(id -u)" != 0 ]; then
  root=(sudo -n)
  folder="${XDG_CACHE_HOME:-$HOME/.cache}/tessera/pgvector"
fi
[ -x "$folder/pgserver/pginstall/bin/postgres" ] && exit
version=$(ls /usr/lib/postgresql 2>/dev/null | sort -n | tail -n 1)
if [ -n "$version" ] && command -v apt-get >/dev/null; then
  timeout 300 ${root[@]+"${root[@]}"} apt-get install -y --no-install-recommends "postgresql-$version-pgvector" && exit
fi
timeout 300 python3 -m pip install --quiet --no-deps --target "$folder" pgserver==0.1.4
"$folder/pgserver/pginstall/bin/postgres" --version
