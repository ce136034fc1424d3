import { PGlite } from "@electric-sql/pglite";
import { afterAll, beforeAll } from "@jest/globals";
import { testBudgets } from "@tessera/testkit";
import { postgresBudgets } from "./budgets.js";

let database: PGlite;
beforeAll(async () => {
  database = await PGlite.create();
});
afterAll(() => database.close());

testBudgets("PostgreSQL (PGlite)", {
  open: () => postgresBudgets(database),
  async fresh() {
    await postgresBudgets(database);
    await database.query("TRUNCATE tessera.spending, tessera.reservation");
  },
  shared: true,
});
