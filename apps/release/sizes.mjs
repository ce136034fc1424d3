// npm run release -- sizes: what `npm install` brings, with nothing else and with each optional part, as a table
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { table } from "@tessera/setup/report.mjs";
import { Consumer } from "./consumer.mjs";

/** The packages of an application that npm installed, the bytes of their files, and the bytes that these take on the disk. */
export function sizeOf(folder) {
  const lock = JSON.parse(readFileSync(join(folder, "package-lock.json"), "utf8"));
  const packages = Object.keys(lock.packages).filter((place) => place !== "").length;
  let [bytes, disk] = [0, 0];
  for (const entry of readdirSync(join(folder, "node_modules"), { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const { size, blocks } = statSync(join(entry.parentPath, entry.name));
    bytes += size;
    disk += blocks * 512;
  }
  return { packages, bytes, disk };
}

const megabytes = (bytes) => (bytes / 1e6).toFixed(1);

/** The sizes of @tessera/tessera alone and with each part: `parts` is the table `optionalParts` of core. */
export function sizes(tarballs, parts) {
  const install = (dependencies) => {
    const one = new Consumer(tarballs);
    try {
      one.install("npm", dependencies);
      return sizeOf(one.folder);
    } finally {
      one.remove();
    }
  };
  const base = install({ "@tessera/tessera": "" });
  const rows = [
    { what: "@tessera/tessera", packages: base.packages, MB: megabytes(base.bytes), "on disk": megabytes(base.disk) },
  ];
  const cli = install({ "@tessera/cli": "" });
  rows.push({ what: "@tessera/cli", packages: cli.packages, MB: megabytes(cli.bytes), "on disk": megabytes(cli.disk) });
  for (const { part, packages } of parts) {
    const added = install({ "@tessera/tessera": "", ...packages });
    rows.push({
      what: `+ ${Object.keys(packages).join(" ")} (${part})`,
      packages: added.packages - base.packages,
      MB: megabytes(added.bytes - base.bytes),
      "on disk": megabytes(added.disk - base.disk),
    });
  }
  return rows;
}

export const tableOfSizes = (rows) => table(rows);
