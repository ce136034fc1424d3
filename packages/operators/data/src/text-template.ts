// public: textTemplate
import { operator, text } from "@tessera/core";
import { type Piece, typed } from "@tessera/core/internal";
import { z } from "zod";
import { namesOf, type Places, parsePattern } from "./pattern.js";

const config = z.strictObject({
  template: z.string().superRefine((template, context) => {
    const parts = parsePattern(template);
    if (typeof parts === "string") context.addIssue({ code: "custom", message: parts });
    else if (
      namesOf(parts).size < new Set(parts.flatMap((part) => ("name" in part ? [`${part.name}${part.list}`] : []))).size
    )
      context.addIssue({ code: "custom", message: "a place is either a text or a list" });
  }),
  /** Stands between the members of a list. */
  separator: z.string().default("\n"),
});

const partsOf = (template: string) => parsePattern(template) as Exclude<ReturnType<typeof parsePattern>, string>;

const specification = operator({
  name: "text.template",
  version: 2,
  about: { module: "data", submodule: "text", summary: "Fills the named places of a template." },
  config,
  ports: ({ template }) => ({
    input: Object.fromEntries(
      [...namesOf(partsOf(template))].map(([name, list]): [string, z.ZodType] => [name, list ? z.array(text) : text]),
    ),
    output: { text },
  }),
  effects: "none",
  setup: ({ template, separator }) => {
    const parts = partsOf(template);
    return (input) => ({
      text: parts
        .map((part) => {
          if ("literal" in part) return part.literal;
          const value = (input as Record<string, string | string[]>)[part.name]!;
          return typeof value === "string" ? value : value.join(separator);
        })
        .join(""),
    });
  },
});

type Input<T extends string> = {
  [P in Places<T> as P extends `${infer Name}[]` ? Name : P]: P extends `${string}[]` ? string[] : string;
};

/**
 * Fills the places of a template: `{name}` is an input port of type text, `{name[]}` one of a list of texts, `{{` and
 * `}}` are braces. There is nothing else: no expression, no condition. A value is never read as a template again.
 * Texts that came from outside belong into a fence, not into a template for a prompt.
 */
export const textTemplate =
  typed<<const T extends string>(config: { template: T; separator?: string }) => Piece<Input<T>, { text: string }>>(
    specification,
  );
