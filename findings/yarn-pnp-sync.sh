#!/usr/bin/env bash
# yarn's Plug'n'Play puts an own node:fs under every program, so that packages are read from archives.
# One would guess that the files outside of the archives behave as before: they are real files.
# What happens: every FileHandle of node:fs/promises is yarn's own class, and its sync() and datasync() throw
# "Method not implemented", also for a file of the temporary folder. fs.fsyncSync on a descriptor works. So a program that makes
# its files durable by FileHandle.sync runs with nodeLinker: node-modules, and fails with nodeLinker: pnp.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --prefix tools @yarnpkg/cli-dist@4.18.1
yarn=tools/node_modules/@yarnpkg/cli-dist/bin/yarn.js
mkdir app && cd app
echo '{ "name": "app", "private": true, "type": "module" }' > package.json
printf 'nodeLinker: pnp\nenableTelemetry: false\nenableGlobalCache: false\nenableImmutableInstalls: false\n' > .yarnrc.yml
touch yarn.lock
YARN_IGNORE_PATH=1 node "../$yarn" install > /dev/null
cat > try.mjs <<'EOF'
import fs from "node:fs";
import { open } from "node:fs/promises";
const file = await open("file.txt", "w");
await file.write("some text");
for (const name of ["sync", "datasync"])
  console.log(`FileHandle.${name}:`, await Promise.resolve().then(() => file[name]()).then(() => "works", ({ message }) => message));
try {
  fs.fsyncSync(file.fd);
  console.log("fs.fsyncSync: works");
} catch ({ message }) {
  console.log("fs.fsyncSync:", message);
}
await file.close();
EOF
echo "yarn $(node "../$yarn" --version), Node $(node --version)"
echo "--- without Plug'n'Play"; node try.mjs
echo "--- with it"; node --require ./.pnp.cjs try.mjs | tee out.txt
grep -q 'FileHandle.sync: Method not implemented' out.txt
