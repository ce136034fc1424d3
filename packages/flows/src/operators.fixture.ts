import * as coder from "@tessera/coder";
import type { AnyOperator } from "@tessera/core";
import { isOperator, type OperatorImport } from "@tessera/core/internal";
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

/** What the packages that flows may use export, by package: what printed code imports. */
export const modules: Readonly<Record<string, Readonly<Record<string, unknown>>>> = Object.fromEntries(
  Object.entries(packages).map(([name, exported]) => [`@tessera/${name}`, exported]),
);

const exported = Object.entries(modules).flatMap(([from, members]) =>
  Object.entries(members).flatMap(([name, operator]) => (isOperator(operator) ? [{ from, name, operator }] : [])),
);

/** Every operator that a flow of the catalogue may run. */
export const operators: readonly AnyOperator[] = exported.map(({ operator }) => operator as unknown as AnyOperator);

/** Where an operator is imported from. */
export const importOf = (wanted: string): OperatorImport | undefined =>
  exported.find(({ operator }) => (operator as unknown as AnyOperator).name === wanted);
