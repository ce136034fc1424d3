// public: BudgetsUnderTest, testBudgets
import { describe, expect, it } from "@jest/globals";
import type { Amount, DailyBudgets } from "@tessera/core/internal";

export interface BudgetsUnderTest {
  /** Opens them over what those before have kept. */
  readonly open: () => Promise<DailyBudgets>;
  /** Forgets what is kept. */
  readonly fresh: () => Promise<void>;
  /** Whether several processes may have them open. */
  readonly shared: boolean;
}

/** The conformance suite of daily budgets. */
export function testBudgets(name: string, { open, fresh, shared }: BudgetsUnderTest): void {
  describe(`daily budgets: ${name}`, () => {
    const asked = (run: string, most: Amount, more: object = {}) => ({
      run,
      account: "ann",
      most,
      perDay: { calls: 10, tokens: 100 },
      ...more,
    });

    it("set aside what is asked for, then what is left, then nothing; accounts are apart", async () => {
      await fresh();
      const budgets = await open();
      expect(await budgets.reserve(asked("a", { calls: 4, tokens: 10 }))).toEqual({ calls: 4, tokens: 10 });
      expect(await budgets.reserve(asked("b", { calls: 4, tokens: 95 }))).toEqual({ calls: 4, tokens: 90 });
      expect(await budgets.reserve(asked("c", { calls: 4, tokens: 1 }))).toBeUndefined();
      expect(await budgets.reserve(asked("d", { calls: 4, tokens: 0 }))).toEqual({ calls: 2, tokens: 0 });
      expect(await budgets.reserve(asked("e", { calls: 0, tokens: 0 }))).toEqual({ calls: 0, tokens: 0 });
      expect(await budgets.reserve(asked("f", { calls: 4, tokens: 95 }, { account: "bob" }))).toEqual({
        calls: 4,
        tokens: 95,
      });
      expect(await budgets.reserve(asked("g", { calls: 99, tokens: 99 }, { perDay: { tokens: 500 } }))).toEqual({
        calls: 99,
        tokens: 99,
      });
      expect((await budgets.open("ann", 0)).sort()).toEqual(["a", "b", "d", "e", "g"]);
      expect(await budgets.open("ann", 60_000)).toEqual([]);
      await budgets.close?.();
    });

    it("charge what was spent, once, and keep it across a restart", async () => {
      await fresh();
      let budgets = await open();
      await budgets.reserve(asked("a", { calls: 8, tokens: 80 }));
      await budgets.reserve(asked("b", { calls: 2, tokens: 20 }));
      await budgets.settle("a", { calls: 3, tokens: 30 });
      await budgets.settle("a", { calls: 3, tokens: 30 });
      await budgets.close?.();
      budgets = await open();
      // 3 of "a" are spent and 2 of "b" are still set aside, which a run that asks again keeps
      expect(await budgets.reserve(asked("b", { calls: 10, tokens: 100 }))).toEqual({ calls: 2, tokens: 20 });
      expect(await budgets.reserve(asked("c", { calls: 10, tokens: 100 }))).toEqual({ calls: 5, tokens: 50 });
      await budgets.settle("c"); // nobody knows what it spent
      expect(await budgets.reserve(asked("d", { calls: 1, tokens: 1 }))).toBeUndefined();
      await budgets.settle("b", { calls: 0, tokens: 0 });
      expect(await budgets.reserve(asked("d", { calls: 9, tokens: 9 }))).toEqual({ calls: 2, tokens: 9 });
      await budgets.close?.();
    });

    it("charge a resumed run for what came since", async () => {
      await fresh();
      const budgets = await open();
      await budgets.reserve(asked("a", { calls: 4, tokens: 40 }));
      await budgets.settle("a", { calls: 2, tokens: 20 });
      await budgets.reserve(asked("a", { calls: 4, tokens: 40 }, { before: { calls: 2, tokens: 20 } }));
      await budgets.settle("a", { calls: 3, tokens: 35 });
      expect(await budgets.reserve(asked("b", { calls: 10, tokens: 100 }))).toEqual({ calls: 7, tokens: 65 });
      await budgets.close?.();
    });

    it("never set aside more than there is, however many ask at once", async () => {
      await fresh();
      const budgets = shared ? [await open(), await open()] : [await open()];
      const sets = await Promise.all(
        Array.from({ length: 30 }, (_, i) =>
          budgets[i % budgets.length]!.reserve(asked(`r${i}`, { calls: 1, tokens: 7 })),
        ),
      );
      const given = sets.filter((set) => set !== undefined);
      expect(given).toHaveLength(10);
      expect(given.reduce((total, { tokens }) => total + tokens, 0)).toBe(70);
      for (const one of budgets) await one.close?.();
    });
  });
}
