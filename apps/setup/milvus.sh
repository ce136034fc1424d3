#!/usr/bin/env bash
# a Milvus for the tests: Milvus Lite, the engine of one process, as the Python package has it, unpacked beside the system
set -eu
folder=/opt/tessera/milvus
[ "$(id -u)" = 0 ] || folder="${XDG_CACHE_HOME:-$HOME/.cache}/tessera/milvus"
program="$folder/bin/milvus-lite"
[ -x "$program" ] && exec "$program" --help >/dev/null
python3 -m venv "$folder"
timeout 600 "$folder/bin/python" -m pip install --quiet milvus-lite==3.2.2 pymilvus==3.0.2
"$program" --help >/dev/null
