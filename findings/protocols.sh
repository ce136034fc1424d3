#!/bin/sh
# What outside software does on valid input that one would guess otherwise. Exits with 0 while it is so.
#
# 1. @modelcontextprotocol/sdk 1.32.2: a server ignores the cancellation of the request with the id 0.
#    One would guess: JSON-RPC ids are numbers or texts, 0 is the first id that the SDK's own client gives, and its
#    cancellation aborts the handler's signal as that of any other. It does for 1; for 0 nothing happens.
# 2. Node's http server: `headersTimeout` alone does not end a slow head in that time.
#    One would guess: with headersTimeout 200 a head that does not come is cut off after 200 ms. Connections are looked at every
#    30 seconds unless `connectionsCheckingInterval` says otherwise, so that it lives up to 30 seconds longer.
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
cat >head.mjs <<'JS'
import { createServer } from "node:http";
import { connect } from "node:net";

async function livesAfter(ms, options) {
  const server = createServer(options, () => {});
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const socket = connect(server.address().port, "127.0.0.1");
  socket.on("error", () => {});
  socket.resume();
  socket.write("GET / HTTP/1.1\r\nhost: x\r\n");
  await new Promise((resolve) => setTimeout(resolve, ms));
  const lives = !socket.readableEnded && !socket.destroyed;
  socket.destroy();
  server.close();
  return lives;
}
const alone = await livesAfter(3000, { headersTimeout: 200, requestTimeout: 200 });
const looked = await livesAfter(3000, { headersTimeout: 200, requestTimeout: 200, connectionsCheckingInterval: 50 });
console.log(`node ${process.version}: a head that may take 200 ms lives after 3 s: ${alone}; looked at every 50 ms: ${looked}`);
process.exit(alone && !looked ? 0 : 1);
JS
node head.mjs
