// public: CatalogueEntry, catalogue, operators, prompts
import * as coder from "@tessera/coder";
import type { AnyOperator } from "@tessera/core";
import { isOperator, type PromptText } from "@tessera/core/internal";
import * as data from "@tessera/data";
import * as fuser from "@tessera/fuser";
import * as generator from "@tessera/generator";
import * as indexer from "@tessera/indexer";
import * as mcp from "@tessera/mcp";
import * as query from "@tessera/query";
import * as reranker from "@tessera/reranker";
import * as retriever from "@tessera/retriever";
import * as router from "@tessera/router";

const packages = { coder, data, fuser, generator, indexer, mcp, query, reranker, retriever, router };

/** An operator that comes with Tessera, and the import that code needs for it. */
export interface CatalogueEntry {
  readonly operator: AnyOperator;
  readonly from: string;
  readonly export: string;
}

/** Every operator that the packages export, by name. */
export const catalogue: ReadonlyMap<string, CatalogueEntry> = new Map(
  Object.entries(packages)
    .flatMap(([name, exported]) =>
      Object.entries(exported)
        .filter(([, value]) => isOperator(value))
        .map(
          ([key, value]): CatalogueEntry => ({
            operator: value as unknown as AnyOperator,
            from: `@tessera/${name}`,
            export: key,
          }),
        ),
    )
    .sort((a, b) => (a.operator.name < b.operator.name ? -1 : 1))
    .map((entry) => [entry.operator.name, entry]),
);

/** Every prompt that an operator of the catalogue sends, by name. */
export const prompts: ReadonlyMap<string, PromptText> = new Map(
  [...catalogue.values()]
    .flatMap(({ operator }) => operator.prompts ?? [])
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map((prompt) => [prompt.name, prompt]),
);

/** The operators of the catalogue. */
export const operators: readonly AnyOperator[] = [...catalogue.values()].map(({ operator }) => operator);
