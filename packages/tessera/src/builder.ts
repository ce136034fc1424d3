// what a user needs to compose and run flows, from one import
export * from "@tessera/core";
export * from "@tessera/graph";
