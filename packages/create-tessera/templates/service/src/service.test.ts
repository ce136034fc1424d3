import assert from "node:assert/strict";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { openService } from "./service.js";

test("the service answers with a quotation and its source", async () => {
  const { server, close } = await openService("docs");
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const answer = await fetch(`http://127.0.0.1:${port}/?q=when+does+the+ferry+leave`).then((reply) => reply.json());
  await close();
  const { text, citations } = answer as { text: string; citations: { path: string }[] };
  assert.match(text, /leaves at noon/);
  assert.equal(citations[0]?.path, "harbour.md");
});
