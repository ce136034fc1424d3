import { createContext, Script } from "node:vm";
import type { Message } from "@tessera/core";
import { TesseraError } from "@tessera/core";
import { messageOf, missing } from "@tessera/core/internal";
import type { ChatTemplate } from "../architectures/decoder.js";

/** What a template may take to render one prompt, in milliseconds: it is a program of whoever made the file. */
const longestRendering = 900;
/** Characters of a template. */
const longestTemplate = 256 * 1024;

/** Messages as the text of a prompt. */
export type ChatPrompt = (messages: readonly Message[]) => string;

/**
 * Compiles a chat template and tries it. Rendering is stopped after a second, whatever loops the template has.
 * @throws TesseraError BAD_BUNDLE where the template cannot be read or fails on one message of a user
 */
export async function chatPrompt({ template, tokens }: ChatTemplate, path: string): Promise<ChatPrompt> {
  const bad = (message: string, cause?: unknown): TesseraError =>
    new TesseraError("BAD_BUNDLE", `the chat template ${message}`, { path, cause });
  if (template.length > longestTemplate) throw bad(`has ${template.length} characters; ${longestTemplate} are read`);
  const { Template } = await import("@huggingface/jinja").catch(missing("@huggingface/jinja", path));
  let compiled: InstanceType<typeof Template>;
  try {
    compiled = new Template(template);
  } catch (cause) {
    throw bad(`cannot be read: ${messageOf(cause)}`, cause);
  }
  const prompt: ChatPrompt = (messages) =>
    withinTime(() =>
      compiled.render({
        ...tokens,
        // a copy: a template may assign to what it is given
        messages: messages.map(({ role, content }) => ({ role, content })),
        add_generation_prompt: true,
        tools: null,
        documents: null,
      }),
    );
  try {
    prompt([{ role: "user", content: "a" }]);
  } catch (cause) {
    throw bad(`fails: ${messageOf(cause)}`, cause);
  }
  return (messages) => {
    try {
      return prompt(messages);
    } catch (cause) {
      throw new TesseraError("BAD_ARGUMENT", `the model's chat template refuses these messages: ${messageOf(cause)}`, {
        path,
        cause,
        hint: "some templates take no system message, or only user and assistant in turn",
      });
    }
  };
}

const run = new Script("render()");

/** The watchdog of `vm` ends any program of this thread, whichever realm it is of. */
function withinTime(render: () => string): string {
  return run.runInContext(createContext({ render }), { timeout: longestRendering }) as string;
}

/** Texts in which a seam, which occurs in none of them, parts every mark that they spell. */
export function seams(texts: readonly string[], marks: readonly string[]): { seam: string; seamed: string[] } {
  let number = 0;
  let seam: string;
  do seam = `\ufdd0${number++}\ufdd0`;
  while (texts.some((text) => text.includes(seam)));
  const long = marks.filter(({ length }) => length > 1).sort((a, b) => b.length - a.length);
  if (long.length === 0) return { seam, seamed: [...texts] };
  const pattern = new RegExp(long.map((mark) => mark.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&")).join("|"), "g");
  return { seam, seamed: texts.map((text) => text.replace(pattern, (mark) => `${mark[0]}${seam}${mark.slice(1)}`)) };
}
