import type { LanguageModel } from "@tessera/core";
import { SqliteDatabase } from "@tessera/query";
import { ResourceHost } from "@tessera/tessera/internal";

/** An invented country, for questions that a model answers by SQL. */
export const geography = `
CREATE TABLE region (name TEXT PRIMARY KEY, area INTEGER NOT NULL);
CREATE TABLE sea (name TEXT PRIMARY KEY, depth INTEGER NOT NULL);
CREATE TABLE river (name TEXT PRIMARY KEY, length INTEGER NOT NULL, sea TEXT REFERENCES sea (name));
CREATE TABLE town (
  name TEXT PRIMARY KEY, region TEXT NOT NULL REFERENCES region (name), river TEXT REFERENCES river (name),
  population INTEGER NOT NULL, founded INTEGER NOT NULL
);
CREATE TABLE bridge (river TEXT NOT NULL REFERENCES river (name), town TEXT NOT NULL REFERENCES town (name), built INTEGER NOT NULL);
INSERT INTO region VALUES ('Northmark', 5200), ('Eastvale', 3100), ('Southcliff', 2400), ('Highland', 7800);
INSERT INTO sea VALUES ('Grey Sea', 410), ('Amber Sea', 95);
INSERT INTO river VALUES ('Isna', 310, 'Grey Sea'), ('Tarle', 120, 'Amber Sea'), ('Orm', 540, 'Grey Sea'), ('Lude', 88, NULL), ('Vey', 205, 'Amber Sea');
INSERT INTO town VALUES
  ('Kolm', 'Northmark', 'Isna', 41000, 1204), ('Velden', 'Northmark', 'Tarle', 8200, 1519), ('Sarn', 'Eastvale', 'Orm', 132000, 987),
  ('Hagby', 'Highland', 'Lude', 1900, 1788), ('Monte', 'Southcliff', 'Vey', 27500, 1310), ('Ruun', 'Eastvale', 'Orm', 64000, 1102),
  ('Peak', 'Highland', NULL, 640, 1850), ('Darrow', 'Southcliff', 'Vey', 15300, 1455), ('Elsing', 'Northmark', 'Isna', 3300, 1621);
INSERT INTO bridge VALUES ('Isna', 'Kolm', 1890), ('Isna', 'Elsing', 1931), ('Orm', 'Sarn', 1702), ('Orm', 'Sarn', 1968), ('Orm', 'Ruun', 1877), ('Vey', 'Monte', 1954);`;

