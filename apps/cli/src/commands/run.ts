import type { OpenedCodebase } from "@tessera/tessera";
import { openSource } from "../codebase.js";
import { parseJson, readFlow } from "../documents.js";
import type { EncoderOptions } from "../engine.js";
import { type LanguageModelOptions, openLanguageModel } from "../language-model.js";
import { runFlow } from "../run.js";
import { type Terminal, UsageError } from "../terminal.js";

export interface RunCommandOptions extends EncoderOptions, LanguageModelOptions {
  readonly input: string;
  /** A folder whose index gives the stores "sparse" and "dense" and the encoder "encoder". */
  readonly source?: string;
  readonly trace?: boolean;
  readonly signal?: AbortSignal;
}

/** Runs a flow on an input. */
export async function run(terminal: Terminal, nameOrFile: string, options: RunCommandOptions): Promise<number> {
  const document = await readFlow(nameOrFile);
  const input = parseJson(options.input, "--input");
  if (typeof input !== "object" || input === null || Array.isArray(input))
    throw new UsageError("--input is a JSON object of the flow's inputs");
  const model = await openLanguageModel(options);
  let opened: OpenedCodebase | undefined;
  try {
    opened = options.source === undefined ? undefined : await openSource(terminal, options.source, options);
    const resources = { ...opened?.resources, ...(model && { model: { model } }) };
    const { result, events } = await runFlow(terminal, document, input as Record<string, unknown>, resources, options);
    terminal.result({ ...result, events });
    if (!terminal.json) process.stdout.write(`${JSON.stringify(result, undefined, 2)}\n`);
    return 0;
  } finally {
    await opened?.close();
    await model?.close?.();
  }
}
