#!/usr/bin/env node
const [major] = process.versions.node.split(".").map(Number);
if (major < 22) {
  console.error(`Tessera needs Node >= 22; this is ${process.version}.`);
  process.exit(1);
}
const { main } = await import("../dist/main.js");
process.exitCode = await main(process.argv.slice(2));
