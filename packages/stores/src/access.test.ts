import { describe, expect, it } from "@jest/globals";
import type { Passage, Principal } from "@tessera/core";
import { permits } from "@tessera/core/internal";
import fc from "fast-check";
import { Access } from "./access.js";

const name = fc.constantFrom("ann", "bob", "team", "all");
const list = fc.oneof(
  fc.array(name, { maxLength: 3 }),
  fc.constantFrom(null, "ann", { ann: true }, 1, [["ann"]], [null, "bob"], [1]),
);
const metadata = fc.option(list.map((access) => ({ access }))).map((given) => given ?? {});
const principal: fc.Arbitrary<Principal | undefined> = fc.oneof(
  fc.constant(undefined),
  fc.record({ id: name, groups: fc.array(name, { maxLength: 2 }) }, { requiredKeys: ["id"] }),
);
const step = fc.record({ slot: fc.integer({ min: 0, max: 3000 }), metadata: fc.option(metadata) });

describe("Access", () => {
  it("says of every slot what permits says of its passage, whatever is put and cleared", () => {
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 40 }),
        fc.array(principal, { minLength: 1, maxLength: 4 }),
        (steps, asking) => {
          const access = new Access();
          const held = new Map<number, Passage>();
          for (const { slot, metadata } of steps) {
            const before = held.get(slot);
            if (before) access.clear(slot);
            held.delete(slot);
            if (metadata) {
              const passage = { id: `p${slot}`, text: "", metadata } as Passage;
              held.set(slot, passage);
              access.put(slot, passage);
            }
            for (const principal of asking) {
              const { mask, count } = access.of(principal);
              const expected = [...held].filter(([, passage]) => permits(passage, principal)).map(([slot]) => slot);
              expect([...mask.keys()].filter((slot) => mask[slot] === 1)).toEqual(expected.sort((a, b) => a - b));
              expect(count).toBe(expected.length);
            }
          }
          expect(access.isOpen).toBe([...held.values()].every(({ metadata }) => !("access" in metadata)));
        },
      ),
      { numRuns: 60 },
    );
  });

  it("who was taken off a list no longer sees the slot, also where the list was changed in place", () => {
    const access = new Access();
    const passage: Passage = { id: "p", text: "", metadata: { access: ["ann"] } };
    access.put(0, passage);
    passage.metadata.access = ["bob"];
    access.clear(0);
    access.put(0, passage);
    expect([access.of({ id: "ann" }).count, access.of({ id: "bob" }).count]).toEqual([0, 1]);
  });
});
