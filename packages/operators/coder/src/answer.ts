import type { Language } from "./sandbox/language.js";

/** A fenced part of an answer. */
interface Fence {
  readonly info: string;
  readonly text: string;
  readonly at: number;
}

/** The longest answer that is read; what stands beyond it is not. */
const longestAnswer = 200_000;
const longestHeader = 4000;
const opening = /^[ \t]{0,3}(`{3,}|~{3,})[ \t]*([^\s`~]*)[^\n`]*$/;

/** The fences of a text in order; one that is never closed reaches to the end. */
function fencesOf(text: string): Fence[] {
  const fences: Fence[] = [];
  let open: { mark: string; info: string; at: number; lines: string[] } | undefined;
  let at = 0;
  for (const line of text.split("\n")) {
    const bare = line.replace(/\r$/, "");
    const found = opening.exec(bare);
    if (open && found && found[1]!.startsWith(open.mark) && found[2] === "") {
      fences.push({ info: open.info, text: open.lines.join("\n"), at: open.at });
      open = undefined;
    } else if (!open && found) open = { mark: found[1]!, info: found[2]!.toLowerCase(), at, lines: [] };
    else open?.lines.push(bare);
    at += line.length + 1;
  }
  if (open) fences.push({ info: open.info, text: open.lines.join("\n"), at: open.at });
  return fences;
}

const escaped = (name: string): string => name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

/** Whether a text defines a name at the start of a line. */
function defines(text: string, name: string): boolean {
  const word = escaped(name.split(".")[0]!);
  return new RegExp(
    `^[ \\t]*(export[ \\t]+)?(default[ \\t]+)?((async[ \\t]+)?(function\\*?|def|class|const|let|var)[ \\t]+${word}\\b|((module\\.)?exports\\.)?${word}[ \\t]*=)`,
    "m",
  ).test(text);
}

const definition =
  /^(?:export[ \t]+)?(?:async[ \t]+)?(?:function\*?|def|class|const|let|var)[ \t]+([\p{L}$_][\p{L}\p{N}$_]*)/gmu;
const namesDefined = (text: string): string[] => [...text.matchAll(definition)].map((match) => match[1]!);

/**
 * The program and the module headers of an answer. The program is the last fence that defines the entry, with the fences
 * before it that define what it lacks (one that is written twice is never run twice); without a fence, the text itself
 * where it defines the entry. Where there is no program, `code` is "".
 */
export function readAnswer(
  answer: string,
  { entry, language }: { entry?: string | undefined; language: Language },
): { code: string; headers: string[] } {
  const text = answer.slice(0, longestAnswer);
  const fences = fencesOf(text);
  const headers = fences
    .filter(({ info }) => info === "module")
    .flatMap((fence) => splitHeaders(fence.text, language))
    .filter((header) => header !== "" && header.length <= longestHeader && !/^\s*class\b|\bdef main\(/m.test(header));
  const step = /^.*\bSTEP\s*2\b.*$/im.exec(text);
  const all = fences.filter(({ info, text: inner }) => info !== "module" && inner.trim() !== "");
  const after = all.filter(({ at }) => at > (step?.index ?? -1));
  const programs = after.length > 0 ? after : all;
  const main =
    (entry && programs.findLast((fence) => defines(fence.text, entry))) ||
    programs.findLast((fence) => definition.test(fence.text) || !entry) ||
    programs.at(-1);
  definition.lastIndex = 0;
  if (!main) return { code: entry && defines(text, entry) ? bare(text, entry) : "", headers };
  const parts = [main.text];
  const known = new Set(namesDefined(main.text));
  for (const fence of programs.filter(({ at }) => at < main.at).reverse()) {
    const names = namesDefined(fence.text);
    if (names.length === 0 || names.some((name) => known.has(name))) continue;
    if (
      !names.some((name) =>
        new RegExp(`(?<![\\p{L}\\p{N}$_])${escaped(name)}(?![\\p{L}\\p{N}$_])`, "u").test(parts.join("\n")),
      )
    )
      continue;
    for (const name of names) known.add(name);
    parts.unshift(fence.text);
  }
  return { code: parts.join("\n\n").trim(), headers };
}

/** A fence may hold several headers. */
function splitHeaders(text: string, language: Language): string[] {
  const start = language === "python" ? /^(?=(?:async )?def )/m : /^(?=\/\*\*|\/\/ )/m;
  const parts = text.split(start).map((part) => part.trim());
  return parts.filter((part) => /\b(def|function|const|let|var)\b|=>|\(/.test(part));
}

/** Code without a fence: from the first line that looks like code on. */
function bare(text: string, entry: string): string {
  const lines = text.split("\n");
  const start = lines.findIndex(
    (line) =>
      /^\s*(\/\*|\/\/|#|import |from |export |const |let |var |async |function|def |class |"use strict")/.test(line) ||
      defines(line, entry),
  );
  return lines.slice(Math.max(0, start)).join("\n").trim();
}
