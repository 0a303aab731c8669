// Records an agent with Nimbus, and re-executes it: the protocol of docs/protocol.md.
//
//   import { open } from "./nimbus_agent.ts";
//
//   const agent = await open({ type: "deploy", input: { app: "web" } });
//   const files = await agent.step({ tool: "bash", input: { command: "ls" } }, () => runBash("ls"));
//   const [a, b] = await Promise.all([            // parallel steps, begun in this order
//     agent.step({ tool: "fetch", input: { url: "a" } }, () => fetchText("a")),
//     agent.step({ tool: "fetch", input: { url: "b" } }, () => fetchText("b")),
//   ]);
//   await agent.complete({ files });
//
// Run it as `nimbus record -- node agent.ts`. After a crash `nimbus record --operation ID
// -- …` resumes: what is recorded is not run again. `nimbus-replay exec ID -- …` runs the
// same code against the recording, and nothing outside happens.
//
// Everything that may differ in another run belongs into a step, or comes from the agent,
// outside of steps: now(), randomHex(), newId(), value().
//
// One file, no dependency: Node 22 or newer runs it as it is (type stripping), Node 18 or
// newer compiled by TypeScript 4.8 or newer, with or without @types/node.

export const PROTOCOL = 1;
const CLIENT = "nimbus_agent.ts 1";

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
type JsonObject = { [key: string]: Json };

export type StepType = "llm_call" | "tool_call" | "user_input" | "verification";

// What of Node this file uses, so that it compiles without Node's own declarations.
interface Stream {
  on(event: string, listener: (argument: never) => void): void;
  setEncoding(encoding: string): void;
  write(text: string): boolean;
  destroy(): void;
  ref(): void;
  unref(): void;
}
interface Net {
  Socket: new (options: { fd: number; readable: boolean; writable: boolean }) => Stream;
}
declare const process: { env: { [name: string]: string | undefined } };
declare function setTimeout(run: () => void, ms: number): unknown;

// Of everything that this module throws.
export class AgentError extends Error {
  constructor(message: string) {
    super(message);
    this.name = new.target.name;
  }
}

// The program was not started by `nimbus record` or `nimbus-replay exec`.
export class NotRecorded extends AgentError {}

// The recorder has ended. What it replied to is safe.
export class RecorderGone extends AgentError {}

// A step failed, now or when it was recorded: the same exception in every run.
export class StepFailed extends AgentError {
  readonly step: number;
  readonly error: string;

  constructor(step: number, error: string) {
    super(`step ${step} failed: ${error}`);
    this.step = step;
    this.error = error;
  }
}

// The recorder's answer to a call that it refused. `data.kind` says why.
export class RpcError extends AgentError {
  readonly code: number;
  readonly kind: string;
  readonly step: number | undefined;
  readonly data: JsonObject;

  constructor(code: number, message: string, data: JsonObject) {
    super(message);
    this.code = code;
    this.kind = typeof data["kind"] === "string" ? data["kind"] : "";
    this.step = typeof data["step"] === "number" ? data["step"] : undefined;
    this.data = data;
  }
}

// This call is not the one that was recorded in its place: data.expected, data.actual.
export class Diverged extends RpcError {}
// The step was begun, and nobody knows whether it ran: Agent.settle or runAgain.
export class InDoubt extends RpcError {}
// The operation has ended.
export class Ended extends RpcError {}
// Another recorder went on with this operation.
export class Superseded extends RpcError {}
// Re-executing, where the recording ends or what it held was erased.
export class Incomplete extends RpcError {}

const ERRORS: { [kind: string]: typeof RpcError } = {
  diverged: Diverged,
  in_doubt: InDoubt,
  ended: Ended,
  superseded: Superseded,
  incomplete: Incomplete,
};

// What a step or an operation took. A duration left out is measured.
export type Outcome = {
  duration_ms?: number;
  tokens_used?: number;
  input_tokens?: number;
  output_tokens?: number;
  cache_read_tokens?: number;
  cache_write_tokens?: number;
  cost_microdollars?: number;
};

