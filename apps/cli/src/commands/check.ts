import { flowSchema, printFlow } from "@tessera/core";
import { checkFlow, mermaid } from "@tessera/graph";
import { catalogue } from "@tessera/tessera";
import { colors } from "../colors.js";
import { readFlow } from "../documents.js";
import { settingsFor } from "../settings.js";
import type { Terminal } from "../terminal.js";

interface CheckOptions {
  readonly mermaid?: boolean;
  readonly code?: boolean;
}

/** Checks a flow without opening what it names: its findings, the most it can spend, a drawing, the same flow as code. */
export async function check(terminal: Terminal, nameOrFile: string, options: CheckOptions): Promise<number> {
  const { flows, operators } = await settingsFor(terminal);
  const { document, hash, bound, findings, notices } = checkFlow(await readFlow(nameOrFile, flows), operators);
  const drawing = options.mermaid ? mermaid(document) : undefined;
  const code = options.code
    ? printFlow(document, {
        importOf: (name) => {
          const entry = catalogue.get(name);
          return entry && { from: entry.from, name: entry.export };
        },
      })
    : undefined;
  terminal.result({
    name: document.name,
    hash,
    bound,
    findings,
    ...(notices.length > 0 && { notices }),
    ...(drawing && { mermaid: drawing }),
    ...(code && { code }),
  });
  if (drawing || code) {
    if (drawing) terminal.say(drawing);
    if (code) terminal.say(code);
  } else if (findings.length === 0) {
    terminal.say(`${colors.green("ok")} ${document.name}  ${colors.dim(hash.slice(0, 12))}`);
    terminal.table(
      ["it can spend at most", ""],
      [
        ["operator calls", bound.steps],
        ["model calls", bound.calls],
        ["tokens", bound.tokens],
        ["encoder layers", bound.layers],
      ],
    );
    for (const { path, message } of notices) terminal.say(`${colors.yellow("note")} ${path}: ${message}`);
  }
  if (findings.length > 0 && !terminal.json) for (const finding of findings) terminal.error(finding);
  return findings.length > 0 ? 2 : 0;
}

/** Prints the JSON Schema of flow documents, for editors. */
export async function schema(terminal: Terminal): Promise<number> {
  const { operators } = await settingsFor(terminal);
  const text = JSON.stringify(flowSchema(operators), undefined, 2);
  terminal.print(text);
  terminal.clear();
  return 0;
}
