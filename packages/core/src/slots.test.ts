import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { SlotMap, Slots } from "./slots.js";

describe("slots", () => {
  it("hold what a set holds; by random additions and removals", () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 30 }), { maxLength: 200 }), (steps) => {
        const slots = new Slots<{ readonly step: number }>();
        const twin = new Set<{ readonly step: number }>();
        const places: number[] = [];
        for (const step of steps)
          if (step % 3 === 0 && places.length > 0) {
            const [place] = places.splice(step % places.length, 1);
            twin.delete(slots.at(place!)!);
            slots.remove(place!);
          } else {
            const item = { step };
            twin.add(item);
            places.push(slots.add(item));
          }
        expect(new Set(slots)).toEqual(twin);
        expect(slots.size).toBe(twin.size);
        for (const item of slots) expect(twin.has(item)).toBe(true);
      }),
    );
  });

  it("by name hold what a map holds, in its order", () => {
    const key = fc.constantFrom("a", "b", "c", "d", "__proto__");
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.boolean(), key, fc.nat()), { maxLength: 100 }), (steps) => {
        const map = new SlotMap<{ readonly value: number }>();
        const twin = new Map<string, { readonly value: number }>();
        for (const [isSet, name, value] of steps)
          if (isSet) {
            map.set(name, { value });
            twin.set(name, { value });
          } else expect(map.delete(name)).toBe(twin.delete(name));
        expect([...map]).toEqual([...twin]);
        expect([...map.keys()]).toEqual([...twin.keys()]);
        expect([...map.values()]).toEqual([...twin.values()]);
        expect(map.size).toBe(twin.size);
        for (const name of ["a", "b", "x"])
          expect([map.has(name), map.get(name)]).toEqual([twin.has(name), twin.get(name)]);
      }),
    );
  });
});
