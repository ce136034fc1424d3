import { flows as catalogueOfFlows } from "@tessera/flows";
import { catalogue } from "@tessera/tessera";
import { exampleOf } from "@tessera/tessera/internal";
import { z } from "zod";
import type { Terminal } from "../terminal.js";

/** The named flows. */
export function flows(terminal: Terminal): number {
  const list = [...catalogueOfFlows.values()].map(({ flow: { document }, summary }) => ({
    name: document.name,
    summary,
    input: document.input,
    output: Object.keys(document.output),
    nodes: Object.keys(document.nodes).length,
  }));
  terminal.result(list);
  terminal.table(
    ["flow", "takes", ""],
    list.map(({ name, input, summary }) => [name, Object.keys(input).join(", "), summary]),
  );
  return 0;
}

const modules = [
  "indexing",
  "pre-retrieval",
  "retrieval",
  "post-retrieval",
  "generation",
  "orchestration",
  "data",
  "code",
];

const equationsOf = (paper = ""): string => {
  const [, numbers] = /equations? (\d[\d–-]*(?:(?:, | and )\d+)*)/.exec(paper) ?? [];
  return numbers === undefined ? "" : `(${numbers}) `;
};

/** The operators on the paper's three levels: module, sub-module, operator; as JSON each with its schema and an example. */
export function operators(terminal: Terminal): number {
  const list = [...catalogue.values()]
    .map(({ operator }) => ({
      name: operator.name,
      version: operator.version,
      ...operator.about,
      effects: typeof operator.effects === "function" ? "by its settings" : (operator.effects ?? "read"),
      needs: operator.needs ?? {},
      config: z.toJSONSchema(operator.config, { io: "input", unrepresentable: "any" }),
      example: exampleOf(operator.name),
    }))
    .sort(
      (a, b) =>
        modules.indexOf(a.module) - modules.indexOf(b.module) ||
        a.submodule.localeCompare(b.submodule) ||
        a.name.localeCompare(b.name),
    );
  terminal.result(list);
  let module = "";
  let submodule = "";
  terminal.table(
    ["module", "sub-module", "operator", ""],
    list.map((entry) => {
      const row = [
        entry.module === module ? "" : entry.module,
        entry.module === module && entry.submodule === submodule ? "" : entry.submodule,
        entry.name,
        // equations in brackets, as the paper numbers them; its name is in --json and in docs/operators
        `${equationsOf(entry.paper)}${entry.summary}`,
      ];
      ({ module, submodule } = entry);
      return row;
    }),
  );
  return 0;
}
