#!/usr/bin/env node
import { existsSync } from "node:fs";

// in a checkout of the repository an older Node is replaced by a pinned one; elsewhere a line names the oldest that works
const launcher = new URL("../../setup/node.mjs", import.meta.url);
const supported = Number(process.versions.node.split(".")[0]) >= 22;
if (!supported && existsSync(launcher)) await (await import(launcher.href)).onSupportedNode();
else if (!supported) {
  process.stderr.write(`Tessera needs Node 22 or later; this is ${process.version}.\n`);
  process.exit(1);
}
await import("../dist/main.js");
