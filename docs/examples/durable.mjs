import { connectSteadily, DurableRuns, postgresRecords } from "@tessera/durable";
import { createTessera } from "@tessera/tessera";

const greet = {
  version: 1,
  name: "greet",
  input: { name: "text" },
  nodes: {
    greet: {
      run: "text.template",
      with: { template: "Hello, {name}!" },
      in: { name: "input.name" },
    },
  },
  output: { text: "greet.text" },
};

const [part, id, name] = process.argv.slice(2);
const url = process.env.DATABASE_URL;
const connection = await connectSteadily(url);
const records = await postgresRecords(connection);
const runner = createTessera({ flows: { greet }, records });
const concurrency = part === "work" ? 8 : 0;
const runs = await DurableRuns.open({ url, connection, records, runner, concurrency });

async function close() {
  await runs.close(10_000); // what takes longer is left to the other workers
  await runner.close();
  await connection.close();
}
if (part === "work") process.once("SIGTERM", close);
else {
  await runs.start({ id, flow: "greet", input: { name }, principal: { id: "ann" } });
  const { status, output } = await runs.settled(id);
  console.log(status, output.text);
  await close();
}