// How often an attempt is made, and how long to wait before the next one.
export type Retry = { attempts: number; delayMs?: number; factor?: number };

export type StepCall<Output extends Json> = {
  type?: StepType; // tool_call
  tool?: string;
  input?: Json;
  idempotent?: boolean; // may run again when nobody knows whether it ran
  retry?: Retry;
  // The state after the step. Nothing else changes the state meanwhile.
  update?: (state: Json, output: Output) => Json;
};

// The step that runs; what `run` may say about it beside its output.
export type Running = {
  readonly number: number;
  readonly id: string;
  readonly attempt: number;
  patch: Json | undefined; // how the step changes the state (RFC 6902)
  outcome: Outcome;
};

export type Settlement = { output?: Json; error?: string; state?: Json; patch?: Json };

export type OpenOptions = {
  type: string;
  name?: string;
  input?: Json;
  state?: Json; // the initial one; {}
  id?: string;
};

// An operation that is recorded, resumed or re-executed. Made by `open`.
export class Agent {
  readonly operation: string;
  readonly session: string;
  readonly resumed: boolean;
  readonly reexecuted: boolean;
  readonly firstStep: number; // more than 1 when begun at a checkpoint
  readonly inDoubt: readonly number[];
  readonly #channel: Channel;
  #ends: Promise<unknown> = Promise.resolve(); // of steps: one after the other

  constructor(channel: Channel, opened: JsonObject) {
    this.#channel = channel;
    this.operation = String(opened["operation"]);
    this.session = String(opened["session"]);
    this.resumed = opened["resumed"] === true;
    this.reexecuted = opened["mode"] === "reexecute";
    this.firstStep = Number(opened["step"]) + 1;
    this.inDoubt = (opened["in_doubt"] as number[] | undefined) ?? [];
  }

  // Runs `run` as a step, or gives what it gave when it was recorded. What it throws makes
  // a failed step, and StepFailed here. Steps are begun in the order of these calls.
  async step<Output extends Json>(
    call: StepCall<Output>,
    run: (step: Running) => Output | Promise<Output>,
  ): Promise<Output> {
    const begun = await this.#channel.request("step.begin", beginParams(call));
    const number = Number(begun["number"]);
    if (begun["recorded"] === true) {
      if (begun["status"] !== "completed") {
        throw new StepFailed(number, String(begun["error"] ?? begun["status"]));
      }
      return (begun["output"] ?? null) as Output;
    }
    return this.#run(call, run, number, String(begun["id"]), Number(begun["attempt"]));
  }

  // What the user answers. Asked again after a crash before the answer was journaled.
  userInput(prompt: string, ask: (prompt: string) => string | Promise<string>): Promise<string> {
    const call: StepCall<string> = { type: "user_input", input: { prompt }, idempotent: true };
    return this.step(call, () => ask(prompt));
  }

  // A step that looks whether something holds: `check` gives what it saw, or throws. It must
  // change nothing.
  verify<Output extends Json>(
    what: string,
    check: () => Output | Promise<Output>,
    input: Json = {},
  ): Promise<Output> {
    const call: StepCall<Output> = { type: "verification", tool: what, input, idempotent: true };
    return this.step(call, () => check());
  }

  // Journals what became of a step in doubt, found out by other means. The step is then as
  // if recorded.
  async settle(number: number, result: Settlement): Promise<void> {
    await this.#channel.request("step.settle", { number, ...defined(result) });
  }

  // Lets a step in doubt run again, when it is called the next time.
  async runAgain(number: number): Promise<void> {
    await this.#channel.request("step.run_again", { number });
  }

