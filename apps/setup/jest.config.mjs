import { createRequire } from "node:module";

const require = createRequire(import.meta.url);

export default {
  testMatch: ["<rootDir>/**/*.test.ts"],
  testPathIgnorePatterns: ["/node_modules/", "/dist/", "/templates/"],
  modulePathIgnorePatterns: ["<rootDir>/dist/"],
  extensionsToTreatAsEsm: [".ts"],
  // sources are written with the extension they have once built
  moduleNameMapper: { "^(\\.{1,2}/.*)\\.js$": "$1" },
  transform: {
    "^.+\\.ts$": [
      require.resolve("@swc/jest"),
      { jsc: { parser: { syntax: "typescript" }, target: "es2023" }, module: { type: "es6" }, sourceMaps: "inline" },
    ],
  },
  // the package's own sources, not its build
  testEnvironmentOptions: { customExportConditions: ["@tessera/source", "node", "node-addons"] },
  // a test that hangs ends; one that a busy machine slows down does not
  testTimeout: 1_800_000,
  maxWorkers: 2,
};
