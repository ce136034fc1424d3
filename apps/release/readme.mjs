// README.md of each published package: what it is, some lines of use, and where to read on. It is written where we pack,
// from package.json, from `uses` (programs that the tests compile), and from the versions' own history.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { optionalParts } from "./parts.mjs";
import { published } from "./published.mjs";
import { readJson } from "./workspace.mjs";

const uses = fileURLToPath(new URL("uses", import.meta.url));
const mark = "<!-- written by apps/release/readme.mjs -->";
const { homepage } = readJson("package.json");

/** The lines of use of a package: the program of its name in `uses`. Undefined where there is none. */
export function useOf(name) {
  const short = name.replace("@tessera/", "");
  for (const end of ["ts", "sh"]) {
    const path = join(uses, `${short}.${end}`);
    if (existsSync(path)) return { language: end, text: readFileSync(path, "utf8").trim() };
  }
  return undefined;
}

const installLine = ({ name, bin }) =>
  name === "create-tessera" ? "npm create tessera" : bin ? `npx ${name} --help` : `npm install ${name}`;

/** The text of a package's README. */
export function readmeOf({ manifest }) {
  const { name, description, peerDependenciesMeta = {} } = manifest;
  const use = useOf(name);
  const inside =
    name !== "@tessera/tessera" &&
    Object.hasOwn(published().get("@tessera/tessera")?.manifest.dependencies ?? {}, name);
  const parts = optionalParts.filter(({ packages }) =>
    Object.keys(packages).some((one) => Object.hasOwn(peerDependenciesMeta, one)),
  );
  return [
    mark,
    `# ${name}`,
    description,
    inside
      ? "It comes with `@tessera/tessera`, which exports what it has. Install it by itself only if you need nothing else."
      : "",
    `\`\`\`sh\n${installLine(manifest)}\n\`\`\``,
    use ? `\`\`\`${use.language}\n${use.text}\n\`\`\`` : "",
    parts.length > 0
      ? `Optional parts, each installed only by whoever uses it:\n\n${parts
          .map(
            ({ part, packages }) =>
              `- ${part}: \`npm install ${Object.entries(packages)
                .map(([one, version]) => (version ? `${one}@${version}` : one))
                .join(" ")}\``,
          )
          .join("\n")}`
      : "",
    `It runs on Node ${manifest.engines.node.replace(">=", "")} and later. Tessera is a framework for Modular RAG in Node services: [documentation](${homepage}).\n\nLicence: ${manifest.license}.`,
  ]
    .filter(Boolean)
    .join("\n\n")
    .concat("\n");
}

/** Writes the README of each package that has none of its own. */
export function writeReadmes() {
  for (const one of published().values()) {
    const path = join(one.folder, "README.md");
    const text = readmeOf(one);
    const old = existsSync(path) ? readFileSync(path, "utf8") : mark;
    if (old.startsWith(mark) && old !== text) writeFileSync(path, text);
  }
}
