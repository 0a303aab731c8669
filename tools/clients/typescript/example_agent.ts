// An agent that archives noisy logs, every step of it recorded: the same calls as
// example_agent.py makes, so that either can be executed again against the other's recording.
//
//   nimbus record -- node example_agent.ts LOGS             asks on standard input
//   nimbus-replay exec @ -- node example_agent.ts LOGS      the same again; touches nothing
//
// LOGS is a directory of *.log files. Those with more lines that say ERROR than LOGS/limit
// holds (3 when there is no such file) are renamed to *.log.archived, if the user says yes.

import type { Agent, Json } from "./nimbus_agent";

// What of Node this file uses, so that it compiles without Node's own declarations.
declare const process: {
  argv: string[];
  stdout: { write(text: string): boolean };
  stderr: { write(text: string): boolean };
  exitCode: number | undefined;
};
type Files = {
  existsSync(path: string): boolean;
  readdirSync(path: string): string[];
  readFileSync(path: string | number, encoding: string): string;
  renameSync(from: string, to: string): void;
};

// Node takes the client beside this file by its whole name, .ts or, compiled, .js.
const { url } = import.meta as unknown as { url: string };
const ending = url.slice(url.lastIndexOf("."));
const client = (await import("./nimbus_agent" + ending)) as typeof import("./nimbus_agent");
const files = (await import("node:fs" as string)) as Files;

type State = { errors: { [file: string]: number }; archived: string[] };

function countErrors(path: string): number {
  const lines = files.readFileSync(path, "utf8").split("\n");
  return lines.filter((line) => line.includes("ERROR")).length;
}

function readLimit(path: string, attempt: number): number {
  // Stands for a service that is not there at first.
  if (attempt === 1) throw new Error("no answer from the configuration service");
  return files.existsSync(path) ? Number(files.readFileSync(path, "utf8")) : 3;
}

// Idempotent: archiving what is archived does nothing.
function archive(directory: string, file: string): string {
  const archived = `${file}.archived`;
  if (files.existsSync(`${directory}/${file}`)) {
    files.renameSync(`${directory}/${file}`, `${directory}/${archived}`);
  }
  return archived;
}

function listLogs(directory: string): string[] {
  return files
    .readdirSync(directory)
    .filter((file) => file.endsWith(".log"))
    .sort();
}

function ask(prompt: string): string {
  process.stdout.write(`${prompt} `);
  return files.readFileSync(0, "utf8").split("\n")[0] ?? "";
}

async function run(agent: Agent, logs: string): Promise<void> {
  const listed = await agent.step(
    { tool: "list_logs", input: { pattern: "*.log" }, idempotent: true },
    () => listLogs(logs),
  );
  const counts = await Promise.all(
    listed.map((file) =>
      agent.step(
        {
          tool: "count_errors",
          input: { file },
          idempotent: true,
          update: (state: Json, counted: { file: string; errors: number }) => {
            (state as State).errors[counted.file] = counted.errors;
            return state;
          },
        },
        () => ({ file, errors: countErrors(`${logs}/${file}`) }),
      ),
    ),
  );
  const limit = await agent.step(
    { tool: "read_limit", idempotent: true, retry: { attempts: 3, delayMs: 0 } },
    (step) => readLimit(`${logs}/limit`, step.attempt),
  );
  const noisy = counts.filter((counted) => counted.errors > limit).map((counted) => counted.file);

  const answer = await agent.userInput(`Archive ${noisy.length} of ${listed.length} logs?`, ask);
  if (answer !== "yes") {
    await agent.cancel();
    return;
  }
  await agent.checkpoint("approved");

  for (const file of noisy) {
    await agent.step(
      {
        tool: "archive",
        input: { file },
        idempotent: true,
        update: (state: Json, name: string) => {
          (state as State).archived.push(name);
          return state;
        },
      },
      () => archive(logs, file),
    );
  }

  const left = await agent.verify("nothing noisy is left", () => {
    const remaining = listLogs(logs);
    if (remaining.some((file) => countErrors(`${logs}/${file}`) > limit)) {
      throw new Error("a noisy log is left");
    }
    return remaining;
  });
  const at = Math.floor((await agent.now()).getTime() / 1000);
  await agent.complete({ left, at, ticket: await agent.newId() });
}

async function main(): Promise<number> {
  const logs = process.argv[2];
  if (logs === undefined || process.argv.length !== 3) {
    process.stderr.write("usage: example_agent.ts LOGS\n");
    return 64;
  }
  try {
    const agent = await client.open({
      type: "maintenance",
      name: "Archive noisy logs",
      input: { pattern: "*.log" },
      state: { errors: {}, archived: [] },
    });
    await run(agent, logs);
    const archived = (await agent.state("/archived")) as string[];
    process.stdout.write(`done, after ${archived.length} archived logs\n`);
    agent.close();
  } catch (error) {
    if (!(error instanceof client.AgentError)) throw error;
    process.stderr.write(`example_agent: ${error.message}\n`);
    return 1;
  }
  return 0;
}

process.exitCode = await main();
