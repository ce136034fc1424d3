import { resolve } from "node:path";
import { openSource, type SourceOptions } from "../codebase.js";
import { colors } from "../colors.js";
import { settingsFor } from "../settings.js";
import type { Terminal } from "../terminal.js";
import { noteUnread } from "../unread.js";

/** Makes or updates the index of a folder. */
export async function indexSource(terminal: Terminal, source: string, options: SourceOptions): Promise<number> {
  const began = performance.now();
  const { config } = await settingsFor(terminal);
  const opened = await openSource(terminal, source, { ...options, encoder: options.encoder ?? config.encoder });
  await opened.close();
  const { report, vectors } = opened;
  const ms = Math.round(performance.now() - began);
  const { seen, read, changed, removed, passages, skipped } = report!;
  terminal.result({
    root: resolve(source),
    index: opened.folder,
    files: { seen, read, changed, removed },
    passages,
    skipped,
    vectors,
    ms,
  });
  terminal.say(`${colors.green("indexed")} ${resolve(source)} in ${(ms / 1000).toFixed(1)} s`);
  terminal.table(
    ["", "files", "", "passages"],
    [
      ["seen", seen, "added", passages.added],
      ["read", read, "changed", passages.changed],
      ["changed", changed, "moved", passages.moved],
      ["removed", removed, "removed", passages.removed],
    ],
  );
  noteUnread(terminal, skipped);
  return 0;
}
