// public: Triple, KnowledgeGraph
// internal: triplesOf
import { createHash } from "node:crypto";
import type { Filter, Passage, Principal, Resource } from "@tessera/core";
import { admits } from "@tessera/core/internal";
import { words } from "@tessera/text";
import { z } from "zod";

/** A fact that a passage states. */
export const triple = z.object({ subject: z.string(), relation: z.string(), object: z.string() });
/** A fact: subject, relation, object. */
export type Triple = z.infer<typeof triple>;

/** The key of a passage's metadata that lists its triples. */
export const triplesKey = "triples";

export const triplesOf = ({ metadata }: Passage): Triple[] => {
  const parsed = z.array(triple).safeParse(metadata[triplesKey]);
  return parsed.success ? parsed.data : [];
};

/** Names are the same entity where their words are. */
const nameOf = (text: string): string => words(text).join(" ");
const longestName = 12; // words

interface Edge {
  readonly a: number;
  readonly b: number;
  /** The passage that says so. */
  readonly owner: number;
}

interface Walk {
  /** Passages to begin at, by id, with their weights. */
  readonly passages: ReadonlyMap<string, number>;
  /** Entities to begin at, by name, with their weights. */
  readonly entities: ReadonlyMap<string, number>;
  /** The share of each step that goes on instead of back to the beginning; 0.85. */
  readonly damping?: number | undefined;
  readonly filter?: Filter | undefined;
  readonly principal?: Principal | undefined;
}

/**
 * A knowledge graph G = {V, E, X}: V are passages and the entities of their triples, E joins a passage to what it speaks
 * of (its title too) and the two ends of each triple, and X are the texts. It is built from `metadata.triples`.
 */
export class KnowledgeGraph implements Resource {
  readonly revision: string;
  readonly #passages: readonly Passage[];
  readonly #position = new Map<string, number>();
  readonly #entities = new Map<string, number>(); // numbered after the passages
  readonly #edges: Edge[] = [];
  readonly #mentions: Set<number>[] = []; // by passage: its entities
  readonly #mentionedIn: number[][] = []; // by entity, from 0: its passages

  constructor(passages: readonly Passage[]) {
    this.#passages = passages;
    const hash = createHash("sha256");
    for (const [position, passage] of passages.entries()) {
      this.#position.set(passage.id, position);
      hash.update(JSON.stringify(passage));
    }
    this.revision = hash.digest("hex").slice(0, 32);
    for (const [owner, passage] of passages.entries()) {
      const mentions = new Set<number>();
      if (passage.title !== undefined) mentions.add(this.#number(passage.title));
      for (const { subject, object } of triplesOf(passage)) {
        const [a, b] = [this.#number(subject), this.#number(object)];
        mentions.add(a).add(b);
        if (a !== b && a >= 0 && b >= 0) this.#edges.push({ a, b, owner });
      }
      mentions.delete(-1);
      for (const entity of mentions) {
        this.#edges.push({ a: owner, b: entity, owner });
        this.#mentionedIn[entity - passages.length]!.push(owner);
      }
      this.#mentions.push(mentions);
    }
  }

  #number(text: string): number {
    const name = nameOf(text);
    if (name === "") return -1;
    let entity = this.#entities.get(name);
    if (entity === undefined) {
      entity = this.#passages.length + this.#entities.size;
      this.#entities.set(name, entity);
      this.#mentionedIn.push([]);
    }
    return entity;
  }

  get size(): { passages: number; entities: number; edges: number } {
    return { passages: this.#passages.length, entities: this.#entities.size, edges: this.#edges.length };
  }

  #admits = (position: number, principal: Principal | undefined, filter?: Filter): boolean =>
    admits(this.#passages[position]!, filter, principal);

  /** The passages that share an entity with a passage, the one with most in common first, as ids. */
  neighbours(id: string, principal?: Principal): string[] {
    const position = this.#position.get(id);
    const common = new Map<number, number>();
    if (position === undefined || !this.#admits(position, principal)) return [];
    for (const entity of this.#mentions[position]!)
      for (const other of this.#mentionedIn[entity - this.#passages.length]!)
        if (other !== position && this.#admits(other, principal)) common.set(other, (common.get(other) ?? 0) + 1);
    return [...common]
      .map(([other, count]) => ({ id: this.#passages[other]!.id, count }))
      .sort((x, y) => y.count - x.count || (x.id < y.id ? -1 : 1))
      .map((neighbour) => neighbour.id);
  }

  /** The entities that a text names, each with 1 / (the passages that speak of it); of names within names the longest. */
  named(text: string, principal?: Principal): Map<string, number> {
    const spoken = words(text);
    const found = new Map<string, number>();
    for (let from = 0; from < spoken.length; from++)
      for (let to = Math.min(spoken.length, from + longestName); to > from; to--) {
        const name = spoken.slice(from, to).join(" ");
        const entity = this.#entities.get(name);
        const passages = entity === undefined ? [] : this.#mentionedIn[entity - this.#passages.length]!;
        const shown = passages.filter((position) => this.#admits(position, principal)).length;
        if (shown === 0) continue;
        found.set(name, 1 / shown);
        from = to - 1;
        break;
      }
    return found;
  }

  /**
   * Ranks passages by personalised PageRank: p ← (1 − d) s + d A p, where s is the beginning, scaled to sum 1, and A
   * spreads what a node has over its edges in equal parts (HippoRAG, arXiv 2405.14831, section 2.3). Only passages that
   * filter and principal admit are walked through, and only what those say joins entities. What is at a node without
   * edges is lost. In no order.
   */
  walk({ passages, entities, damping = 0.85, filter, principal }: Walk): { passage: Passage; score: number }[] {
    const admitted = this.#passages.map((_, position) => this.#admits(position, principal, filter));
    const edges = this.#edges.filter(({ owner }) => admitted[owner]);
    const count = this.#passages.length + this.#entities.size;
    const degree = new Float64Array(count);
    for (const { a, b } of edges) {
      degree[a]!++;
      degree[b]!++;
    }
    const start = new Float64Array(count);
    for (const [id, weight] of passages) {
      const position = this.#position.get(id);
      if (position !== undefined && admitted[position]) start[position]! += weight;
    }
    for (const [name, weight] of entities) {
      const entity = this.#entities.get(name);
      if (entity !== undefined && degree[entity]! > 0) start[entity]! += weight;
    }
    const sum = start.reduce((total, weight) => total + weight, 0);
    if (!(sum > 0)) return [];
    let rank = start.map((weight) => weight / sum);
    for (let round = 0; round < 60; round++) {
      const next = start.map((weight) => ((1 - damping) * weight) / sum);
      for (const { a, b } of edges) {
        next[b]! += (damping * rank[a]!) / degree[a]!;
        next[a]! += (damping * rank[b]!) / degree[b]!;
      }
      const moved = next.reduce((total, weight, i) => total + Math.abs(weight - rank[i]!), 0);
      rank = next;
      if (moved < 1e-9) break;
    }
    return this.#passages.flatMap((passage, i) => (admitted[i] && rank[i]! > 0 ? [{ passage, score: rank[i]! }] : []));
  }
}