  // The value, or the one recorded in its place.
  async value<Value extends Json>(name: string, value: Value): Promise<Value> {
    return (await this.#channel.request("value", { name, value }))["value"] as Value;
  }

  async now(): Promise<Date> {
    return new Date(Number((await this.#channel.request("now", {}))["unix_us"]) / 1000);
  }

  async randomHex(bytes: number): Promise<string> {
    return String((await this.#channel.request("random", { bytes }))["hex"]);
  }

  // A UUIDv7.
  async newId(): Promise<string> {
    return String((await this.#channel.request("id", {}))["id"]);
  }

  // The state after the last step that ended, or what a JSON Pointer names in it: a copy.
  async state(pointer = ""): Promise<Json> {
    return (await this.#channel.request("state", { pointer }))["state"] ?? null;
  }

  // Journals the state whole, to go on from.
  async checkpoint(name: string): Promise<void> {
    await this.#channel.request("checkpoint", { name });
  }

  async complete(output?: Json, outcome: Outcome = {}): Promise<void> {
    await this.#end("complete", { output }, outcome);
  }

  async fail(error: string, outcome: Outcome = {}): Promise<void> {
    await this.#end("fail", { error }, outcome);
  }

  async cancel(outcome: Outcome = {}): Promise<void> {
    await this.#end("cancel", {}, outcome);
  }

  // Ends nothing: an operation that is not completed can be resumed.
  close(): void {
    this.#channel.close();
  }

  async #end(method: string, params: { [key: string]: Json | undefined }, outcome: Outcome) {
    await this.#channel.request(method, { ...defined(params), ...outcomeParams(outcome) });
  }

  async #run<Output extends Json>(
    call: StepCall<Output>,
    run: (step: Running) => Output | Promise<Output>,
    number: number,
    id: string,
    attempt: number,
  ): Promise<Output> {
    for (;;) {
      const step: Running = { number, id, attempt, patch: undefined, outcome: {} };
      try {
        const output = await run(step);
        await this.#complete(call, step, output);
        return output;
      } catch (thrown) {
        if (thrown instanceof AgentError) throw thrown;
        const failed = { number, error: describe(thrown), ...outcomeParams(step.outcome) };
        if (attempt >= (call.retry?.attempts ?? 1)) {
          await this.#exclusive(() => this.#channel.request("step.end", failed));
          throw new StepFailed(number, failed.error);
        }
        await this.#channel.request("step.attempt_failed", failed);
      }
      await wait((call.retry?.delayMs ?? 500) * (call.retry?.factor ?? 2) ** (attempt - 1));
      const again = await this.#channel.request("step.begin_attempt", { number });
      attempt = Number(again["attempt"]);
    }
  }

  // From reading the state to journaling the next one, no other step changes it.
  #complete<Output extends Json>(
    call: StepCall<Output>,
    step: Running,
    output: Output,
  ): Promise<unknown> {
    return this.#exclusive(async () => {
      const params: { [key: string]: Json | undefined } = { output, patch: step.patch };
      if (call.update !== undefined) params["state"] = call.update(await this.state(), output);
      await this.#channel.request("step.end", {
        number: step.number,
        ...defined(params),
        ...outcomeParams(step.outcome),
      });
    });
  }

  #exclusive<Result>(work: () => Promise<Result>): Promise<Result> {
    const done = this.#ends.then(work);
    this.#ends = done.catch(() => undefined);
    return done;
  }
}

// Begins the operation, or resumes it: then `type` and `input` must be as recorded. Throws
// NotRecorded when nothing records.
export async function open(options: OpenOptions): Promise<Agent> {
  const [readFd, writeFd] = [process.env["NIMBUS_RPC_READ"], process.env["NIMBUS_RPC_WRITE"]];
  // Children of this program are not recorded by the same calls.
  delete process.env["NIMBUS_RPC_READ"];
  delete process.env["NIMBUS_RPC_WRITE"];
  delete process.env["NIMBUS_RPC_VERSION"];
  const module: string = "node:net"; // no literal: resolved by Node, not by the compiler
  const channel = connect((await import(module)) as Net, readFd, writeFd);
  const { type, name, id, input = {}, state = {} } = options;
  const params = { protocol: PROTOCOL, client: CLIENT, type, input, state };
  return new Agent(channel, await channel.request("open", { ...params, ...defined({ name, id }) }));
}

function connect(net: Net, readFd: string | undefined, writeFd: string | undefined): Channel {
  try {
    if (readFd && writeFd) return new Channel(net, Number(readFd), Number(writeFd));
  } catch {
    // No numbers, or of nothing that is open.
  }
  throw new NotRecorded("nothing records this program; run it by: nimbus record -- COMMAND");
}

// The members that are there: undefined is left out, null is a value.
function defined(members: { [key: string]: Json | undefined }): JsonObject {
  const result: JsonObject = {};
  for (const [key, value] of Object.entries(members)) {
    if (value !== undefined) result[key] = value;
  }
  return result;
}

function outcomeParams(outcome: Outcome): JsonObject {
  const given = defined(outcome);
  return Object.keys(given).length === 0 ? {} : { outcome: given };
}

function beginParams<Output extends Json>(call: StepCall<Output>): JsonObject {
  const { type = "tool_call", tool, input = {}, idempotent } = call;
  return { type, input, ...defined({ tool, idempotent }) };
}

function describe(thrown: unknown): string {
  return thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown);
}

