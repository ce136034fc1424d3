#!/bin/sh
# One would guess: a request id of JSON-RPC is a number or a text, 0 is a number, and the SDK's own client counts from 0, so
# that the cancellation of the first request aborts its handler's signal as that of any other.
# What happens: a server of @modelcontextprotocol/sdk 1.32.2 ignores the cancellation of the request with the id 0. It
# takes that of id 1.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund @modelcontextprotocol/sdk@1.32.2 zod@4.6.7 >/dev/null
cat >cancel.mjs <<'JS'
import { readFileSync } from "node:fs";
import { InMemoryTransport } from "@modelcontextprotocol/sdk/inMemory.js";
import { Server } from "@modelcontextprotocol/sdk/server/index.js";
import { CallToolRequestSchema } from "@modelcontextprotocol/sdk/types.js";

const { version } = JSON.parse(readFileSync("node_modules/@modelcontextprotocol/sdk/package.json", "utf8"));
async function isCancelled(id) {
  const [client, transport] = InMemoryTransport.createLinkedPair();
  const server = new Server({ name: "s", version: "1" }, { capabilities: { tools: {} } });
  let signal;
  server.setRequestHandler(CallToolRequestSchema, (_, extra) => {
    signal = extra.signal;
    return new Promise(() => {});
  });
  await server.connect(transport);
  await client.start();
  await client.send({ jsonrpc: "2.0", id, method: "tools/call", params: { name: "t", arguments: {} } });
  await new Promise((resolve) => setTimeout(resolve, 50));
  await client.send({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: id } });
  await new Promise((resolve) => setTimeout(resolve, 50));
  return signal.aborted;
}
const [zero, one] = [await isCancelled(0), await isCancelled(1)];
console.log(`@modelcontextprotocol/sdk ${version}: cancelled with id 1: ${one}, with id 0: ${zero}`);
process.exit(one && !zero ? 0 : 1);
JS
node cancel.mjs
