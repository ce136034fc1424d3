import { createConnection } from "node:net";
import type { Reader } from "./reader.js";

// Readers that behave badly in harmless ways, each by the word that its file holds.

const stands = (name: string, work: () => unknown): Reader => ({
  name,
  version: 1,
  extensions: [name],
  async read() {
    await work();
    return { kind: "blocks", blocks: [{ kind: "paragraph", text: "it came to an end" }] };
  },
});

export const loops = stands("loops", () => {
  for (;;);
});
export const throws = stands("throws", () => {
  throw new TypeError("x is not a function");
});
export const rejects = stands("rejects", () => Promise.reject(new Error("no")));
export const exits = stands("exits", () => process.exit(3));
export const heap = stands("heap", () => {
  const all: unknown[] = [];
  for (;;) all.push(new Array(1000).fill(all.length));
});
export const buffers = stands("buffers", async () => {
  const all: Uint8Array[] = [];
  for (let count = 0; count < 4000; count++) {
    all.push(new Uint8Array(1 << 20).fill(count));
    if (count % 8 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  }
});
export const network = stands("network", () => createConnection(9, "127.0.0.1"));
export const nested: Reader = {
  ...stands("nested", () => {}),
  read: (file, context) => context.part(file),
};
export const many: Reader = {
  ...stands("many", () => {}),
  read: () => ({ kind: "blocks", blocks: new Array(2000).fill({ kind: "paragraph", text: "a" }) }),
};
export const good: Reader = {
  ...stands("good", () => {}),
  async read({ bytes }, context) {
    const text = await context.text(bytes);
    return {
      kind: "blocks",
      title: "Good",
      blocks: [{ kind: "paragraph", text, place: { unit: "page", from: 2, to: 2 } }],
    };
  },
};
