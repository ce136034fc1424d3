import type { Unread } from "@tessera/core/internal";
import { colors } from "./colors.js";
import type { Terminal } from "./terminal.js";

const shown = 10;

/** Says which files, or parts of files, were not read, and why. */
export function noteUnread(terminal: Terminal, skipped: readonly Unread[]): void {
  for (const { path, reason, detail } of skipped.slice(0, shown))
    terminal.note(
      `${reason === "partial" ? "left out in part" : "left out"}: ${path} (${reason}${detail ? `: ${detail}` : ""})`,
    );
  if (skipped.length > shown) terminal.note(`left out: ${skipped.length - shown} more (--json lists them)`);
}

/** What a person should know who got no answer: it may stand in what was not read. */
export function noteUnreadAnswer(terminal: Terminal, skipped: readonly Unread[]): void {
  if (skipped.length === 0) return;
  terminal.note(`\n${colors.bold("It may stand in what was not read:")}`);
  noteUnread(terminal, skipped);
}
