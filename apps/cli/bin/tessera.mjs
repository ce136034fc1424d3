#!/usr/bin/env node
import { existsSync } from "node:fs";

// in a checkout of the repository an older Node is replaced by a pinned one; elsewhere a line names the oldest that works
const launcher = new URL("../../setup/node.mjs", import.meta.url);
const [major, minor] = process.versions.node.split(".").map(Number);
const supported = major > 22 || (major === 22 && minor >= 12);
if (!supported && existsSync(launcher)) {
  const { onSupportedNode } = await import(launcher.href);
  await onSupportedNode().catch(({ message }) => {
    process.stderr.write(`${message}\n`);
    process.exit(1);
  });
} else if (!supported) {
  process.stderr.write(`Tessera needs Node 22.12 or later; this is ${process.version}.\n`);
  process.exit(1);
}
await import("../dist/main.js");
