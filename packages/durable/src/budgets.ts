// public: SqlTransactions, postgresBudgets
import { type Amount, type DailyBudgets, granted, type Reservation } from "@tessera/core/internal";
import { createTables } from "./schema.js";
import type { SqlConnection } from "./sql.js";

/** Runs several statements as one. */
export interface SqlTransactions extends SqlConnection {
  /** Commits the changes of the work, or none of them if the work throws. The work may be executed again. */
  transaction<T>(work: (connection: SqlConnection) => Promise<T>): Promise<T>;
}

const schema = [
  "CREATE SCHEMA IF NOT EXISTS tessera",
  `CREATE TABLE IF NOT EXISTS tessera.spending (
     account text NOT NULL, day date NOT NULL, calls float8 NOT NULL, tokens float8 NOT NULL, PRIMARY KEY (account, day))`,
  `CREATE TABLE IF NOT EXISTS tessera.reservation (
     run text PRIMARY KEY, account text NOT NULL, calls float8 NOT NULL, tokens float8 NOT NULL,
     before_calls float8 NOT NULL, before_tokens float8 NOT NULL, made timestamptz NOT NULL DEFAULT now())`,
  "CREATE INDEX IF NOT EXISTS reservation_account ON tessera.reservation (account)",
];

const today = "(now() AT TIME ZONE 'UTC')::date";

/** Daily budgets in the schema "tessera" of a database. All processes that use the database share them. */
export async function postgresBudgets(connection: SqlTransactions): Promise<DailyBudgets> {
  await createTables(connection, schema);
  return {
    reserve({ run, account, most, perDay, before = { calls: 0, tokens: 0 } }: Reservation) {
      return connection.transaction(async (connection) => {
        // those of one account come one after another; each statement behind it sees what the one before has committed
        await connection.query("SELECT pg_advisory_xact_lock(hashtext('tessera.spending'), hashtext($1))", [account]);
        const { rows: known } = await connection.query<Amount>(
          "SELECT calls, tokens FROM tessera.reservation WHERE run = $1",
          [run],
        );
        if (known[0]) return { ...known[0] };
        const { rows: used } = await connection.query<Amount>(
          `SELECT coalesce(sum(calls), 0) AS calls, coalesce(sum(tokens), 0) AS tokens FROM (
             SELECT calls, tokens FROM tessera.reservation WHERE account = $1
             UNION ALL SELECT calls, tokens FROM tessera.spending WHERE account = $1 AND day = ${today}) AS used`,
          [account],
        );
        const left = (kind: "calls" | "tokens") => (perDay[kind] ?? Number.POSITIVE_INFINITY) - used[0]![kind];
        const set = granted(most, { calls: left("calls"), tokens: left("tokens") });
        if (set)
          await connection.query("INSERT INTO tessera.reservation VALUES ($1, $2, $3, $4, $5, $6)", [
            run,
            account,
            set.calls,
            set.tokens,
            before.calls,
            before.tokens,
          ]);
        return set;
      });
    },
    async settle(run, spent) {
      await connection.query(
        `WITH settled AS (DELETE FROM tessera.reservation WHERE run = $1 RETURNING *)
         INSERT INTO tessera.spending AS spending
         SELECT account, ${today}, greatest(0, coalesce($2::float8 - before_calls, calls)),
                greatest(0, coalesce($3::float8 - before_tokens, tokens)) FROM settled
         ON CONFLICT (account, day) DO UPDATE
         SET calls = spending.calls + excluded.calls, tokens = spending.tokens + excluded.tokens`,
        [run, spent?.calls ?? null, spent?.tokens ?? null],
      );
      await connection.query(`DELETE FROM tessera.spending WHERE day < ${today} - 30`);
    },
    async open(account, ms) {
      // of one that was made later than now the clock was set back since, and its age is not known
      const { rows } = await connection.query<{ run: string }>(
        "SELECT run FROM tessera.reservation WHERE account = $1 AND (made <= now() - make_interval(secs => $2) OR made > now())",
        [account, ms / 1000],
      );
      return rows.map(({ run }) => run);
    },
  };
}