/** Questions, each with a statement written by hand whose rows are the answer. */
export const questions: readonly { readonly question: string; readonly sql: string }[] = [
  { question: "How many towns are there?", sql: "SELECT count(*) FROM town" },
  { question: "What is the name of the longest river?", sql: "SELECT name FROM river ORDER BY length DESC LIMIT 1" },
  { question: "Which towns lie on the Orm?", sql: "SELECT name FROM town WHERE river = 'Orm'" },
  { question: "Which rivers are longer than 200 kilometres?", sql: "SELECT name FROM river WHERE length > 200" },
  { question: "How many people live in Sarn?", sql: "SELECT population FROM town WHERE name = 'Sarn'" },
  { question: "What is the population of all towns together?", sql: "SELECT sum(population) FROM town" },
  { question: "Which region has the largest area?", sql: "SELECT name FROM region ORDER BY area DESC LIMIT 1" },
  { question: "When was the oldest town founded?", sql: "SELECT min(founded) FROM town" },
  { question: "Which town was founded last?", sql: "SELECT name FROM town ORDER BY founded DESC LIMIT 1" },
  {
    question: "Into which sea does the river at Kolm flow?",
    sql: "SELECT river.sea FROM town JOIN river ON town.river = river.name WHERE town.name = 'Kolm'",
  },
  { question: "How many towns are in each region?", sql: "SELECT region, count(*) FROM town GROUP BY region" },
  { question: "Which towns lie on no river?", sql: "SELECT name FROM town WHERE river IS NULL" },
  { question: "Which rivers flow into the Amber Sea?", sql: "SELECT name FROM river WHERE sea = 'Amber Sea'" },
  { question: "Which rivers reach no sea?", sql: "SELECT name FROM river WHERE sea IS NULL" },
  { question: "How many bridges cross the Orm?", sql: "SELECT count(*) FROM bridge WHERE river = 'Orm'" },
  { question: "In which town was the oldest bridge built?", sql: "SELECT town FROM bridge ORDER BY built LIMIT 1" },
  {
    question: "Which towns have more than one bridge?",
    sql: "SELECT town FROM bridge GROUP BY town HAVING count(*) > 1",
  },
  { question: "What is the average length of the rivers?", sql: "SELECT avg(length) FROM river" },
  {
    question: "Which rivers have no bridge?",
    sql: "SELECT name FROM river WHERE name NOT IN (SELECT river FROM bridge)",
  },
  {
    question: "What is the depth of the sea that the Tarle flows into?",
    sql: "SELECT sea.depth FROM river JOIN sea ON river.sea = sea.name WHERE river.name = 'Tarle'",
  },
  {
    question: "Which region has the most inhabitants in its towns?",
    sql: "SELECT region FROM town GROUP BY region ORDER BY sum(population) DESC LIMIT 1",
  },
  { question: "Which towns have fewer than 5000 inhabitants?", sql: "SELECT name FROM town WHERE population < 5000" },
  {
    question: "Which towns of Northmark were founded before 1600?",
    sql: "SELECT name FROM town WHERE region = 'Northmark' AND founded < 1600",
  },
  {
    question: "How many towns lie on a river that flows into the Grey Sea?",
    sql: "SELECT count(*) FROM town JOIN river ON town.river = river.name WHERE river.sea = 'Grey Sea'",
  },
  {
    question: "What are the names of the three largest towns?",
    sql: "SELECT name FROM town ORDER BY population DESC LIMIT 3",
  },
  {
    question: "Which bridges were built in the 20th century, by town?",
    sql: "SELECT town FROM bridge WHERE built > 1900 AND built <= 2000",
  },
  {
    question: "Which town is the largest of each region?",
    sql: "SELECT name FROM town WHERE population = (SELECT max(population) FROM town AS other WHERE other.region = town.region)",
  },
  {
    question: "How long is the longest river that flows into the Amber Sea?",
    sql: "SELECT max(length) FROM river WHERE sea = 'Amber Sea'",
  },
  {
    question: "Which seas do no more than two rivers flow into?",
    sql: "SELECT sea FROM river WHERE sea IS NOT NULL GROUP BY sea HAVING count(*) <= 2",
  },
  {
    question: "How many years after its founding did Kolm get its bridge?",
    sql: "SELECT built - founded FROM bridge JOIN town ON bridge.town = town.name WHERE town.name = 'Kolm'",
  },
];

/** Questions whose answer takes several statements, one after the other. */
export const decisions: readonly { readonly question: string; readonly answer: string }[] = [
  { question: "How deep is the sea that the river at the oldest town flows into?", answer: "410" },
  { question: "In which year was the youngest bridge over the longest river built?", answer: "1968" },
  { question: "Which town of the region with the largest area lies on a river?", answer: "Hagby" },
  {
    question:
      "How many people live in the largest town on the river that flows into the shallower sea and has a bridge?",
    answer: "27500",
  },
  { question: "Which region holds the town whose bridge was built in 1931?", answer: "Northmark" },
];

/**
 * What operators find when they ask for a database and a language model: the invented country in SQLite, and `language`.
 * `close` ends it.
 */
export async function geographyHost(language: LanguageModel) {
  const database = await SqliteDatabase.create(geography, { timeoutMs: 60_000 });
  const host = new ResourceHost({ model: { model: () => language }, database: { database: () => database } });
  return { database, host, close: () => database.close() };
}