function wait(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms));
}

type Waiting = {
  id: number;
  resolve: (result: JsonObject) => void;
  reject: (error: AgentError) => void;
};

// Replies come in the order of the requests, of which several may wait.
class Channel {
  readonly #replies: Stream;
  readonly #requests: Stream;
  readonly #waiting: Waiting[] = [];
  #partial: string[] = []; // of a line that is not whole yet
  #nextId = 1;
  #gone: string | undefined;

  constructor(net: Net, readFd: number, writeFd: number) {
    this.#replies = new net.Socket({ fd: readFd, readable: true, writable: false });
    this.#requests = new net.Socket({ fd: writeFd, readable: false, writable: true });
    this.#replies.setEncoding("utf8");
    this.#replies.on("data", (chunk: string) => this.#receive(chunk));
    this.#replies.on("end", () => this.#lose("it ended before it replied"));
    for (const stream of [this.#replies, this.#requests]) {
      stream.on("error", (error: Error) => this.#lose(error.message));
      stream.unref(); // a program that waits for no reply may end
    }
  }

  request(method: string, params: JsonObject): Promise<JsonObject> {
    return new Promise((resolve, reject) => {
      if (this.#gone !== undefined) {
        reject(new RecorderGone(this.#gone));
        return;
      }
      const id = this.#nextId++;
      const line = JSON.stringify({ jsonrpc: "2.0", id, method, params }) + "\n";
      this.#waiting.push({ id, resolve, reject });
      this.#replies.ref();
      this.#requests.write(line);
    });
  }

  close(): void {
    this.#lose("the agent is closed");
  }

  #receive(chunk: string): void {
    let begin = 0;
    for (let end = chunk.indexOf("\n"); end >= 0; end = chunk.indexOf("\n", begin)) {
      this.#partial.push(chunk.slice(begin, end));
      const line = this.#partial.join("");
      this.#partial = [];
      begin = end + 1;
      this.#answer(JSON.parse(line) as JsonObject);
    }
    if (begin < chunk.length) this.#partial.push(chunk.slice(begin));
  }

  #answer(reply: JsonObject): void {
    const error = reply["error"] as
      | { code: number; message: string; data?: JsonObject }
      | undefined;
    const waiting = this.#waiting.shift();
    if (waiting === undefined || reply["id"] !== waiting.id) {
      if (waiting !== undefined) this.#waiting.unshift(waiting);
      this.#lose(`it answered what was not asked: ${error?.message ?? ""}`);
      return;
    }
    if (this.#waiting.length === 0) this.#replies.unref();
    if (error === undefined) {
      waiting.resolve(reply["result"] as JsonObject);
      return;
    }
    const data = error.data ?? {};
    const kind = ERRORS[String(data["kind"])] ?? RpcError;
    waiting.reject(new kind(error.code, error.message, data));
  }

  #lose(why: string): void {
    this.#gone ??= `the recorder is gone: ${why}`;
    this.#replies.destroy();
    this.#requests.destroy();
    for (const waiting of this.#waiting.splice(0)) waiting.reject(new RecorderGone(this.#gone));
  }
}
