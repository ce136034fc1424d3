// public: SqlConnection

// connections to PostgreSQL have one home, the stores
export type { SqlConnection } from "@tessera/stores";
