#!/usr/bin/env bash
# @zilliz/milvus2-sdk-node 3.0.6 with Milvus Lite 3.2.2.
# One would guess: `await client.search(…)` throws where the server refuses it, for instance since the collection was released
# from memory, as a call of most database clients does, and as `connectPromise` of the same client does where nobody answers.
# What happens: the promise resolves. The answer has `results: []`, just as where nothing is near; only `status.error_code`
# tells the two apart. Code that reads `results` alone tells its users that there is nothing, while the search never ran.
set -euo pipefail
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts --save-exact @zilliz/milvus2-sdk-node@3.0.6
python3 -m venv venv
venv/bin/pip install --quiet milvus-lite==3.2.2 pymilvus==3.0.2
port=$(venv/bin/python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
venv/bin/milvus-lite server --data-dir data --host 127.0.0.1 --port "$port" >server.log 2>&1 &
server=$!
cat >program.mjs <<'PROGRAM'
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { DataType, MilvusClient } from "@zilliz/milvus2-sdk-node";

const port = Number(process.argv[2]);
const answers = () =>
  new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => resolve(true)).on("error", () => resolve(false));
    socket.on("connect", () => socket.destroy());
  });
for (let tries = 0; !(await answers()) && tries < 600; tries++) await sleep(100);
const client = new MilvusClient({ address: `127.0.0.1:${port}`, ssl: false, logLevel: "error" });
await client.connectPromise;
const fields = [
  { name: "id", data_type: DataType.Int64, is_primary_key: true },
  { name: "vector", data_type: DataType.FloatVector, dim: 2 },
];
const index_params = [{ field_name: "vector", index_type: "AUTOINDEX", metric_type: "IP" }];
await client.createCollection({ collection_name: "birds", fields, index_params });
await client.loadCollection({ collection_name: "birds" });
await client.insert({ collection_name: "birds", data: [{ id: 1, vector: [1, 0] }] });
for (const state of ["loaded", "released"]) {
  if (state === "released") await client.releaseCollection({ collection_name: "birds" });
  const asked = { collection_name: "birds", anns_field: "vector", data: [1, 0], limit: 3 };
  const { status, results } = await client.search(asked);
  const said = status.error_code === "Success" ? "Success" : "an error in its status";
  console.log(`${state}: resolved with ${results.length} results, ${said}`);
}
await client.closeConnection();
PROGRAM
output=$(node program.mjs "$port")
echo "$output"
test "$output" = "loaded: resolved with 1 results, Success
released: resolved with 0 results, an error in its status"
