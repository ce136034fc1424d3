// the licences of packages that become a part of a build
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./fetch.mjs";

/** The file beside a build that names what others wrote of it. */
export const noticesFile = "third-party.txt";

const inPackage = /^.*[\\/]node_modules[\\/](?:@[^\\/]+[\\/])?[^\\/]+(?=[\\/])/;

/** The whole Apache licence, which its packages often only name, and which who passes them on must give. */
const apache = () =>
  readFileSync(join(root, "apps", "setup", "node_modules", "typescript", "LICENSE.txt"), "utf8").trim();

/** What a package says of its licence: name, version, the licence's name and its text. */
function noticeOf(folder) {
  const { name, version, license, author } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const file = readdirSync(folder).find((one) => /^(?:licen[cs]e|copying)(?:\.|-|$)/i.test(one));
  if (!license && !file) throw new Error(`${name} ${version} becomes a part of this build and names no licence`);
  const text = file
    ? readFileSync(join(folder, file), "utf8").trim()
    : `Its package has no text of the licence. Author: ${author?.name ?? author ?? "not named"}.`;
  const whole = license === "Apache-2.0" && !text.includes("TERMS AND CONDITIONS") ? [apache()] : [];
  return [`${name} ${version}, licence: ${license ?? "see below"}`, text, ...whole].join("\n\n");
}

/** Collects the packages whose modules go into builds by rolldown or Vite: put `plugin` into each of them. */
export class Bundled {
  folders = new Set();

  get plugin() {
    return {
      name: "tessera:notices",
      generateBundle: (_, files) => {
        for (const file of Object.values(files))
          for (const [id, { renderedLength }] of Object.entries(file.modules ?? {})) {
            const [found] = inPackage.exec(id.replaceAll("\0", "")) ?? [];
            if (found && (renderedLength > 0 || id.endsWith(".css")) && existsSync(join(found, "package.json")))
              this.folders.add(found);
          }
      },
    };
  }

  /** Writes the notices into a folder, or nothing where all is our own. */
  write(folder) {
    const path = join(folder, noticesFile);
    rmSync(path, { force: true });
    if (this.folders.size === 0) return;
    const texts = [...this.folders].map(noticeOf).sort();
    const head = "Parts of these files come from the packages below, under their own licences.";
    writeFileSync(path, `${[head, ...texts].join(`\n\n${"-".repeat(80)}\n\n`)}\n`);
  }
}
