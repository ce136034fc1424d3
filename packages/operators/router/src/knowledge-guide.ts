// public: knowledgeGuide
import { flag, operator, text } from "@tessera/core";
import { words } from "@tessera/text";
import { z } from "zod";

const triple = z.object({ subject: z.string(), relation: z.string(), object: z.string() });
type Triple = z.infer<typeof triple>;

interface Edge {
  readonly to: string;
  readonly triple: Triple;
}

const key = (name: string): string => words(name).join(" ");

/** Each entity's edges, in both directions. */
function graphOf(triples: readonly Triple[]): Map<string, Edge[]> {
  const graph = new Map<string, Edge[]>();
  const add = (from: string, to: string, triple: Triple) => {
    const edges = graph.get(from);
    if (edges) edges.push({ to, triple });
    else graph.set(from, [{ to, triple }]);
  };
  for (const triple of triples) {
    const [subject, object] = [key(triple.subject), key(triple.object)];
    if (subject === "" || object === "" || subject === object) continue;
    add(subject, object, triple);
    add(object, subject, triple);
  }
  return graph;
}

/** The entities that a question names, the first named first; of names within names the longest. */
function mentioned(question: string, graph: ReadonlyMap<string, unknown>): string[] {
  const spoken = ` ${key(question)} `;
  const found = [...graph.keys()].filter((name) => spoken.includes(` ${name} `));
  return found
    .filter((name) => !found.some((other) => other !== name && ` ${other} `.includes(` ${name} `)))
    .sort((a, b) => spoken.indexOf(` ${a} `) - spoken.indexOf(` ${b} `) || (a < b ? -1 : 1));
}

/** The shortest path between two entities, as edges; `undefined` where none has at most `longest`. */
function pathBetween(
  graph: ReadonlyMap<string, Edge[]>,
  from: string,
  to: string,
  longest: number,
): Edge[] | undefined {
  let level: { at: string; path: Edge[] }[] = [{ at: from, path: [] }];
  const seen = new Set([from]);
  for (let length = 0; length <= longest; length++) {
    const reached = level.find(({ at }) => at === to);
    if (reached) return reached.path;
    level = level.flatMap(({ at, path }) =>
      (graph.get(at) ?? [])
        .filter((edge) => !seen.has(edge.to) && seen.add(edge.to))
        .map((edge) => ({ at: edge.to, path: [...path, edge] })),
    );
  }
  return undefined;
}

/**
 * Knowledge-guided scheduling: from a knowledge graph a chain of reasoning, and for each of its nodes one query, to be
 * retrieved and answered in that order. The chain begins at the entities that the question names; two of them are joined
 * by the shortest path of at most `depth` relations, and then it goes on along the relation whose words the question
 * says most (words once used count no more), while there is one. It has `nodes` nodes at most. Where the question names
 * no entity of the graph, `guided` is false and the only query is the question.
 */
export const knowledgeGuide = operator({
  name: "router.knowledge-guide",
  version: 2,
  about: {
    module: "orchestration",
    submodule: "scheduling",
    paper: "Modular RAG, operator 36",
    summary: "Plans retrievals along a chain of a knowledge graph.",
  },
  config: z.strictObject({ depth: z.int().positive().default(3), nodes: z.int().positive().default(8) }),
  ports: {
    input: { query: text, triples: z.array(triple) },
    output: { chain: z.array(text), queries: z.array(text), guided: flag },
  },
  effects: "none",
  setup:
    ({ depth, nodes }) =>
    ({ query, triples }) => {
      const graph = graphOf(triples);
      const named = mentioned(query, graph);
      const chain: { name: string; query: string }[] = [];
      const step = (name: string, asked: string) => {
        if (chain.length < nodes && !chain.some((node) => node.name === name)) chain.push({ name, query: asked });
      };
      const said = ({ subject, relation, object }: Triple) => `${subject} ${relation} ${object}`;
      for (const [index, name] of named.entries()) {
        const path = index === 0 ? undefined : pathBetween(graph, named[index - 1]!, name, depth);
        for (const { to, triple } of path ?? []) step(to, said(triple));
        step(name, name);
      }
      const left = new Set(words(query).filter((word) => !chain.some((node) => node.name.split(" ").includes(word))));
      while (chain.length > 0 && chain.length < nodes) {
        const edges = chain
          .flatMap(({ name }) => graph.get(name) ?? [])
          .filter(({ to }) => !chain.some((node) => node.name === to));
        const common = (edge: Edge) => new Set(words(edge.triple.relation).filter((word) => left.has(word))).size;
        const best = edges.reduce<Edge | undefined>(
          (most, edge) => (most && common(most) >= common(edge) ? most : edge),
          undefined,
        );
        if (!best || common(best) === 0) break;
        for (const word of words(best.triple.relation)) left.delete(word);
        step(best.to, said(best.triple));
      }
      if (chain.length === 0) return { chain: [], queries: [query], guided: false };
      return { chain: chain.map(({ name }) => name), queries: chain.map((node) => node.query), guided: true };
    },
});
